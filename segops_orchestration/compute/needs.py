"""Which events a delta copies out for whom: those that a segment reads for which the user is a candidate.

Most users whom time alone moves are candidates for one segment or two, and those look at the events of a type or two in
a window. Copying all of a user's events instead would be most of the work of a delta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from segops_orchestration.compiler.parameters import AT, ScopedParameters
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

# What a condition with a window of up to three months reads is copied from so many days; what others read, whole.
RECENT_DAYS = 93
_MONTHS = 3

EVERY_TYPE = ""


@dataclass(frozen=True)
class Needs:
    """Event types, or ``EVERY_TYPE``: of which all events are read, and of which those of the last ``RECENT_DAYS``."""

    whole: frozenset[str] = frozenset()
    recent: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.whole | other.whole, self.recent | other.recent)


def needs_of(definition: Definition) -> Needs:
    """The events that evaluating a definition reads."""
    needs = Needs()
    for condition in iter_conditions(definition):
        types, oldest = frozenset(_types(condition)), _oldest(condition)
        needs |= Needs(recent=types) if oldest is not None and _is_recent(oldest) else Needs(whole=types)
    return needs


def _types(condition: Condition) -> Iterator[str]:
    match condition:
        case EventSequence():
            yield from [EVERY_TYPE] if condition.strict else [step.event_type for step in condition.steps]
        case UserProperty() | PropertyHeld():
            yield IDENTIFICATION
        case EventCount() | Recency() | Monetary() | EventProperty() | FirstEvent() | Regularity():
            yield condition.event_type


def _oldest(condition: Condition) -> Span | None:
    """How far back a condition reads; None when that is not bounded."""
    match condition:
        case EventCount() | Monetary() | EventProperty() | EventSequence():
            return window_of(condition).oldest
        case Recency() if condition.operator != "gt":
            return Span(days_span(condition.window_days).milliseconds + MILLISECONDS_PER_DAY)
        case Regularity():
            return period_edges(condition)[-1]
    return None


def _is_recent(span: Span) -> bool:
    return span.months <= _MONTHS and span.milliseconds <= RECENT_DAYS * MILLISECONDS_PER_DAY


def is_needed(needs: Mapping[int, Needs], parameters: ScopedParameters) -> str:
    """The predicate that an event is read because of one of the reasons for which its user is a candidate.

    Args:
        needs: by the number of the reason in the table ``candidates``.
    """
    recent = f"occurred_at > {AT} - toIntervalDay({parameters.integer('recent_days', RECENT_DAYS)})"
    whole = _of_types({number: need.whole for number, need in needs.items()}, parameters.of("whole"))
    lately = _of_types({number: need.recent for number, need in needs.items()}, parameters.of("recent"))
    parts = [*whole, *(f"({recent} AND {part})" for part in lately)]
    return f"({' OR '.join(parts)})" if parts else "false"


def _of_types(types: Mapping[int, frozenset[str]], parameters: ScopedParameters) -> Iterator[str]:
    of_a_candidate = "FROM candidates WHERE computation_id = {computation_id:UInt64} AND reason IN"
    every = [number for number, names in types.items() if EVERY_TYPE in names]
    if every:
        yield f"user_id IN (SELECT user_id {of_a_candidate} ({', '.join(map(str, every))}))"
    pairs = [(number, name) for number, names in types.items() if number not in every for name in sorted(names)]
    if pairs:
        numbers = f"[{', '.join(str(number) for number, _ in pairs)}]"
        names = parameters.texts("types", [name for _, name in pairs])
        of_reason = f"arrayJoin(arrayFilter((name, number) -> number = reason, {names}, {numbers}))"
        listed = ", ".join(map(str, dict.fromkeys(number for number, _ in pairs)))
        yield f"(event_type, user_id) IN (SELECT {of_reason}, user_id {of_a_candidate} ({listed}))"
