"""Generated histories: that they are what they say, and that they find the mistakes they are meant to find."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from segops_orchestration_tests.oracle import evaluate
from segops_orchestration_tests.oracle.evaluate import Event, Person
from segops_orchestration_tests.oracle.histories import (
    Compute,
    Define,
    History,
    Ingest,
    draw_history,
    histories,
    replay,
)
from segops_orchestration_tests.oracle.values import COMPARISONS, Condition, number, present, satisfies

FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MOST_TRIED = 300


@FEW
@given(histories())
def test_a_history_is_one_json_value(history: History) -> None:
    assert json.loads(json.dumps(history)) == history


@FEW
@given(histories())
def test_a_history_ends_with_a_computation(history: History) -> None:
    assert history["steps"][-1]["do"] == "compute"


@FEW
@given(histories())
def test_a_segment_refers_to_segments_defined_before_it(history: History) -> None:
    defined: set[str] = set()
    for step in history["steps"]:
        if step["do"] == "define":
            assert set(_references(step["definition"])) <= defined
            defined.add(step["slug"])


@FEW
@given(histories())
def test_which_delivery_of_an_event_is_the_first_is_never_in_doubt(history: History) -> None:
    batches = [step.events for step in replay(history) if isinstance(step, Ingest)]
    assert len({events[0].ingested_at for events in batches}) == len(batches)
    for events in batches:
        payloads: dict[object, set[str]] = {}
        for event in events:
            payloads.setdefault(event.identity, set()).add(event.payload)
        assert all(len(texts) == 1 for texts in payloads.values())


def test_one_seed_is_one_history() -> None:
    assert draw_history(Random(7)) == draw_history(Random(7)) != draw_history(Random(8))


def _references(document: dict[str, Any]) -> Iterable[str]:
    if document.get("type") == "segment_membership":
        yield document["segment_id"]
    for inner in [*document.get("conditions", []), *([document["condition"]] if "condition" in document else [])]:
        yield from _references(inner)


# -- mistakes that the histories must find ---------------------------------------------------------------


def _last_delivery_wins(events: Iterable[Event]) -> list[Event]:
    latest = {event.identity: event for event in sorted(events, key=lambda event: event.ingested_at)}
    return sorted(latest.values(), key=lambda event: event.order)


def _every_delivery_counts(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.order)


def _ids_by_second_half(events: Iterable[Event]) -> list[Event]:
    found = distinct(events)
    return sorted(found, key=lambda e: (e.occurred_at, e.ingested_at, e.event_id.int & (2**64 - 1)))


def _arrival_orders(events: Iterable[Event]) -> list[Event]:
    return sorted(distinct(events), key=lambda e: (e.ingested_at, e.occurred_at, e.event_id))


def _window_includes_its_edge(condition: Condition, at: int) -> tuple[int | None, int]:
    low, high = bounds(condition, at)
    return (None if low is None else low - 1), high


def _properties_pile_up(condition: Condition, person: Person, at: int) -> bool:
    properties: dict[str, Any] = {}
    for event in person:
        if event.event_type == evaluate.IDENTIFICATION:
            properties.update(event.properties)
    return satisfies(properties, condition, at)


def _unknown_users_match_nothing(condition: Condition, person: Person, at: int) -> bool:
    known = any(event.event_type == evaluate.IDENTIFICATION for event in person)
    return known and LEAVES["user_property"](condition, person, at)


def _no_event_is_an_empty_event(condition: Condition, person: Person, at: int) -> bool:
    found = evaluate.matching(condition, person, at)
    return satisfies(found[-1].properties if found else {}, condition, at)


def _never_is_long_ago(condition: Condition, person: Person, at: int) -> bool:
    fired = any(event.event_type == condition["event_type"] for event in person)
    return LEAVES["recency"](condition, person, at) if fired else condition["operator"] == "gt"


def _limit_is_older(condition: Condition, person: Person, at: int) -> bool:
    return LEAVES["recency"](condition, person, at + (condition["operator"] == "gt"))


def _nothing_amounts_to_zero(condition: Condition, person: Person, at: int) -> bool:
    values = [v for e in evaluate.matching(condition, person, at) for v in _numbers(e, condition)]
    compare = COMPARISONS[condition["operator"]]
    return LEAVES["monetary"](condition, person, at) if values else compare(0, condition["value"])


def _binary_sums(condition: Condition, person: Person, at: int) -> bool:
    values = [float(v) for e in evaluate.matching(condition, person, at) for v in _numbers(e, condition)]
    if not values or condition["metric"] == "max":
        return LEAVES["monetary"](condition, person, at)
    total = 0.0
    for value in values:
        total += value
    found = total if condition["metric"] == "sum" else total / len(values)
    return COMPARISONS[condition["operator"]](found, condition["value"])


def _numbers(event: Event, condition: Condition) -> list[Any]:
    found = [number(value) for value in present(event.properties, condition["property"])]
    return [value for value in found if value is not None]


def _strict_is_ignored(condition: Condition, person: Person, at: int) -> bool:
    return LEAVES["event_sequence"]({**condition, "strict": False}, person, at)


def _strict_sees_its_types_only(condition: Condition, person: Person, at: int) -> bool:
    seen = [event for event in person if event.event_type in condition["events"]]
    return LEAVES["event_sequence"](condition, seen, at)


distinct, bounds, LEAVES = evaluate.distinct, evaluate.bounds, dict(evaluate.LEAVES)

MISTAKES: dict[str, Callable[..., Any]] = {
    "distinct: the last delivery wins": _last_delivery_wins,
    "distinct: every delivery counts": _every_delivery_counts,
    "distinct: ids are ordered by their second half": _ids_by_second_half,
    "distinct: arrival orders": _arrival_orders,
    "bounds: a window includes its edge": _window_includes_its_edge,
    "user_property: identifications pile up": _properties_pile_up,
    "user_property: unknown users match nothing": _unknown_users_match_nothing,
    "event_property: no event is an empty event": _no_event_is_an_empty_event,
    "recency: never is long ago": _never_is_long_ago,
    "recency: the limit itself is older": _limit_is_older,
    "monetary: nothing amounts to zero": _nothing_amounts_to_zero,
    "monetary: sums in binary": _binary_sums,
    "event_sequence: strict is ignored": _strict_is_ignored,
    "event_sequence: strict sees its own types only": _strict_sees_its_types_only,
}


@pytest.fixture(scope="module")
def expected() -> list[tuple[History, list[Compute]]]:
    """Many histories with what the oracle expects."""
    drawn = [draw_history(Random(seed)) for seed in range(MOST_TRIED)]
    return [(history, _computations(history)) for history in drawn]


def _computations(history: History) -> list[Compute]:
    return [step for step in replay(history) if isinstance(step, Compute)]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_histories_find_a_mistake_in_an_evaluator(
    mistake: str, expected: list[tuple[History, list[Compute]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = mistake.partition(":")[0]
    if place in LEAVES:
        monkeypatch.setattr(evaluate, "LEAVES", {**LEAVES, place: MISTAKES[mistake]})
    else:
        monkeypatch.setattr(evaluate, place, MISTAKES[mistake])
    assert any(_computations(history) != right for history, right in expected)


def test_histories_find_a_delta_that_looks_at_new_arrivals_only(
    expected: list[tuple[History, list[Compute]]],
) -> None:
    assert any(_by_arrivals_alone(history) != [c.expected for c in right] for history, right in expected)


def _by_arrivals_alone(history: History) -> list[dict[str, frozenset[str]]]:
    """The members after each computation if a delta evaluates just the users of new events."""
    held: dict[str, frozenset[str]] = {}
    arrived: set[str] = set()
    edited: set[str] = set()
    found = []
    for step in replay(history):
        match step:
            case Define(slug, _):
                edited.add(slug)
            case Ingest(events):
                arrived |= {event.user_id for event in events}
            case Compute(mode, _, expected):
                for slug, members in expected.items():
                    seen = members if mode == "full" or slug in edited else members & arrived
                    kept = frozenset() if mode == "full" or slug in edited else held[slug] - arrived
                    held[slug] = seen | kept
                found.append(dict(held))
                arrived, edited = set(), set()
    return found
