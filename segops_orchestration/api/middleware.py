"""Around every request: an id, a log line, security headers, and the limit of its body."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID_HEADER = "X-Request-Id"
_log = logging.getLogger("segops.api.requests")
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _TooLarge(Exception):
    """The body went over the limit while it was read."""


class RequestMiddleware:
    """Gives requests an id (the caller's ``X-Request-Id`` if it has one), logs them and bounds their body."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request = _Request(scope, headers, time.perf_counter())
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            await self._refuse(request, send)
            return
        try:
            await self._app(scope, self._bounded(receive), request.sender(send))
        except _TooLarge:
            if request.status:
                raise
            await self._refuse(request, send)
        finally:
            request.log()

    def _bounded(self, receive: Receive) -> Receive:
        left = self._max_body_bytes

        async def read() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge
            return message

        return read

    async def _refuse(self, request: _Request, send: Send) -> None:
        detail = f"the body is larger than the {self._max_body_bytes} bytes allowed"
        body = json.dumps({"detail": detail}).encode()
        answer = request.sender(send)
        await answer(
            {
                "type": "http.response.start",
                "status": 413,
                "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
            }
        )
        await answer({"type": "http.response.body", "body": body})


class _Request:
    """One request on its way: what its log line will say."""

    def __init__(self, scope: MutableMapping[str, Any], headers: Headers, began: float) -> None:
        given = headers.get(REQUEST_ID_HEADER, "")
        self.id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        self.status = 0
        self._scope = scope
        self._began = began
        scope.setdefault("state", {})["request_id"] = self.id

    def sender(self, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = self.id
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return answer

    def log(self) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        route = self._scope.get("route")
        fields = {
            "request_id": self.id,
            "method": self._scope["method"],
            # The route's pattern, not the path: a path may hold a user's id.
            "route": getattr(route, "path", "(none)"),
            "status": self.status,
            "milliseconds": round((time.perf_counter() - self._began) * 1000, 1),
        }
        _log.info("request", extra={"fields": fields})
