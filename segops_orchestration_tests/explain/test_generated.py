"""Generated definitions and histories: what is explained, for every user and condition, is what the oracle says.

``SEGOPS_EXPLAINED`` sets how many worlds a run tries, half of them from fixed seeds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.explain import flips
from segops_orchestration.explain.explain import ExplainedCondition, Explanation, explain
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.oracle.evaluate import (
    LEAVES,
    Evaluation,
    Event,
    Person,
    SegmentKey,
    is_match,
    matching,
)
from segops_orchestration_tests.oracle.histories import events_of
from segops_orchestration_tests.oracle.limits import dates_in
from segops_orchestration_tests.oracle.values import DAY_MS, Condition, milliseconds, number, present
from segops_orchestration_tests.oracle.vocabulary import START
from segops_orchestration_tests.oracle.worlds import World, draw_advance, draw_define, draw_world

WORLDS = int(os.environ.get("SEGOPS_EXPLAINED", "12"))
# Most events are at the start or some time before: seen from then they are yet to come, or about to age.
DAYS_BEFORE_START = (0, 0, 0, 1, 2, 7, 31, 62)


@dataclass
class Told:
    """A world of which everything has happened, and the instant to explain."""

    seed: int
    world: World
    segments: dict[SegmentKey, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    at: datetime = START
    _evaluations: dict[tuple[str, datetime], Evaluation] = field(default_factory=dict)

    def oracle(self, user: str, at: datetime) -> Evaluation:
        """The user at that instant; what was worked out once is kept."""
        if (user, at) not in self._evaluations:
            own = [event for event in self.events if event.user_id == user]
            self._evaluations[user, at] = Evaluation.of(own, at, self.segments)
        return self._evaluations[user, at]

    def instants(self, user: str) -> list[datetime]:
        """Whenever after ``at`` an answer about the user may change, and a millisecond before and after."""
        own = [event for event in self.events if event.user_id == user]
        occurred = {milliseconds(event.occurred_at) for event in own}
        dates = {date for event in own for date in dates_in(event.payload)}
        limits = {limit for found in self.world.limits.values() for limit in found}
        turns = set(occurred)
        for limit in limits:
            moments = dates if limit.event_types is None else occurred
            turns.update(turn for moment in moments for turn in limit.reached(moment))
        now = milliseconds(self.at)
        around = {turn + edge for turn in turns for edge in (-1, 0, 1)}
        return [START + timedelta(milliseconds=turn - milliseconds(START)) for turn in sorted(around) if turn > now]

    def of(self, user: str, found: Explanation) -> str:
        """What a failure is about."""
        return f"seed {self.seed}, {user!r} in {found.segment.slug!r} at {self.at}: {self.segments}"


def draw_told(seed: int, prefix: str) -> Told:
    random = Random(seed)
    world = draw_world(random, prefix)
    told = Told(seed, world)
    for index, slug in enumerate(world.slugs):
        told.segments[slug] = draw_define(random, world, slug, world.slugs[:index])["definition"]
    world.clock = -random.choice(DAYS_BEFORE_START) * DAY_MS
    if random.choice((False, True)):
        draw_advance(random, world)
    told.at = START + timedelta(milliseconds=world.clock)
    for batch in world.batches:
        told.events += events_of(batch, START)
    return told


Found = tuple[Told, str, Explanation]


@pytest.fixture(scope="module")
def explained(module_catalog: Catalog, warehouse: Warehouse) -> Iterator[list[Found]]:
    """Every user and segment of many worlds, which live in one tenant."""
    fresh = SystemRandom()
    seeds = [*range(WORLDS // 2), *(fresh.randrange(10**9) for _ in range(WORLDS - WORLDS // 2))]
    told = [draw_told(seed, f"w{number}-") for number, seed in enumerate(seeds)]
    with tenants(module_catalog, warehouse) as make:
        tenant = make()
        for one in told:
            tenant.define({str(slug): definition for slug, definition in one.segments.items()})
        tenant.ingest([event for one in told for event in one.events], datetime.now(UTC) - START)
        with pytest.MonkeyPatch.context() as patch:
            found = []
            for number, one in enumerate(told):
                # Every other world is searched as if each leaf had many turns.
                patch.setattr(flips, "MANY_TURNS", 1 if number % 2 else 64)
                found += [
                    (one, user, explain(module_catalog, warehouse, tenant.slug, str(slug), user, at=one.at))
                    for user in one.world.users
                    for slug in one.segments
                ]
        yield found


def conditions(condition: ExplainedCondition) -> Iterator[ExplainedCondition]:
    """All below it, in document order."""
    for inner in condition.conditions:
        yield inner
        yield from conditions(inner)


def answers(evaluation: Evaluation, user: str, found: Explanation) -> dict[str, bool]:
    """What the oracle says of the membership, under the empty path, and of each condition; all false of nobody."""
    exists = user in evaluation.people
    said = {"": user in evaluation.segment(found.segment.slug)}
    for condition in conditions(found.definition):
        said[condition.path] = exists and evaluation.holds(user, condition.document)
    return said


def test_verdicts_of_the_membership_and_of_each_condition_are_those_of_the_oracle(explained: list[Found]) -> None:
    for told, user, found in explained:
        now = told.oracle(user, told.at)
        expected = answers(now, user, found)
        holds = {"": found.is_member, **{one.path: one.holds for one in conditions(found.definition)}}
        asked = list(holds) if user in now.people else [""]
        assert {path: holds[path] for path in asked} == {path: expected[path] for path in asked}, told.of(user, found)


def test_they_flip_by_time_alone_when_the_oracle_s_verdicts_do_and_not_before(explained: list[Found]) -> None:
    for told, user, found in explained:
        now = told.oracle(user, told.at)
        before = answers(now, user, found)
        flipped = {"": found.flips_at, **{one.path: one.flips_at for one in conditions(found.definition)}}
        expected: dict[str, datetime | None] = dict.fromkeys(flipped if user in now.people else [""])
        for at in told.instants(user):
            verdicts = answers(told.oracle(user, at), user, found)
            for path, known in expected.items():
                if known is None and verdicts[path] != before[path]:
                    expected[path] = at
        assert {path: flipped[path] for path in expected} == expected, told.of(user, found)
        assert found.no_flip_before is None


def test_some_members_leave_some_others_enter_and_some_never_do(explained: list[Found]) -> None:
    kinds = {(found.is_member, found.flips_at is not None) for _, _, found in explained}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_what_was_found_is_what_the_oracle_finds(explained: list[Found]) -> None:
    for told, user, found in explained:
        person = told.oracle(user, told.at).people.get(user, [])
        for condition in conditions(found.definition):
            if condition.type in FACTS:
                expected = FACTS[condition.type](condition.document, person, milliseconds(told.at))
                assert condition.actual is not None
                got = {name: condition.actual[name] for name in expected}
                assert got == expected, (condition.path, told.of(user, found))


def test_the_events_that_decided_are_the_user_s_own(explained: list[Found]) -> None:
    for told, user, found in explained:
        person = told.oracle(user, told.at).people.get(user, [])
        own = {(str(event.event_id), event.event_type, event.occurred_at) for event in person}
        for condition in conditions(found.definition):
            decided = [(event.event_id, event.event_type, event.occurred_at) for event in condition.decided_by]
            assert set(decided) <= own, (condition.path, told.of(user, found))
            if condition.type == "event_sequence":
                assert [occurred_at for _, _, occurred_at in decided] == sorted({each[2] for each in decided})


# -- what the oracle finds -----------------------------------------------------------------------------------


def _count(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    return {"count": len(matching(condition, person, at))}


def _age(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    found = [event for event in person if is_match(event, condition, at)]
    return {"age_seconds": (at - found[-1].occurred_ms) / 1000 if found else None}


def _amount(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    """The number of amounts; the aggregate is compared by the verdict, which the oracle shares."""
    found = [
        number(value)
        for event in matching(condition, person, at)
        for value in present(event.properties, condition["property"])
    ]
    return {"amounts": len([amount for amount in found if amount is not None])}


def _steps(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    reached = 0
    for length in range(1, len(condition["events"]) + 1):
        if not LEAVES["event_sequence"]({**condition, "events": condition["events"][:length]}, person, at):
            break
        reached = length
    return {"steps_reached": reached, "steps": len(condition["events"])}


def _first(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    return {"first_occurred_at": next((e.occurred_at for e in person if is_match(e, condition, at)), None)}


def _periods(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    """As many periods are kept as the oracle finds enough."""
    needed = range(condition["periods"], 0, -1)
    kept = (least for least in needed if LEAVES["regularity"]({**condition, "min_periods": least}, person, at))
    return {"periods_kept": next(kept, 0), "periods": condition["periods"]}


def _held(condition: Condition, person: Person, at: int) -> dict[str, Any]:
    return {"holds": any(LEAVES["property_held"]({**condition, **span}, person, at) for span in EITHER_SIDE)}


EITHER_SIDE: tuple[Condition, ...] = (
    {"at_least": {"last": 1, "unit": "day"}},
    {"at_least": None, "less_than": {"last": 1, "unit": "day"}},
)
FACTS: Mapping[str, Callable[[Condition, Person, int], dict[str, Any]]] = {
    "event_count": _count,
    "recency": _age,
    "monetary": _amount,
    "event_sequence": _steps,
    "first_event": _first,
    "regularity": _periods,
    "property_held": _held,
}
