"""An event in SQL, as the explanations give it."""

from __future__ import annotations


def event_tuple(event_type: str | None = None) -> str:
    """What identifies an event of the relation at hand; ``event_type`` where that has no such column."""
    kind = "toString(event_type)" if event_type is None else f"'{event_type}'"
    return f"(toString(event_id), {kind}, toUnixTimestamp64Milli(occurred_at))"


def event_map(event: str) -> str:
    """Such a tuple as JSON text."""
    return f"toJSONString({_as_map(event)})"


def event_maps(events: str) -> str:
    """An array of such tuples as JSON text."""
    return f"toJSONString(arrayMap(it -> {_as_map('it')}, {events}))"


def _as_map(event: str) -> str:
    return f"map('event_id', {event}.1, 'event_type', {event}.2, 'occurred_ms', toString({event}.3))"
