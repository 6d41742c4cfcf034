"""Paths with a user's id in them: ids may contain any character, ``/`` too, which clients send as ``%2F``.

Servers hand on the path decoded, where ``/users/a%2Fsegments/`` and ``/users/a/segments/`` are the same. Below
``/explorer/users/`` the path as it was sent takes its place, and the routes read the id with ``UserId``: that of the
person, when the id was joined to another one.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Path
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from segops_orchestration.api.gate import Scope as GateScope
from segops_orchestration.api.gate import resolve

PREFIX = "/api/explorer/users/"


class UserPathMiddleware:
    """Leaves the user's id in the path quoted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and get_route_path(scope).startswith(PREFIX):
            scope["path"] = _as_sent(scope)
        await self._app(scope, receive, send)


def _as_sent(scope: Scope) -> str:
    """The path with all behind the prefix quoted."""
    path: str = scope["path"]
    start = path.index(PREFIX) + len(PREFIX)
    raw = scope.get("raw_path", b"").decode("latin-1")
    at = raw.find(PREFIX)
    # Who quotes letters of the prefix itself is answered by what the server has made of it.
    return path[:start] + (raw[at + len(PREFIX) :] if at >= 0 else quote(path[start:]))


def _user_id(
    scope: Annotated[GateScope, Depends(resolve)],
    user_id: Annotated[
        str, Path(description="The user's id, percent-encoded: a `/` in it as `%2F`.", examples=["ada"])
    ],
) -> str:
    return scope.services.canonical_id(scope.tenant, unquote(user_id))


UserId = Annotated[str, Depends(_user_id)]
