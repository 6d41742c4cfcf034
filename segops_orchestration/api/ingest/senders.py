"""Who sends events: the gate of ingestion."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from segops_orchestration.api.gate import TENANT_HEADER, Sender, credentials, resolve_sender, unauthorized
from segops_orchestration.api.ingest.ingestion import ingestion_of
from segops_orchestration.api.origins import refuse_pages
from segops_orchestration.api.services import services_of


async def known_sender(request: Request) -> Sender:
    """``resolve_sender`` without a look into the catalogue for keys that are known.

    The group writer asks for the key once more before anything is written, so a revoked key has no effect.
    """
    scheme, token = credentials(request)
    if scheme != "apikey":
        return await run_in_threadpool(resolve_sender, request)
    keys = ingestion_of(request).keys
    known = keys.get(token)
    if known is None or _names_a_tenant(request):
        sender = await run_in_threadpool(resolve_sender, request)
        keys.remember(token, sender)
        return sender
    refuse_pages(request)
    services = services_of(request)
    key = known.scope.caller.key
    assert key is not None
    services.limits.spend(f"key {key.id}")
    services.key_use.note(key.id)
    return known


def require_working(sender: Sender) -> None:
    """Ask for the sender's key once more where no group writer does.

    Raises:
        ApiError: 401, it was revoked.
    """
    key = sender.scope.caller.key
    if key is not None and sender.scope.catalog.whole.people.key_by_id(key.id) is None:
        raise unauthorized("the API key is not valid: mistyped, or revoked")


def _names_a_tenant(request: Request) -> bool:
    return TENANT_HEADER in request.headers or bool(request.url.query)


Events = Annotated[Sender, Depends(known_sender)]
