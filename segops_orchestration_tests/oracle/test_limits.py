"""The time limits that histories step onto: that they are all there are, and that histories miss each one left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from segops_orchestration_tests.oracle.conftest import Drawn
from segops_orchestration_tests.oracle.evaluate import Event
from segops_orchestration_tests.oracle.histories import Compute, Define, History, Ingest, replay
from segops_orchestration_tests.oracle.limits import TimeLimit, crossings, dates_in, time_limits
from segops_orchestration_tests.oracle.values import milliseconds
from segops_orchestration_tests.oracle.vocabulary import START

Limits = Callable[[dict[str, Any]], Iterable[TimeLimit]]


def _ms(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("instant", "amount", "unit", "direction", "expected"),
    [
        ("2026-01-31", 36, "hour", -1, ["2026-02-01T12:00"]),
        ("2026-01-31", 36, "hour", +1, ["2026-01-29T12:00"]),
        ("2026-01-15T12:00", 1, "month", -1, ["2026-02-15T12:00"]),
        # A month before any moment of 29, 30 and 31 March is 28 February, at the same time of day.
        (
            "2026-02-28T12:00",
            1,
            "month",
            -1,
            [f"2026-03-{day}T{hour}" for day in (28, 29, 30, 31) for hour in ("00:00", "12:00")][1:],
        ),
        # No month before any moment of February is 30 January.
        ("2026-01-30", 1, "month", -1, ["2026-03-01"]),
        ("2024-02-29", 1, "year", -1, ["2025-03-01"]),
    ],
)
def test_an_instant_is_crossed(instant: str, amount: int, unit: str, direction: int, expected: list[str]) -> None:
    assert crossings(_ms(instant), amount, unit, direction) == tuple(map(_ms, expected))


# -- a delta in plain Python -----------------------------------------------------------------------------


def _agrees(drawn: Drawn, limits: Limits) -> bool:
    """Whether such a delta leaves the right members after each computation of all histories."""
    return all(_by_delta(history, right, limits) == [c.expected for c in right] for history, right in drawn)


def _by_delta(history: History, right: Iterable[Compute], limits: Limits) -> list[dict[str, frozenset[str]]]:
    """The members after each computation if a delta evaluates arrivals, and the users of the instants crossed."""
    held: dict[str, frozenset[str]] = {}
    definitions: dict[str, dict[str, Any]] = {}
    events: list[Event] = []
    fresh: set[str] = set()
    edited: set[str] = set()
    before = milliseconds(START)
    found = []
    answers = iter(right)
    for step in replay(history, judged=False):
        match step:
            case Define(slug, definition):
                definitions[slug] = definition
                edited.add(slug)
            case Ingest(batch):
                events += batch
                fresh |= {event.user_id for event in batch}
            case Compute(_, at, _):
                now, expected = milliseconds(at), next(answers).expected
                due = {event.user_id for event in events if before < event.occurred_ms <= now}
                moved: dict[str, frozenset[str]] = {}
                for slug in definitions:
                    candidates = fresh | due | _crossed(limits(definitions[slug]), events, before, now)
                    candidates |= {user for key in _references(definitions[slug]) for user in moved[key]}
                    was = held.get(slug, frozenset())
                    new = expected[slug] if slug in edited else (expected[slug] & candidates) | (was - candidates)
                    moved[slug] = was ^ new
                    held[slug] = new
                found.append(dict(held))
                before, fresh, edited = now, set(), set()
    return found


def _references(document: dict[str, Any]) -> Iterable[str]:
    if document.get("type") == "segment_membership":
        yield document["segment_id"]
    for inner in [*document.get("conditions", []), *([document["condition"]] if "condition" in document else [])]:
        yield from _references(inner)


def _crossed(limits: Iterable[TimeLimit], events: Iterable[Event], before: int, now: int) -> set[str]:
    return {
        event.user_id
        for limit in limits
        for event in events
        if limit.event_types is None or event.event_type in limit.event_types
        for instant in (dates_in(event.payload) if limit.event_types is None else (event.occurred_ms,))
        if any(before < turn <= now for turn in limit.reached(instant))
    }


def test_a_delta_by_these_limits_is_exact(drawn: Drawn) -> None:
    assert _agrees(drawn, time_limits)


class _OnceOnly(TimeLimit):
    """A limit of months that is crossed once, as one of days is."""

    def reached(self, instant_ms: int) -> tuple[int, ...]:
        return super().reached(instant_ms)[:1]


def _once_only(definition: dict[str, Any]) -> Iterable[TimeLimit]:
    return [_OnceOnly(**vars(one)) for one in time_limits(definition)]


def _without(is_left_out: Callable[[TimeLimit], bool]) -> Limits:
    return lambda definition: [limit for limit in time_limits(definition) if not is_left_out(limit)]


def _of_type(kind: str, fields: Iterable[str]) -> Limits:
    """The limits of a definition in which one type of condition has lost the fields that make its limits."""

    def strip(document: Any) -> Any:
        if isinstance(document, list):
            return [strip(inner) for inner in document]
        if not isinstance(document, dict):
            return document
        lost = fields if document.get("type") == kind else ()
        return {name: strip(value) for name, value in document.items() if name not in lost}

    return lambda definition: time_limits(strip(definition))


def _as_if_never_inclusive(definition: dict[str, Any]) -> Iterable[TimeLimit]:
    return [TimeLimit(**{**vars(one), "inclusive": False}) for one in time_limits(definition)]


LEFT_OUT: dict[str, Limits] = {
    "that a recency limit itself is not older": _as_if_never_inclusive,
    "windows of months and years that move back": _once_only,
    "months and years": _without(lambda limit: limit.unit in ("month", "year")),
    "dates that come due": _without(lambda limit: limit.event_types is None and not limit.amount),
    "dates that T will reach": _without(lambda limit: limit.direction == 1),
    "dates that grow old": _without(lambda limit: limit.event_types is None and limit.amount > 0),
    **{
        f"windows of {kind}": _of_type(kind, ("window", "window_days"))
        for kind in ("event_count", "monetary", "event_property", "event_sequence", "first_event")
    },
    "held properties": _of_type("property_held", ("at_least", "less_than")),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_histories_find_a_delta_that_leaves_out_limits(what: str, drawn: Drawn) -> None:
    assert not _agrees(drawn, LEFT_OUT[what])
