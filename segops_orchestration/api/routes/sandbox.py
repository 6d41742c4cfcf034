"""The sandbox: what one more event would do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.errors import FieldErrors
from segops_orchestration.api.gate import Reader, Scope
from segops_orchestration.api.ingest.schema_rules import SchemaRules
from segops_orchestration.api.slots import user_looks
from segops_orchestration.catalog.records import Segment
from segops_orchestration.explorer.sandbox import SandboxEvent, payload_text, try_event
from segops_orchestration.warehouse.ingest.limits import FIRST_YEAR, LAST_YEAR, PAYLOAD_BYTES
from segops_orchestration.warehouse.ingest.payload import unreadable

router = APIRouter(prefix="/explorer/sandbox", tags=["explorer"])


class TriedEvent(BaseModel):
    """An event as it might be tracked."""

    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[str, Field(min_length=1, max_length=512, examples=["ada"])]
    event_type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,255}$", examples=["order_placed"])]
    occurred_at: datetime | None = Field(None, description="By default now.")
    payload: dict[str, Any] = Field(default={}, examples=[{"order_total": 120.5}])


class TouchedSegment(BaseModel):
    """A segment that the user would enter or leave."""

    id: int
    name: str


class Effect(BaseModel):
    """What the event would do. Nothing is stored."""

    published: bool
    entered: list[TouchedSegment]
    exited: list[TouchedSegment]
    unchanged_count: int = Field(description="Active segments for which the event changes nothing.")


@router.post("/publish/")
def publish(scope: Reader, body: TriedEvent) -> Effect:
    """Lay an event over the user's history in memory and evaluate all active segments, without it and with it.

    As when it is tracked, the schema of its type is applied; what tracking would leave out is 400.
    """
    text = _by_schema(scope, body.event_type, _checked(body))
    occurred_at = None if body.occurred_at is None else _utc(body.occurred_at)
    user_id = scope.services.canonical_id(scope.tenant, body.user_id)
    event = SandboxEvent(user_id, body.event_type, occurred_at, text)
    with user_looks.taken(scope.tenant):
        effect = try_event(scope.catalog.whole, scope.database, event)
    return Effect(
        published=True,
        entered=[_touched(one) for one in effect.entered],
        exited=[_touched(one) for one in effect.exited],
        unchanged_count=effect.unchanged,
    )


def _touched(segment: Segment) -> TouchedSegment:
    return TouchedSegment(id=segment.id, name=segment.name)


def _checked(body: TriedEvent) -> str:
    try:
        text = payload_text(body.payload)
    except ValueError:
        raise FieldErrors({"payload": ["holds a number beyond what a double can hold"]}) from None
    if len(text.encode(errors="surrogatepass")) > PAYLOAD_BYTES:
        raise FieldErrors({"payload": [f"it is longer than {PAYLOAD_BYTES // 1024} KiB"]})
    fault = unreadable(text)
    if fault is not None:
        raise FieldErrors({"payload": [fault]})
    return text


def _by_schema(scope: Scope, event_type: str, text: str) -> str:
    """The payload as ingestion would store it."""
    schema = scope.catalog.event_schema_of(event_type)
    applied = None if schema is None else SchemaRules([schema]).apply(event_type, text)
    if applied is None:
        return text
    if applied.missing:
        raise FieldErrors({f"payload.{each.name}": [each.reason] for each in applied.missing})
    return applied.text


def _utc(instant: datetime) -> datetime:
    try:
        utc = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        utc = datetime.max.replace(tzinfo=UTC)
    if not FIRST_YEAR <= utc.year <= LAST_YEAR:
        raise FieldErrors({"occurred_at": [f"found the year {utc.year}; allowed: {FIRST_YEAR} to {LAST_YEAR}"]})
    return utc
