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
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segops_orchestration.api.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-Id"
_log = logging.getLogger("segops.api.requests")
_unforeseen = logging.getLogger("segops.api")
_CONVERTER = re.compile(r":\w+(?=\})")
# What proxies write into their logs for it.
_HUNG_UP = 499
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _TooLarge(HTTPException):
    """The body went over the limit while it was read. FastAPI passes on no other kind of error from there."""


class RequestMiddleware:
    """Gives requests an id (the caller's ``X-Request-Id`` if it has one), logs them and bounds their body."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, metrics: Metrics) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._too_large = f"the body is larger than the {max_body_bytes} bytes allowed"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request = _Request(scope, headers, time.perf_counter())
        try:
            await self._answer(request, headers.get("content-length", ""), receive, request.sender(send))
        finally:
            request.count(self._metrics)
            request.log()

    async def _answer(self, request: _Request, declared: str, receive: Receive, send: Send) -> None:
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            await _refuse(send, 413, self._too_large)
            return
        try:
            await self._app(request.scope, self._bounded(receive), send)
        except _TooLarge:
            if request.status:
                raise
            await _refuse(send, 413, self._too_large)
        except ClientDisconnect:
            # It hung up while its body was read: there is nobody to answer, and nothing of ours went wrong.
            request.status = request.status or _HUNG_UP
        except Exception as error:
            # Here and not further out, so that this answer has its id and its line in the log like any other.
            _unforeseen.error("unforeseen error", exc_info=error, extra={"fields": {"request_id": request.id}})
            if request.status:
                raise
            await _refuse(send, 500, "something went wrong here; the server's log says what")

    def _bounded(self, receive: Receive) -> Receive:
        left = self._max_body_bytes

        async def read() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge(413, self._too_large)
            return message

        return read


async def _refuse(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


class _Request:
    """One request on its way: what its log line will say."""

    def __init__(self, scope: MutableMapping[str, Any], headers: Headers, began: float) -> None:
        given = headers.get(REQUEST_ID_HEADER, "")
        self.id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        self.status = 0
        self.scope = scope
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

    @property
    def route(self) -> str:
        """The route's pattern, not the path: a path may hold a user's id, and there are any number of them."""
        path: str = getattr(self.scope.get("route"), "path", "")
        if not path:
            return "(none)"
        # Whether a route knows the prefix under which it was included depends on FastAPI's version.
        return _CONVERTER.sub("", path if path.startswith("/api/") else f"/api{path}")

    def count(self, metrics: Metrics) -> None:
        """Add it to the figures."""
        metrics.request(self.route, self.scope["method"], self.status, time.perf_counter() - self._began)

    def log(self) -> None:
        """Write its line."""
        if not _log.isEnabledFor(logging.INFO):
            return
        fields = {
            "request_id": self.id,
            "method": self.scope["method"],
            "route": self.route,
            "status": self.status,
            "milliseconds": round((time.perf_counter() - self._began) * 1000, 1),
        }
        _log.info("request", extra={"fields": fields})
