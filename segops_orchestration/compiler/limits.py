"""The time limits of a condition: what sweeps over which events, or over which dates in their payloads, as T moves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from segops_orchestration.compiler.periods import period_edges
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compiler.windows import ALWAYS, NOW, Window, window_of
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, Span, days_span, span_of
from segops_orchestration.dsl.models import (
    Condition,
    Definition,
    Duration,
    EventCount,
    EventProperty,
    EventSequence,
    Filter,
    FirstEvent,
    Monetary,
    PropertyHeld,
    Recency,
    Regularity,
    SegmentMembership,
    UserProperty,
)
from segops_orchestration.dsl.property_path import ELEMENTS, PathStep, split_path
from segops_orchestration.dsl.references import iter_conditions


@dataclass(frozen=True)
class EventMatch:
    """Events of a type which satisfy ``where``.

    Filters that look at T are left out, because their answer moves too: every matching event is one of these.
    """

    event_type: str
    where: tuple[Filter, ...] = field(compare=False, default=())
    # The filters as they are written: as values 1 and true would be equal.
    written: str = field(init=False, default="")

    def __post_init__(self) -> None:
        steady = tuple(test for test in self.where if not looks_at_time(test))
        object.__setattr__(self, "where", steady)
        object.__setattr__(self, "written", json.dumps([test.model_dump(mode="json") for test in steady]))


@dataclass(frozen=True)
class TimeLimit:
    """Events that are one of ``matches`` change sides when they are ``age`` old, provided their time is in ``window``.

    ``inclusive``: an event of exactly that age is still on the younger side (``age <= L``). Then the slice swept
    from T0 to T1 is ``T0 - L <= occurred_at < T1 - L``; otherwise ``T0 - L < occurred_at <= T1 - L``.
    ``window`` is one whose edges do not move.
    """

    matches: tuple[EventMatch, ...]
    age: Span = NOW
    inclusive: bool = False
    window: Window = ALWAYS

    @property
    def event_types(self) -> tuple[str, ...]:
        """The types of the events, each once."""
        return tuple(dict.fromkeys(match.event_type for match in self.matches))

    @property
    def has_filters(self) -> bool:
        """Whether an event of one of the types may not match."""
        return any(match.where for match in self.matches)


@dataclass(frozen=True)
class DateLimit:
    """A date at ``path`` in the payload of a matching event changes sides when T is ``age`` after it.

    ``ahead``: when T is ``age`` before it. Events outside of ``window`` do not matter.
    """

    match: EventMatch
    path: tuple[PathStep, ...]
    age: Span
    ahead: bool = False
    window: Window = ALWAYS


Limit = TimeLimit | DateLimit


def all_limits(definition: Definition) -> list[Limit]:
    """The limits of a definition, each once, in document order."""
    limits: dict[Limit, None] = {}
    for condition in iter_conditions(definition):
        limits.update(dict.fromkeys(limits_of(condition)))
    return list(limits)


def limits_of(condition: Condition) -> Iterator[Limit]:
    """The limits of one condition; a group or ``not`` has none but those of what it holds."""
    match condition:
        case EventCount() | Monetary() | FirstEvent():
            yield from _event_condition(condition)
        case Recency():
            yield from _recency(condition)
        case EventProperty():
            yield from _event_property(condition)
        case UserProperty():
            yield TimeLimit((EventMatch(IDENTIFICATION),))
            yield from _dates(EventMatch(IDENTIFICATION), [condition])
        case PropertyHeld():
            yield from _property_held(condition)
        case EventSequence():
            yield from _sequence(condition)
        case Regularity():
            yield from _regularity(condition)
        case SegmentMembership():
            return


def _event_condition(condition: EventCount | Monetary | FirstEvent) -> Iterator[Limit]:
    match = EventMatch(condition.event_type, condition.where or ())
    window = window_of(condition)
    yield from _edges(match, window)
    # The first event can be one outside of the window.
    yield from _dates(match, condition.where or (), ALWAYS if isinstance(condition, FirstEvent) else window)


def _edges(match: EventMatch, window: Window) -> Iterator[TimeLimit]:
    yield TimeLimit((match,), window.newest, window=_fixed(window))
    if window.oldest is not None:
        yield TimeLimit((match,), window.oldest)


def _fixed(window: Window) -> Window:
    return Window(start=window.start, end=window.end)


def _recency(condition: Recency) -> Iterator[Limit]:
    match = EventMatch(condition.event_type, condition.where or ())
    age = days_span(condition.window_days)
    yield TimeLimit((match,))
    yield TimeLimit((match,), age, inclusive=condition.operator == "gt")
    if condition.operator == "eq":
        yield TimeLimit((match,), Span(age.milliseconds + MILLISECONDS_PER_DAY))
    yield from _dates(match, condition.where or ())


def _event_property(condition: EventProperty) -> Iterator[Limit]:
    # With has_element, ``where`` is about the elements.
    where = () if condition.operator == "has_element" else condition.where or ()
    match = EventMatch(condition.event_type, where)
    window = window_of(condition)
    yield from _edges(match, window)
    yield from _dates(match, [*where, condition], window)


def _property_held(condition: PropertyHeld) -> Iterator[Limit]:
    match = EventMatch(IDENTIFICATION)
    yield TimeLimit((match,))
    duration = condition.at_least or condition.less_than
    if duration is not None:
        yield TimeLimit((match,), span_of(duration))
    yield from _dates(match, [condition])


def _sequence(condition: EventSequence) -> Iterator[Limit]:
    """What comes into the window is newer than all that is in it, what leaves it is older.

    So a sequence is completed by one of its steps coming in, and broken by its first step leaving. An event of another
    type cannot come in between two steps of a strict one.
    """
    window = window_of(condition)
    steps = tuple(dict.fromkeys(EventMatch(step.event_type, step.where or ()) for step in condition.steps))
    yield TimeLimit(steps, window.newest, window=_fixed(window))
    if window.oldest is not None:
        yield TimeLimit(steps[:1], window.oldest)
    for step in condition.steps:
        yield from _dates(EventMatch(step.event_type, step.where or ()), step.where or (), window)


def _regularity(condition: Regularity) -> Iterator[Limit]:
    match = EventMatch(condition.event_type, condition.where or ())
    edges = period_edges(condition)
    for age in edges:
        yield TimeLimit((match,), age)
    yield from _dates(match, condition.where or (), Window(oldest=edges[-1]))


# -- dates in payloads ---------------------------------------------------------------------------------------

PropertyTest = Filter | EventProperty | UserProperty | PropertyHeld


def looks_at_time(test: PropertyTest) -> bool:
    """Whether the answer of a property test depends on T."""
    return next(iter(_date_edges(test, ())), None) is not None


def _dates(match: EventMatch, tests: Sequence[PropertyTest], window: Window = ALWAYS) -> Iterator[DateLimit]:
    for test in tests:
        for path, age, ahead in _date_edges(test, ()):
            yield DateLimit(match, path, age, ahead, window)


def _date_edges(test: PropertyTest, above: tuple[PathStep, ...]) -> Iterator[tuple[tuple[PathStep, ...], Span, bool]]:
    """Where a test looks at a date, how far from T its limit is, and whether after T."""
    path = (*above, *split_path(test.property))
    if test.operator == "has_element":
        for inner in test.where or ():
            yield from _date_edges(inner, (*path, ELEMENTS))
        return
    if not isinstance(test.value, Duration):
        return
    span = span_of(test.value)
    match test.operator:
        case "in_last":
            yield path, NOW, False
            yield path, span, False
        case "in_next":
            yield path, NOW, False
            yield path, span, True
        case "before_last":
            yield path, span, False
