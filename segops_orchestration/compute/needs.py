"""Which events a delta copies out for whom: those that a segment reads for which the user is a candidate.

Most users whom time alone moves are candidates for one segment or two, and those look at the events of a type or two in
a window, often at nothing but their times. Copying all of a user's events, or all payloads, would be most of the work
of a delta.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from segops_orchestration.compiler.periods import period_edges
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compiler.windows import window_of
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, Span, days_span
from segops_orchestration.dsl.models import (
    Condition,
    Definition,
    EventCount,
    EventProperty,
    EventSequence,
    FirstEvent,
    Monetary,
    PropertyHeld,
    Recency,
    Regularity,
    UserProperty,
)
from segops_orchestration.dsl.references import iter_conditions

EVERY_TYPE = ""
# So many days ago there was nothing: DateTime64 begins in 1900.
ALL_DAYS = 1 << 20
_MOST_DAYS_OF_A_MONTH = 31


@dataclass(frozen=True, order=True)
class Need:
    """Events of a type, or of ``EVERY_TYPE``: those of the last ``days`` before T, and whether their payloads too."""

    event_type: str
    days: int = ALL_DAYS
    payload: bool = False

    def covers(self, other: Need) -> bool:
        """Whether whoever has this has the other too."""
        return (
            self.event_type in (other.event_type, EVERY_TYPE)
            and self.days >= other.days
            and self.payload >= other.payload
        )


Needs = frozenset[Need]


def needs_of(definition: Definition) -> Needs:
    """The events that evaluating a definition reads."""
    return combined(need for condition in iter_conditions(definition) for need in _needs(condition))


def combined(needs: Iterable[Need]) -> Needs:
    """The same without those that another one covers."""
    distinct = frozenset(needs)
    return frozenset(one for one in distinct if not any(other != one and other.covers(one) for other in distinct))


def _needs(condition: Condition) -> Iterator[Need]:
    match condition:
        case EventSequence():
            days = _days(window_of(condition).oldest)
            yield from (Need(step.event_type, days, step.where is not None) for step in condition.steps)
            if condition.strict:
                yield Need(EVERY_TYPE, days)
        case UserProperty() | PropertyHeld():
            yield Need(IDENTIFICATION, payload=True)
        case Monetary() | EventProperty():
            yield Need(condition.event_type, _days(window_of(condition).oldest), payload=True)
        case EventCount():
            yield Need(condition.event_type, _days(window_of(condition).oldest), condition.where is not None)
        case Recency() | FirstEvent() | Regularity():
            yield Need(condition.event_type, _days(_oldest(condition)), condition.where is not None)


def _oldest(condition: Recency | FirstEvent | Regularity) -> Span | None:
    """How far back a condition without a window reads; None when that is not bounded."""
    match condition:
        case Recency() if condition.operator != "gt":
            return Span(days_span(condition.window_days).milliseconds + MILLISECONDS_PER_DAY)
        case Regularity():
            return period_edges(condition)[-1]
    return None


def _days(oldest: Span | None) -> int:
    """At least as many days as the span is long."""
    if oldest is None:
        return ALL_DAYS
    days = -(-oldest.milliseconds // MILLISECONDS_PER_DAY) + oldest.months * _MOST_DAYS_OF_A_MONTH
    return min(days, ALL_DAYS)


def with_payloads(needs: Iterable[Need], event_types: Collection[str]) -> Needs:
    """The same, with the payloads of these types."""
    if not event_types:
        return frozenset(needs)
    with_payload = {*event_types, EVERY_TYPE}
    return combined(replace(need, payload=True) if need.event_type in with_payload else need for need in needs)
