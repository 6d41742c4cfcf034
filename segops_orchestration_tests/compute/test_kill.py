"""kill -9 of the computing process, of the warehouse or of both, at any moment: the next computation heals all of it.

A run of all (``-m slow``) kills 110 times, a usual one 6 times. ``SEGOPS_KILL_SEED`` repeats the
choices of an earlier run; where within a statement a kill at a moment hits is up to the machine.
"""

from __future__ import annotations

import csv
import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Mode
from segops_orchestration.compute import lookup
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import stop
from segops_orchestration_tests.compute.killing import EXPORTED, Killer, Order, kill_warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import (
    DAY,
    IDENTIFIED,
    MINUTE,
    MS,
    ORDER,
    VIEW,
    all_of,
    any_of,
    event_count,
    membership,
    monetary,
    negated,
    sequence,
    user_property,
)
from segops_orchestration_tests.oracle.evaluate import Definition, Event, SegmentKey, members_of_all

SEED = int(os.environ.get("SEGOPS_KILL_SEED", "0")) or secrets.randbelow(1 << 32)

SLUG = "t_killed"
USERS = [f"user {number}" for number in range(40)]
# Three levels, so that a computation stages, applies and commits three times.
LEVELS: tuple[dict[str, Any], ...] = (
    {
        "recent": all_of(event_count("gte", 2, window_days=1)),
        "big": all_of(monetary("sum", "gte", 50)),
        "gold": all_of(user_property("plan", "eq", value="gold")),
        "path": all_of(sequence(VIEW, ORDER, window_days=2)),
    },
    {"either": any_of(membership("recent"), membership("gold"))},
    {"others": all_of(negated(membership("either")), event_count("gte", 1, VIEW))},
)
_REPLAY = """SELECT segment_id, user_id, groupArray(toString(change)), uniqExact(computation_id)
FROM (SELECT * FROM membership_changes ORDER BY segment_id, user_id, computation_id)
GROUP BY segment_id, user_id"""


@dataclass
class Story:
    """A tenant whose computations are killed one after another."""

    settings: Settings
    exports: Path
    rng: random.Random
    at: datetime
    clock_ahead: float = 0.0
    events: list[Event] = field(default_factory=list)
    answers: list[dict[SegmentKey, frozenset[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.warehouse = Warehouse.connect(self.settings)
        self.catalog = Catalog.open(
            self.settings, clock=lambda: datetime.now(UTC) + timedelta(seconds=self.clock_ahead)
        )
        self.catalog.create_tenant(SLUG)
        self.warehouse.tenant(SLUG).migrate()
        for level in LEVELS:
            self.tenant.define(level)
        self.definitions: dict[SegmentKey, Definition] = {
            slug: definition for level in LEVELS for slug, definition in level.items()
        }

    def _clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_ahead)

    @property
    def tenant(self) -> StoryTenant:
        return StoryTenant(self.catalog, self.warehouse, SLUG)

    def live_on(self) -> None:
        """Time passes, leases of the dead expire, events come in."""
        self.at += self.rng.randint(1, 60) * MINUTE
        self.clock_ahead += 120
        events = [self._event() for _ in range(self.rng.randint(1, 12))]
        self.events += events
        self.tenant.ingest(events)
        self.answers.append(members_of_all(self.definitions, self.events, self.at))

    def _event(self) -> Event:
        event_type = self.rng.choice([ORDER, ORDER, VIEW, VIEW, IDENTIFIED])
        payload = self.rng.choice(['{"total": 20}', '{"plan": "gold"}', '{"plan": "silver"}', "{}"])
        occurred_at = self.at - self.rng.randint(-3_600_000, 2 * 86_400_000) * MS
        number = UUID(int=len(self.events) * 1000 + self.rng.randrange(1000))
        received_at = datetime.now(UTC).replace(microsecond=0)
        return Event(number, self.rng.choice(USERS), event_type, occurred_at, received_at, payload)

    def order(self, mode: Mode) -> Order:
        return Order(
            mode,
            self.at.isoformat(),
            self.clock_ahead,
            rows_in_a_block=self.rng.choice([3, 1_000_000]),
            buckets=self.rng.choice([1, 3]),
        )

    def come_back(self) -> None:
        """Connect to the warehouse, starting it when it is dead."""
        self.warehouse.close()
        self.warehouse = Warehouse.connect(self.settings)

    def assert_healed_by_the_next_computation(self) -> None:
        self.clock_ahead += 120
        self.tenant.compute(self.rng.choice(["delta", "full"]), at=self.at)
        expected = self.answers[-1]
        assert self.tenant.all_members() == expected
        self._assert_lookup_agrees(expected)
        self._assert_changes_add_up(expected)
        assert {one.slug: one.members for one in self.catalog.segment_status(SLUG)} == {
            slug: len(users) for slug, users in expected.items()
        }
        assert self.catalog.unfinished(SLUG) == []
        assert "running" not in {one.status for one in self.catalog.list_computations(SLUG, limit=5)}
        assert self.catalog.lease_holder(SLUG) is None
        tables = "SELECT count() FROM system.tables WHERE database = {name:String} AND name LIKE 'membership_staging%'"
        assert self.tenant.database.query(tables, {"name": self.tenant.database.database}).result_rows == [(0,)]
        self._assert_export_is_whole_or_absent()

    def _assert_lookup_agrees(self, expected: dict[SegmentKey, frozenset[str]]) -> None:
        slugs = {segment.id: segment.slug for segment in self.catalog.list_segments(SLUG)}
        rows = self.tenant.database.query(f"SELECT user_id, arrayJoin(segment_ids) FROM {lookup.TABLE}").result_rows
        assert {(slugs[segment_id], user) for user, segment_id in rows} == {
            (slug, user) for slug, users in expected.items() for user in users
        }

    def _assert_changes_add_up(self, expected: dict[SegmentKey, frozenset[str]]) -> None:
        """Each user enters and exits in turns, in computations of their own, and the last change is what holds."""
        slugs = {segment.id: segment.slug for segment in self.catalog.list_segments(SLUG)}
        replayed: dict[SegmentKey, set[str]] = {slug: set() for slug in expected}
        for segment_id, user, changes, computations in self.tenant.database.query(_REPLAY).result_rows:
            assert list(changes) == (["entered", "exited"] * len(changes))[: len(changes)], (segment_id, user)
            assert computations == len(changes), (segment_id, user)
            if changes[-1] == "entered":
                replayed[slugs[segment_id]].add(user)
        assert replayed == expected

    def _assert_export_is_whole_or_absent(self) -> None:
        path = self.exports / f"{EXPORTED}.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file))
        assert header == ["user_id", "computed_at"]
        assert frozenset(user for user, _ in rows) in [answer[EXPORTED] for answer in self.answers]


@pytest.fixture
def story(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """With a warehouse of its own: the other tests need theirs."""
    monkeypatch.setattr(lookup, "TABLE_FROM_ROWS", 1)
    own = replace(settings, home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'catalog.db'}")
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * DAY
    story = Story(own, tmp_path / "exports", random.Random(SEED), at)
    story.exports.mkdir()
    yield story
    story.catalog.close()
    story.warehouse.close()
    stop(own)


@pytest.mark.parametrize("wanted", [6, pytest.param(110, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_is_healed_by_the_next_computation(wanted: int, story: Story) -> None:
    killer = Killer(story.settings, SLUG, story.exports)
    lengths = {mode: _measure(story, killer, mode) for mode in ("full", "delta")}
    kills, victims = 0, {"process": 0, "warehouse": 0, "both": 0}
    for _ in range(4 * wanted):
        if kills == wanted:
            break
        story.live_on()
        mode: Mode = story.rng.choice(["full", "delta"])
        victim = story.rng.choice(["process", "process", "warehouse", "both"])
        order = replace(
            story.order(mode), process=victim in ("process", "both"), warehouse=victim in ("warehouse", "both")
        )
        hit = _kill(story, killer, order, *lengths[mode])
        kills += hit
        victims[victim] += hit
        if order.warehouse:
            story.come_back()
        # Sometimes the computation that heals is killed too.
        if story.rng.random() < 0.7 or kills == wanted:
            story.assert_healed_by_the_next_computation()
    killer.close()
    print(f"seed {SEED}: {kills} kills, {victims}, steps and seconds of a computation {lengths}")  # noqa: T201
    assert kills == wanted


def _measure(story: Story, killer: Killer, mode: Mode) -> tuple[int, float]:
    """The steps and the seconds of a computation that nobody kills."""
    story.live_on()
    started = time.monotonic()
    killer.begin(story.order(mode))
    end = killer.end()
    assert end.status == 0
    return end.steps, time.monotonic() - started


def _kill(story: Story, killer: Killer, order: Order, steps: int, seconds: float) -> bool:
    """Kill at a step or at a moment of the computation; False when it was over before."""
    if story.rng.random() < 0.5:
        killer.begin(replace(order, step=story.rng.randint(1, steps)))
        return killer.end().status != 0
    pid = killer.begin(order)
    time.sleep(story.rng.uniform(0, seconds))
    if order.warehouse:
        kill_warehouse(story.settings)
    if order.process:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return killer.end().status != 0
