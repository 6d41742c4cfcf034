"""Generated histories: that they are what they say, and that they find the mistakes they are meant to find."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from segops_orchestration_tests.oracle import evaluate, values
from segops_orchestration_tests.oracle.conftest import Drawn
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
from segops_orchestration_tests.oracle.limits import event_types_of
from segops_orchestration_tests.oracle.values import COMPARISONS, DAY_MS, Condition, number, present, satisfies

FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
    amounts = [v for e in evaluate.matching(condition, person, at) for v in _numbers(e, condition)]
    compare = COMPARISONS[condition["operator"]]
    return LEAVES["monetary"](condition, person, at) if amounts else compare(0, condition["value"])


def _binary_sums(condition: Condition, person: Person, at: int) -> bool:
    amounts = [float(v) for e in evaluate.matching(condition, person, at) for v in _numbers(e, condition)]
    if not amounts or condition["metric"] not in ("sum", "avg"):
        return LEAVES["monetary"](condition, person, at)
    total = 0.0
    for amount in amounts:
        total += amount
    found = total if condition["metric"] == "sum" else total / len(amounts)
    return COMPARISONS[condition["operator"]](found, condition["value"])


def _numbers(event: Event, condition: Condition) -> list[Any]:
    found = [number(value) for value in present(event.properties, condition["property"])]
    return [amount for amount in found if amount is not None]


def _strict_is_ignored(condition: Condition, person: Person, at: int) -> bool:
    return LEAVES["event_sequence"]({**condition, "strict": False}, person, at)


def _strict_sees_its_types_only(condition: Condition, person: Person, at: int) -> bool:
    types = event_types_of(condition)
    return LEAVES["event_sequence"](condition, [event for event in person if event.event_type in types], at)


def _where_is_ignored(event: Event, wanted: Condition, at: int) -> bool:
    return bool(event.event_type == wanted["event_type"])


def _one_of_where_is_enough(event: Event, wanted: Condition, at: int) -> bool:
    parts = () if wanted.get("operator") == "has_element" else wanted.get("where") or ()
    holds = [satisfies(event.properties, part, at) for part in parts]
    return event.event_type == wanted["event_type"] and (not holds or any(holds))


def _months_of_thirty_days(instant_ms: int, amount: Any, unit: str, direction: int) -> int:
    days = {"month": 30, "year": 365}.get(unit)
    return shifted(instant_ms, amount * (days or 1), "day" if days else unit, direction)


def _short_months_spill_over(instant_ms: int, amount: Any, unit: str, direction: int) -> int:
    """31 January and a month is 3 March."""
    if unit not in ("month", "year"):
        return shifted(instant_ms, amount, unit, direction)
    day = datetime.fromtimestamp(instant_ms / 1000, UTC).day
    return shifted(instant_ms - (day - 1) * DAY_MS, amount, unit, direction) + (day - 1) * DAY_MS


def _within_is_ignored(condition: Condition, first: Event, last: Event) -> bool:
    return True


def _within_excludes_its_limit(condition: Condition, first: Event, last: Event) -> bool:
    within = condition.get("within")
    if within is None:
        return True
    limit: int = shifted(first.occurred_ms, within["last"], within["unit"], +1)
    return last.occurred_ms < limit


def _any_event_may_be_the_first(condition: Condition, person: Person, at: int) -> bool:
    return bool(evaluate.matching(condition, person, at))


def _one_period_more(condition: Condition, person: Person, at: int) -> bool:
    return LEAVES["regularity"]({**condition, "periods": condition["periods"] + 1}, person, at)


def _older_edges_are_inside(condition: Condition, person: Person, at: int) -> bool:
    return LEAVES["regularity"](condition, person, at - 1)


def _held_since_the_latest_identification(condition: Condition, person: Person, at: int) -> bool:
    identified = [event for event in person if event.event_type == evaluate.IDENTIFICATION]
    return LEAVES["property_held"](condition, identified[-1:], at)


def _lower_median(amounts: list[Any]) -> Any:
    return sorted(amounts)[(len(amounts) - 1) // 2]


def _relative_dates_include_both_ends(value: Any, at: int, low: int | None, high: int | None) -> bool:
    return _relative(value, at, None if low is None else low - 1, high)


distinct, bounds, LEAVES = evaluate.distinct, evaluate.bounds, dict(evaluate.LEAVES)
shifted, _relative = values.shifted, values._relative

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
    "is_match: where is ignored": _where_is_ignored,
    "is_match: one of where is enough": _one_of_where_is_enough,
    "shifted: months of thirty days": _months_of_thirty_days,
    "shifted: short months spill over": _short_months_spill_over,
    "_near_enough: within is ignored": _within_is_ignored,
    "_near_enough: within excludes its limit": _within_excludes_its_limit,
    "first_event: any event may be the first": _any_event_may_be_the_first,
    "regularity: one period more": _one_period_more,
    "regularity: older edges are inside": _older_edges_are_inside,
    "property_held: since the latest identification": _held_since_the_latest_identification,
    "median: the lower of two": _lower_median,
    "_relative: dates include both ends": _relative_dates_include_both_ends,
}


def _computations(history: History) -> list[Compute]:
    return [step for step in replay(history) if isinstance(step, Compute)]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_histories_find_a_mistake_in_an_evaluator(mistake: str, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    place = mistake.partition(":")[0]
    for module, table in ((evaluate, "LEAVES"), (evaluate, "AGGREGATES"), (values, "POSITIVE")):
        if place in getattr(module, table):
            monkeypatch.setattr(module, table, {**getattr(module, table), place: MISTAKES[mistake]})
    for module in (evaluate, values):
        if hasattr(module, place):
            monkeypatch.setattr(module, place, MISTAKES[mistake])
    assert any(_computations(history) != right for history, right in drawn)


def test_histories_find_a_delta_that_looks_at_new_arrivals_only(drawn: Drawn) -> None:
    assert any(_by_arrivals_alone(history) != [c.expected for c in right] for history, right in drawn)


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
