"""The shape of a hand-written case, and short words to write one with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from segops_orchestration_tests.oracle.evaluate import Event, SegmentKey

Document = dict[str, Any]

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The instant T of a case unless it says otherwise."""

MS, SECOND, MINUTE, HOUR, DAY = (
    timedelta(milliseconds=1),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
ORDER, VIEW, CART, IDENTIFIED = "order_placed", "page_viewed", "cart_updated", "context_identified"

_ids = count(1)


@dataclass(frozen=True)
class Case:
    """``definition`` over ``events`` at ``at`` selects exactly ``expected_members``.

    ``segments`` are the definitions that it refers to, by slug (or id), in order of dependency. ``events`` are
    deliveries, in no particular order; an ``ingested_at`` says when each was received.
    """

    id: str
    definition: Document
    events: tuple[Event, ...]
    expected_members: frozenset[str]
    at: datetime = AT
    segments: Mapping[SegmentKey, Document] = field(default_factory=dict)


def case(
    name: str,
    definition: Document,
    events: Iterable[Event],
    expected: Iterable[str],
    at: datetime = AT,
    segments: Mapping[SegmentKey, Document] | None = None,
) -> Case:
    """A case; a bare condition as ``definition`` is wrapped into a document."""
    document = definition if "conditions" in definition and "type" not in definition else all_of(definition)
    return Case(name, document, tuple(events), frozenset(expected), at, segments or {})


def event(
    user: str,
    event_type: str = ORDER,
    ago: timedelta = HOUR,
    payload: str | dict[str, Any] = "{}",
    *,
    event_id: int | None = None,
    received: int = 0,
    at: datetime = AT,
) -> Event:
    """An event ``ago`` before ``at`` (negative: in the future), received ``received`` seconds after ``at``.

    Events without an ``event_id`` get rising ones, so that of two equal instants the one written later is later.
    """
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    identity = UUID(int=next(_ids) if event_id is None else event_id)
    return Event(identity, user, event_type, at - ago, at + received * SECOND, text)


def identified(user: str, ago: timedelta = HOUR, payload: str | dict[str, Any] = "{}", **more: Any) -> Event:
    """A ``context_identified`` event."""
    return event(user, IDENTIFIED, ago, payload, **more)


def all_of(*conditions: Document) -> Document:
    return {"logic": "AND", "conditions": list(conditions)}


def any_of(*conditions: Document) -> Document:
    return {"logic": "OR", "conditions": list(conditions)}


def group(logic: str, *conditions: Document) -> Document:
    return {"type": "group", "logic": logic, "conditions": list(conditions)}


def negated(condition: Document) -> Document:
    return {"type": "not", "condition": condition}


def event_count(operator: str, value: int, event_type: str = ORDER, **more: Any) -> Document:
    return {"type": "event_count", "event_type": event_type, "operator": operator, "value": value, **more}


def recency(operator: str, window_days: float, event_type: str = ORDER, **more: Any) -> Document:
    return {
        "type": "recency",
        "event_type": event_type,
        "operator": operator,
        "window_days": window_days,
        **more,
    }


def monetary(metric: str, operator: str, value: float, path: str = "total", **more: Any) -> Document:
    return {
        "type": "monetary",
        "event_type": ORDER,
        "property": path,
        "metric": metric,
        "operator": operator,
        "value": value,
        **more,
    }


def event_property(path: str, operator: str, event_type: str = ORDER, **more: Any) -> Document:
    return {
        "type": "event_property",
        "event_type": event_type,
        "property": path,
        "operator": operator,
        **more,
    }


def user_property(path: str, operator: str, **more: Any) -> Document:
    return {"type": "user_property", "property": path, "operator": operator, **more}


def sequence(*events: Any, **more: Any) -> Document:
    return {"type": "event_sequence", "events": list(events), **more}


def membership(segment: SegmentKey, operator: str = "in") -> Document:
    return {"type": "segment_membership", "segment_id": segment, "operator": operator}
