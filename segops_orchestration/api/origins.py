"""Which web pages may call: only with public keys, only the routes of these, only from the origins that a key allows.

A browser asks first (preflight) without naming the key: any public key's origins are told that they may try. The answer
to the request itself is readable only for the origins of the key that was used.
"""

from __future__ import annotations

import json
import threading
import time

from anyio import to_thread
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segops_orchestration.api.errors import ApiError
from segops_orchestration.catalog.api_keys import ANY_ORIGIN
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_records import ApiKey
from segops_orchestration.errors import SegOpsError

PUBLIC_PATHS = frozenset({"/api/auth/session/", "/api/ingestion/track/", "/api/ingestion/track/batch/"})
_STATE = "allowed_origin"
_KEPT_SECONDS = 10.0
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key, x-request-id",
    "Access-Control-Max-Age": "600",
}


class PublicOrigins:
    """The origins of all public keys, read again every ten seconds."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._origins: frozenset[str] = frozenset()
        self._until = 0.0

    def has(self, origin: str) -> bool:
        """Whether any public key allows the origin."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._origins = self._catalog.people.public_origins()
                self._until = time.monotonic() + _KEPT_SECONDS
            return origin in self._origins or ANY_ORIGIN in self._origins


def check_origin(request: Request, key: ApiKey) -> None:
    """Refuse a page that the public key does not allow, and let the others read the answer.

    Programs that are no browsers send no origin, and pass: nothing could stop them from sending a right one.

    Raises:
        ApiError: 403.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return
    if origin not in key.allowed_origins and ANY_ORIGIN not in key.allowed_origins:
        refuse_pages(request)
        raise ApiError(403, "this key does not allow the origin of the request; its allowed_origins say which it does")
    setattr(request.state, _STATE, True)


def refuse_pages(request: Request) -> None:
    """Let no web page read the answer."""
    setattr(request.state, _STATE, False)


class OriginMiddleware:
    """Answers preflights, and marks answers as readable by the page that asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("Origin")
        preflight = scope["method"] == "OPTIONS" and "Access-Control-Request-Method" in headers
        if origin is not None and preflight:
            await _answer_preflight(scope, origin, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                found.add_vary_header("Origin")
                if origin is not None and await _readable(scope, origin):
                    found["Access-Control-Allow-Origin"] = origin
                    found["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
            await send(message)

        await self._app(scope, receive, answer)


async def _readable(scope: Scope, origin: str) -> bool:
    allowed = scope.get("state", {}).get(_STATE)
    # Refused before a key was known, as with a token that has expired: the page must see that it is a 401.
    return await _known(scope, origin) if allowed is None else bool(allowed)


async def _known(scope: Scope, origin: str) -> bool:
    origins: PublicOrigins = scope["app"].state.services.origins
    try:
        return await to_thread.run_sync(origins.has, origin)
    except SegOpsError:
        return False


async def _answer_preflight(scope: Scope, origin: str, send: Send) -> None:
    found = MutableHeaders({"Vary": "Origin"})
    known = await _known(scope, origin)
    body = b""
    if known:
        found["Access-Control-Allow-Origin"] = origin
        found.update(_PREFLIGHT)
    else:
        body = json.dumps({"detail": "no public key allows this origin"}).encode()
        found["Content-Type"] = "application/json"
        found["Content-Length"] = str(len(body))
    await send({"type": "http.response.start", "status": 204 if known else 403, "headers": found.raw})
    await send({"type": "http.response.body", "body": body})
