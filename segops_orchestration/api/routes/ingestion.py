"""Events over HTTP. An answer of 202 says that the events are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from segops_orchestration.api.direct_route import direct_route
from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.gate import Sender
from segops_orchestration.api.idempotent import Attempt, Once, OnceOnly, attempt_of, once_of, refuses, replayed
from segops_orchestration.api.ingest import documented
from segops_orchestration.api.ingest.body import SentEvent, batch_of_events, one_event, readable
from segops_orchestration.api.ingest.ingestion import ingestion_lifespan, ingestion_of
from segops_orchestration.api.ingest.senders import Events, known_sender, require_working
from segops_orchestration.api.ingest.submission import Submission, Written
from segops_orchestration.warehouse.ingest.payload import TOO_LONG

router = APIRouter(
    prefix="/ingestion",
    tags=["ingestion"],
    lifespan=ingestion_lifespan,
    route_class=direct_route(known_sender, once_of),
)

# Ids and times come from the key, so two attempts at once do no harm: a short lease, and a crash holds nobody up.
_LEASE = timedelta(seconds=5)
# Larger bodies are taken apart in a thread: the event loop answers others meanwhile.
_SMALL_BODY = 32 << 10


class Queued(BaseModel):
    """The event is stored."""

    queued: bool = Field(description="Always true.", examples=[True])


class EventError(BaseModel):
    """Why an event of a batch was left out."""

    index: int = Field(description="Its place in `events`, from 0.", examples=[3])
    field: str = Field(description="The field that is wrong.", examples=["user_id"])
    detail: str = Field(description="What is wrong with it.", examples=["missing"])


class BatchQueued(BaseModel):
    """What became of a batch."""

    queued: int = Field(description="Events that are stored.", examples=[499])
    skipped: int = Field(description="Events that were refused; `errors` says why.", examples=[1])
    errors: list[EventError]


@router.post(
    "/track/",
    status_code=202,
    response_model=Queued,
    responses=errors(409, 413, 429),
    openapi_extra=documented.one(),
)
async def track(request: Request, sender: Events, once: Once) -> Response:
    """Store one event.

    Sent twice, it is two events, unless it has an `event_id` or the request an `Idempotency-Key`.
    """
    ingestion_of(request).writer.check_room(sender.scope.tenant)
    body = await request.body()

    async def work(attempt: Attempt) -> JSONResponse:
        written = await _submit(request, sender, await _read(_one, body, sender.uid), attempt)
        if written.skipped:
            raise _refusal(written)
        return JSONResponse({"queued": True}, 202)

    return await _once(sender, once, body, work)


@router.post(
    "/track/batch/",
    status_code=202,
    response_model=BatchQueued,
    responses=errors(409, 413, 429),
    openapi_extra=documented.batch(),
)
async def track_batch(request: Request, sender: Events, once: Once) -> Response:
    """Store up to 500 events. One that is wrong is left out, and the others are stored."""
    ingestion_of(request).writer.check_room(sender.scope.tenant)
    body = await request.body()

    async def work(attempt: Attempt) -> JSONResponse:
        written = await _submit(request, sender, await _read(batch_of_events, body, sender.uid), attempt)
        faults = [
            {"index": each.index, "field": readable(each.field), "detail": each.detail} for each in written.faults
        ]
        return JSONResponse({"queued": written.queued, "skipped": written.skipped, "errors": faults}, 202)

    return await _once(sender, once, body, work)


async def _read(
    take_apart: Callable[[bytes, str | None], list[SentEvent]], body: bytes, uid: str | None
) -> list[SentEvent]:
    if len(body) <= _SMALL_BODY:
        return take_apart(body, uid)
    return await run_in_threadpool(take_apart, body, uid)


def _one(body: bytes, uid: str | None) -> list[SentEvent]:
    return [one_event(body, uid)]


async def _submit(request: Request, sender: Sender, events: Sequence[SentEvent], attempt: Attempt) -> Written:
    if not events:
        # Nobody asks for the key again when nothing is written.
        await run_in_threadpool(require_working, sender)
        return Written(0, 0, [])
    key = sender.scope.caller.key
    source = f"api {request.url.path.removeprefix('/api/')} request {request.state.request_id}"
    call = Submission(events, source, attempt.first_seen, None if key is None else key.id, attempt.seed)
    return await ingestion_of(request).writer.submit(sender.scope.tenant, call)


def _refusal(written: Written) -> Exception:
    """The error of a single call: every fault by its field."""
    fields: dict[str, list[str]] = {}
    for fault in written.faults:
        if fault.detail == TOO_LONG:
            return ApiError(413, f"{fault.field} is {TOO_LONG}")
        fields.setdefault(readable(fault.field), []).append(fault.detail)
    return FieldErrors(fields)


async def _once(
    sender: Sender, once: OnceOnly, body: bytes, work: Callable[[Attempt], Awaitable[JSONResponse]]
) -> Response:
    """Do the work, or give the answer that it gave before under the request's key."""
    if once.key is None:
        return await work(Attempt(datetime.now(UTC)))
    if sender.uid is not None:
        # The keys of one user's browser are nothing to others.
        once = replace(once, route=f"session {hashlib.sha256(f'{once.route} {sender.uid}'.encode()).hexdigest()}")
    catalog, tenant = sender.scope.catalog.whole, sender.scope.tenant
    claim = await run_in_threadpool(once.claim, catalog, tenant, hashlib.sha256(body).hexdigest(), _LEASE)
    if claim.status is not None:
        await run_in_threadpool(require_working, sender)
        return replayed(claim)
    keys = catalog.service.idempotency
    try:
        done = await work(attempt_of(tenant, claim))
    except BaseException as error:
        await run_in_threadpool(keys.release, tenant, claim, nothing_done=refuses(error))
        raise
    await run_in_threadpool(keys.answer, tenant, claim, done.status_code, bytes(done.body).decode())
    return done
