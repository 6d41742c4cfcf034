"""Who is in a segment: the Segment DSL evaluated over a plain list of events, one rule at a time.

Written from the DSL page alone, for clarity and not for speed. It takes raw JSON documents that are valid;
what it does with invalid ones is undefined.

Choices made where the page leaves room (those about values are in ``values``):

- An event is (event_type, user_id, occurred_at, event_id). Of several deliveries the one with the lowest
  ``ingested_at`` is the event, payload and arrival included. Two deliveries with equal ``ingested_at`` and
  different payloads are undefined.
- ``event_id`` orders by its text (equally: as one 128-bit integer), not by ClickHouse's halves.
- ``strict``: an event at the same instant as a step lies between two steps if the order of section 1 puts it
  there.
- ``within`` includes its limit: last <= first + N. Months and years are added to the first step.
- Sums, averages and medians are compared after rounding half away from zero to 6 places, threshold too;
  min and max exactly. ``count_distinct`` counts distinct numbers, as the page says numbers for every metric.
- Calendar periods of ``regularity`` are each counted back from T, not one from the other.
- ``monetary`` over a path with ``[]`` takes every element.
- The ``where`` of an ``event_property`` with ``has_element`` is about elements, and narrows no events.
- ``property_held`` is false for a user who was never identified: no run has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from uuid import UUID

from segops_orchestration_tests.oracle.values import (
    COMPARISONS,
    DAY_MS,
    Condition,
    Json,
    date_ms,
    milliseconds,
    number,
    parsed,
    present,
    satisfies,
    shifted,
    span_ms,
)

Definition = Mapping[str, Any]
SegmentKey = int | str

IDENTIFICATION = "context_identified"


@dataclass(frozen=True)
class Event:
    """One delivery of one event.

    Instants are timezone-aware and whole milliseconds; ``payload`` is the exact JSON text.
    """

    event_id: UUID
    user_id: str
    event_type: str
    occurred_at: datetime
    ingested_at: datetime
    payload: str

    @property
    def identity(self) -> tuple[str, str, datetime, UUID]:
        return (self.event_type, self.user_id, self.occurred_at, self.event_id)

    @property
    def order(self) -> tuple[datetime, datetime, UUID]:
        return (self.occurred_at, self.ingested_at, self.event_id)

    @property
    def occurred_ms(self) -> int:
        return milliseconds(self.occurred_at)

    @property
    def properties(self) -> Json:
        return parsed(self.payload)


Person = Sequence[Event]
"""The distinct events of one user at or before T, in order."""


def members(
    definition: Definition,
    events: Iterable[Event],
    at: datetime,
    segments: Mapping[SegmentKey, Definition] | None = None,
) -> frozenset[str]:
    """The users in ``definition`` at the instant ``at``.

    ``segments`` holds the definitions that ``segment_membership`` may refer to, by id or slug. KeyError for
    any other.
    """
    return Evaluation.of(events, at, segments or {}).members(definition)


def members_of_all(
    segments: Mapping[SegmentKey, Definition], events: Iterable[Event], at: datetime
) -> dict[SegmentKey, frozenset[str]]:
    """The members of every one of ``segments`` at ``at``; they may refer to one another."""
    evaluation = Evaluation.of(events, at, segments)
    return {key: evaluation.segment(key) for key in segments}


def distinct(events: Iterable[Event]) -> list[Event]:
    """The first delivery of each event, in the order of section 1."""
    first: dict[tuple[str, str, datetime, UUID], Event] = {}
    for event in events:
        known = first.get(event.identity)
        if known is None or event.ingested_at < known.ingested_at:
            first[event.identity] = event
    return sorted(first.values(), key=lambda event: event.order)


@dataclass
class Evaluation:
    """One instant T over one tenant's events."""

    at: int
    people: Mapping[str, Person]
    segments: Mapping[SegmentKey, Definition]
    _known: dict[SegmentKey, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event], at: datetime, segments: Mapping[SegmentKey, Definition]) -> Evaluation:
        people: dict[str, list[Event]] = {}
        for event in distinct(event for event in events if event.occurred_at <= at):
            people.setdefault(event.user_id, []).append(event)
        return cls(milliseconds(at), people, segments)

    def members(self, definition: Definition) -> frozenset[str]:
        return frozenset(user_id for user_id in self.people if self._group(user_id, definition))

    def segment(self, key: SegmentKey) -> frozenset[str]:
        """The members of a segment that is referred to, worked out once."""
        if key not in self._known:
            self._known[key] = self.members(self.segments[key])
        return self._known[key]

    # -- boolean logic -------------------------------------------------------------------------------

    def holds(self, user_id: str, condition: Condition) -> bool:
        """Whether one condition of any type holds for one user of the universe."""
        kind = condition["type"]
        if kind == "group":
            return self._group(user_id, condition)
        if kind == "not":
            return not self.holds(user_id, condition["condition"])
        if kind == "segment_membership":
            wanted: bool = condition["operator"] == "in"
            return (user_id in self.segment(condition["segment_id"])) == wanted
        return LEAVES[kind](condition, self.people[user_id], self.at)

    def _group(self, user_id: str, group: Condition) -> bool:
        combine = all if group["logic"] == "AND" else any
        return combine(self.holds(user_id, condition) for condition in group["conditions"])


# -- which events a condition looks at -----------------------------------------------------------------------


def bounds(condition: Condition, at: int) -> tuple[int | None, int]:
    """The condition's window in milliseconds: low < occurred_at <= high; low is None when unbounded."""
    if condition.get("window_days") is not None:
        return at - span_ms(condition["window_days"], DAY_MS), at
    window = condition.get("window")
    if window is None:
        return None, at
    if "last" in window:
        return shifted(at, window["last"], window["unit"], -1), at
    if "unit" in window:
        low = shifted(at, window["from_ago"], window["unit"], -1) if "from_ago" in window else None
        return low, shifted(at, window.get("to_ago", 0), window["unit"], -1)
    return _absolute(window, at)


def _absolute(window: Condition, at: int) -> tuple[int | None, int]:
    start, end = date_ms(window.get("from")), date_ms(window.get("to"))
    # From is included and to excluded; instants are whole milliseconds.
    return (None if start is None else start - 1), (at if end is None else min(at, end - 1))


def within_window(condition: Condition, person: Person, at: int) -> list[Event]:
    """Those of the person's events that lie in the condition's window."""
    low, high = bounds(condition, at)
    return [e for e in person if (low is None or low < e.occurred_ms) and e.occurred_ms <= high]


def is_match(event: Event, wanted: Condition, at: int) -> bool:
    """Whether the event has the wanted type and satisfies every part of ``where``."""
    parts = () if wanted.get("operator") == "has_element" else wanted.get("where") or ()
    return event.event_type == wanted["event_type"] and all(satisfies(event.properties, part, at) for part in parts)


def matching(condition: Condition, person: Person, at: int) -> list[Event]:
    """The events a condition is about, in order."""
    return [event for event in within_window(condition, person, at) if is_match(event, condition, at)]


# -- leaves --------------------------------------------------------------------------------------------------


def _event_count(condition: Condition, person: Person, at: int) -> bool:
    return COMPARISONS[condition["operator"]](len(matching(condition, person, at)), condition["value"])


def _recency(condition: Condition, person: Person, at: int) -> bool:
    found = [event for event in person if is_match(event, condition, at)]
    if not found:
        return False
    age = at - found[-1].occurred_ms
    if condition["operator"] == "eq":
        return Decimal(age // DAY_MS) == Decimal(str(condition["window_days"]))
    limit = span_ms(condition["window_days"], DAY_MS)
    return age > limit if condition["operator"] == "gt" else age < limit


def _rounded(value: Fraction) -> Fraction:
    """To 6 places, halves away from zero."""
    units, remainder = divmod(abs(value) * 10**6, 1)
    units += remainder >= Fraction(1, 2)
    return Fraction(units, 10**6) * (-1 if value < 0 else 1)


def _median(amounts: list[Fraction]) -> Fraction:
    ranked = sorted(amounts)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


AGGREGATES: Mapping[str, Callable[[list[Fraction]], Fraction]] = {
    "sum": lambda amounts: sum(amounts, Fraction(0)),
    "avg": lambda amounts: sum(amounts, Fraction(0)) / len(amounts),
    "median": _median,
    "max": max,
    "min": min,
    "count_distinct": lambda amounts: Fraction(len(set(amounts))),
}
ROUNDED_METRICS = frozenset({"sum", "avg", "median"})


def _monetary(condition: Condition, person: Person, at: int) -> bool:
    found = [
        number(value)
        for event in matching(condition, person, at)
        for value in present(event.properties, condition["property"])
    ]
    amounts = [Fraction(amount) for amount in found if amount is not None]
    threshold = number(condition["value"])
    if not amounts or threshold is None:
        return False
    aggregate, limit = AGGREGATES[condition["metric"]](amounts), Fraction(threshold)
    if condition["metric"] in ROUNDED_METRICS:
        aggregate, limit = _rounded(aggregate), _rounded(limit)
    return COMPARISONS[condition["operator"]](aggregate, limit)


def _event_property(condition: Condition, person: Person, at: int) -> bool:
    found = matching(condition, person, at)
    return bool(found) and satisfies(found[-1].properties, condition, at)


def _identifications(person: Person) -> list[Event]:
    return [event for event in person if event.event_type == IDENTIFICATION]


def _user_property(condition: Condition, person: Person, at: int) -> bool:
    identified = _identifications(person)
    return satisfies(identified[-1].properties if identified else {}, condition, at)


def _property_held(condition: Condition, person: Person, at: int) -> bool:
    start: int | None = None
    for event in reversed(_identifications(person)):
        if not satisfies(event.properties, condition, at):
            break
        start = event.occurred_ms
    if start is None:
        return False
    span = condition.get("at_least") or condition["less_than"]
    long_enough = start <= shifted(at, span["last"], span["unit"], -1)
    return long_enough == (condition.get("at_least") is not None)


def _event_sequence(condition: Condition, person: Person, at: int) -> bool:
    wanted = [step if isinstance(step, Mapping) else {"event_type": step} for step in condition["events"]]
    seen = within_window(condition, person, at)
    follow = _adjacent if condition.get("strict") else _earliest
    for start, event in enumerate(seen):
        if not is_match(event, wanted[0], at):
            continue
        last = follow(seen, start, wanted, at)
        if last is not None and _near_enough(condition, event, last):
            return True
    return False


def _earliest(seen: Sequence[Event], start: int, wanted: Sequence[Condition], at: int) -> Event | None:
    """The last event of the sequence that begins at ``start`` and ends earliest."""
    last = seen[start]
    for step in wanted[1:]:
        later = (e for e in seen if e.occurred_at > last.occurred_at and is_match(e, step, at))
        found = next(later, None)
        if found is None:
            return None
        last = found
    return last


def _adjacent(seen: Sequence[Event], start: int, wanted: Sequence[Condition], at: int) -> Event | None:
    """The last event of the sequence that begins at ``start`` with nothing in between."""
    run = seen[start : start + len(wanted)]
    if len(run) < len(wanted) or not all(is_match(event, step, at) for event, step in zip(run, wanted, strict=True)):
        return None
    rising = all(before.occurred_at < after.occurred_at for before, after in pairwise(run))
    return run[-1] if rising else None


def _near_enough(condition: Condition, first: Event, last: Event) -> bool:
    within = condition.get("within")
    return within is None or last.occurred_ms <= shifted(first.occurred_ms, within["last"], within["unit"], +1)


def _first_event(condition: Condition, person: Person, at: int) -> bool:
    first = next((event for event in person if is_match(event, condition, at)), None)
    return first is not None and first in within_window(condition, [first], at)


def _regularity(condition: Condition, person: Person, at: int) -> bool:
    moments = [event.occurred_ms for event in person if is_match(event, condition, at)]
    last, unit = condition["period"]["last"], condition["period"]["unit"]
    edges = [shifted(at, last * k, unit, -1) for k in range(condition["periods"] + 1)]
    compare = COMPARISONS[condition["operator"]]
    kept = 0
    for newer, older in pairwise(edges):
        kept += compare(sum(older < moment <= newer for moment in moments), condition["value"])
    enough: bool = kept >= condition["min_periods"]
    return enough


LEAVES: Mapping[str, Callable[[Condition, Person, int], bool]] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _user_property,
    "event_sequence": _event_sequence,
    "first_event": _first_event,
    "regularity": _regularity,
    "property_held": _property_held,
}
