"""Routes that are asked so often that FastAPI's way to dependencies, which takes as long as all else, is too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


def direct_route(gate: Callable[[Request], Awaitable[Any]], read: Callable[[Request], Any]) -> type[APIRoute]:
    """A class of routes that call their endpoint with the request, what ``gate`` lets in, and what ``read`` finds.

    The endpoint's annotations are for the OpenAPI document alone.
    """

    class DirectRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                answer: Response = await self.endpoint(request, await gate(request), read(request))
                return answer

            return handle

    return DirectRoute
