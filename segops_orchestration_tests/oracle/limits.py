"""The time limits of a definition: where answers change though nothing more happens (section 4 of the DSL page).

Written from that page, for generated histories to step onto; what the engine takes for its limits is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from segops_orchestration_tests.oracle.evaluate import IDENTIFICATION
from segops_orchestration_tests.oracle.values import DAY_MS, Json, date_ms, parsed, shifted
from segops_orchestration_tests.oracle.vocabulary import CALENDAR_UNITS

Document = Mapping[str, Any]


@dataclass(frozen=True)
class TimeLimit:
    """An instant of one of ``event_types`` (None: a date in a payload) matters anew when T passes it by so much.

    ``direction`` -1 is about the instant ``amount`` units before T, +1 about the one after it. ``inclusive``: at the
    limit itself nothing has changed yet.
    """

    event_types: frozenset[str] | None
    amount: float = 0
    unit: str = "second"
    direction: int = -1
    inclusive: bool = False

    def reached(self, instant_ms: int) -> tuple[int, ...]:
        """The values of T, as milliseconds, from which on ``instant_ms`` lies on the other side of the limit."""
        found = crossings(instant_ms, self.amount, self.unit, self.direction)
        return tuple(at + self.inclusive for at in found)


@lru_cache(maxsize=65536)
def crossings(instant_ms: int, amount: float, unit: str, direction: int) -> tuple[int, ...]:
    """Each T at which ``shifted(T) >= instant_ms`` begins or ceases to be true.

    Once for exact units. For months and years several times, perhaps: a month before 28 March, noon, is 28 February,
    noon; a month before the first moment of 29 March is 28 February, midnight.
    """
    around = shifted(instant_ms, amount, unit, -direction)
    if unit not in CALENDAR_UNITS:
        return (around,)
    midnight = around - around % DAY_MS
    days = range(midnight - 4 * DAY_MS, midnight + 5 * DAY_MS, DAY_MS)
    candidates = sorted({moment for day in days for moment in (day, day + instant_ms % DAY_MS)})

    def passed(at: int) -> bool:
        return shifted(at, amount, unit, direction) >= instant_ms

    return tuple(at for at in candidates if passed(at) != passed(at - 1))


def time_limits(definition: Document) -> list[TimeLimit]:
    """All limits of a definition or condition, each once."""
    return list(dict.fromkeys(_limits(definition)))


def _limits(document: Document) -> Iterator[TimeLimit]:
    for inner in document.get("conditions", ()):
        yield from _limits(inner)
    if "condition" in document:
        yield from _limits(document["condition"])
    if "type" not in document:
        return
    yield from _date_limits(document)
    types = event_types_of(document)
    if document["type"] == "recency":
        yield TimeLimit(types, document["window_days"], "day", inclusive=document["operator"] == "gt")
        if document["operator"] == "eq":
            yield TimeLimit(types, document["window_days"] + 1, "day")
        return
    yield from _window_limits(document, types)
    if document["type"] == "regularity":
        period = document["period"]
        for number in range(1, document["periods"] + 1):
            yield TimeLimit(types, period["last"] * number, period["unit"])
    for name in ("at_least", "less_than"):
        if name in document:
            yield TimeLimit(types, document[name]["last"], document[name]["unit"])


def event_types_of(condition: Document) -> frozenset[str]:
    """The types of the events that a condition looks at."""
    if condition["type"] == "event_sequence":
        return frozenset(step if isinstance(step, str) else step["event_type"] for step in condition["events"])
    return frozenset({condition.get("event_type", IDENTIFICATION)})


def _window_limits(condition: Document, types: frozenset[str]) -> Iterator[TimeLimit]:
    if condition.get("window_days") is not None:
        yield TimeLimit(types, condition["window_days"], "day")
    window = condition.get("window") or {}
    for name in ("last", "from_ago", "to_ago"):
        if window.get(name):
            yield TimeLimit(types, window[name], window["unit"])


def _date_limits(test: Document) -> Iterator[TimeLimit]:
    """Of the date operators in a condition, its filters, its steps and the filters on elements."""
    operator, span = test.get("operator"), test.get("value")
    if operator in ("in_last", "in_next"):
        yield TimeLimit(None)
    if operator in ("in_last", "before_last", "in_next") and isinstance(span, Mapping):
        yield TimeLimit(None, span["last"], span["unit"], +1 if operator == "in_next" else -1)
    steps = [step for step in test.get("events", ()) if isinstance(step, Mapping)]
    for part in (*test.get("where", ()), *steps):
        yield from _date_limits(part)


@lru_cache(maxsize=4096)
def dates_in(payload: str) -> frozenset[int]:
    """Every date in a payload, as milliseconds."""
    return frozenset(_dates(parsed(payload)))


def _dates(value: Json) -> Iterator[int]:
    found = date_ms(value)
    if found is not None:
        yield found
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for element in inner:
        yield from _dates(element)
