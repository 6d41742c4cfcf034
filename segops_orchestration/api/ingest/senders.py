"""Who sends events: the gate of ingestion."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from segops_orchestration.api.gate import Sender, at_least, credentials, key_refused, resolve_sender
from segops_orchestration.api.known_keys import known_scope


async def known_sender(request: Request) -> Sender:
    """``resolve_sender`` without a look into the catalogue for keys that are known.

    The group writer asks for the key once more before anything is written, so a revoked key has no effect.
    """
    scheme, _ = credentials(request)
    if scheme != "apikey":
        return await run_in_threadpool(resolve_sender, request)
    return Sender(at_least(await known_scope(request), "member"), None)


def require_working(sender: Sender) -> None:
    """Ask for the sender's key once more where no group writer does.

    Raises:
        ApiError: 401, it was revoked.
    """
    key = sender.scope.caller.key
    if key is not None and sender.scope.catalog.whole.people.key_by_id(key.id) is None:
        raise key_refused()


Events = Annotated[Sender, Depends(known_sender)]
