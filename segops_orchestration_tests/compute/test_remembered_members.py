"""Memberships kept in memory say what the warehouse says after whatever happened, or that they do not know."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from segops_orchestration.compute import remembered_members
from segops_orchestration.compute.identities import alias
from segops_orchestration.compute.lookup import MembershipLookup
from segops_orchestration.compute.membership_snapshot import MembershipSnapshot, load_snapshot
from segops_orchestration.compute.remembered_members import RememberedMembers
from segops_orchestration.erasure.erase import Surroundings, begin, finish
from segops_orchestration_tests.compute.computing import Crash, at_step, crash
from segops_orchestration_tests.compute.story import T0, T1, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count, membership
from segops_orchestration_tests.oracle.histories import Compute, Define, Ingest, draw_history, replay
from segops_orchestration_tests.oracle.vocabulary import USERS as GENERATED_USERS

LEAVES, STAYS, COMES, STRANGER = "leaves", "stays", "Ünï 'quoted'\n", "never heard of"
USERS = (LEAVES, STAYS, COMES, STRANGER, "", "\ud800")
ROOM = 64 << 20
OFTEN = 1000


class Remembering:
    """Memory of one tenant, and how often it was loaded and brought on."""

    def __init__(self, tenant: StoryTenant, room: int = ROOM) -> None:
        self.tenant = tenant
        self.members = RememberedMembers(tenant.catalog.service.checks, tenant.warehouse.tenant, room)

    def now(self) -> MembershipSnapshot | None:
        """What it knows of this moment; asking lets it begin to learn."""
        return self.members.of(self.tenant.slug, self.tenant.catalog.service.checks.state(self.tenant.slug, ()), OFTEN)

    def learnt(self) -> MembershipSnapshot:
        """What it knows of this moment, once it does."""
        deadline = time.monotonic() + 30
        while (found := self.now()) is None:
            assert time.monotonic() < deadline, "it does not learn"
            time.sleep(0.005)
        return found

    def learns_nothing(self) -> bool:
        """Whether it knows nothing, after what it has begun."""
        nothing = self.now() is None
        self.members._worker.submit(lambda: None).result(30)
        return nothing and self.now() is None

    def assert_agrees(self, users: Iterable[str] = USERS) -> None:
        """It says of each user what the warehouse says, of the segments that are active."""
        snapshot, asked = self.learnt(), MembershipLookup(self.tenant.database)
        active = {one.id for one in self.tenant.catalog.list_segments(self.tenant.slug)}
        for user in users:
            stored = asked.segments_of(user) if user.isprintable() or user == COMES else {}
            known = snapshot.entries(user)
            assert {key: known[key] for key in known if key in active} == {
                key: stored[key] for key in stored if key in active
            }, user


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be loaded is tried again without a pause."""
    monkeypatch.setattr(remembered_members, "_AGAIN_SECONDS", 0.0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that everything was loaded."""
    times: list[None] = []

    def load(*arguments: object) -> MembershipSnapshot:
        times.append(None)
        return load_snapshot(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(remembered_members, "load_snapshot", load)
    return times


@pytest.fixture
def moving(tenant: StoryTenant) -> StoryTenant:
    """Two users, of whom one leaves by T1; a segment, its opposite, and one that refers; computed at T0."""
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    tenant.define({"others": all_of(event_count("eq", 0, window_days=1)), "in": all_of(membership("recent"))})
    tenant.ingest([*ordered(LEAVES, at=T1 - days(1)), *ordered(STAYS, at=T0)])
    tenant.compute("full", at=T0)
    return tenant


@pytest.fixture
def memory(moving: StoryTenant) -> Iterator[Remembering]:
    made = Remembering(moving)
    yield made
    made.members.close()


def test_each_computation_is_followed_without_loading_again(memory: Remembering, loads: list[None]) -> None:
    memory.assert_agrees()
    memory.tenant.ingest(ordered(COMES, at=T0))
    memory.tenant.compute("delta", at=T1)
    memory.assert_agrees()
    assert {one for one in USERS if memory.learnt().entries(one)} == {LEAVES, STAYS, COMES}
    memory.tenant.define({"recent": all_of(event_count("gte", 2))})
    memory.tenant.compute("full", at=T1 + HOUR)
    memory.assert_agrees()
    assert len(loads) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_agrees_throughout_a_generated_life(seed: int, tenant: StoryTenant) -> None:
    memory = Remembering(tenant)
    received_from = datetime.now(UTC).replace(microsecond=0) - HOUR
    for step in replay(draw_history(Random(seed)), received_from):
        match step:
            case Define(slug, definition):
                tenant.define({slug: definition})
            case Ingest(events):
                tenant.ingest(events)
            case Compute(mode, at, _):
                tenant.compute("full" if mode == "full" else "delta", at=at)
                memory.assert_agrees(GENERATED_USERS)
    memory.members.close()


def test_a_new_segment_and_one_that_comes_back_are_known_once_they_are_computed(memory: Remembering) -> None:
    tenant = memory.tenant
    memory.assert_agrees()
    tenant.catalog.archive_segment(tenant.slug, "in")
    tenant.define({"new": all_of(event_count("gte", 1))})
    tenant.compute("delta", at=T1)
    memory.assert_agrees()
    tenant.define({"in": all_of(membership("recent"))})
    memory.assert_agrees()
    tenant.compute("delta", at=T1 + HOUR)
    memory.assert_agrees()


def test_until_a_computation_commits_the_members_before_it_are_known(
    memory: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.learnt()
    seen: list[bool] = []
    memory.tenant.ingest(ordered(COMES, at=T0))
    with monkeypatch.context() as patch:
        at_step(patch, "applied", lambda: seen.append(bool(memory.learnt().entries(COMES))))
        memory.tenant.compute("delta", at=T1)
    assert seen == [False]
    assert memory.learnt().entries(COMES)


def test_nothing_is_loaded_while_a_computation_runs_or_after_it_died(
    memory: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look_and_die() -> None:
        seen.append(memory.learns_nothing())
        crash()

    memory.tenant.ingest(ordered(COMES, at=T0))
    with monkeypatch.context() as patch:
        at_step(patch, "applied", look_and_die)
        with pytest.raises(Crash):
            memory.tenant.compute("delta", at=T1)
    assert seen == [True]
    assert memory.learns_nothing()
    memory.tenant.compute("delta", at=T1 + HOUR)
    memory.assert_agrees()


def test_who_is_erased_is_forgotten(memory: Remembering) -> None:
    assert memory.learnt().entries(STAYS)
    tenant = memory.tenant
    finish(tenant.catalog, tenant.warehouse, tenant.slug, begin(tenant.database, STAYS, "the test"), Surroundings([]))
    assert not memory.learnt().entries(STAYS)
    memory.assert_agrees()


def test_who_is_joined_to_somebody_is_forgotten(memory: Remembering) -> None:
    tenant = memory.tenant
    assert memory.learnt().entries(LEAVES)
    alias(tenant.catalog, tenant.database, LEAVES, STAYS)
    tenant.compute("delta", at=T0 + HOUR)
    assert not memory.learnt().entries(LEAVES)
    memory.assert_agrees()


def test_when_too_much_has_changed_everything_is_loaded_again(
    memory: Remembering, loads: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.learnt()
    monkeypatch.setattr("segops_orchestration.compute.membership_snapshot.MOST_CHANGED", 1)
    memory.tenant.ingest(ordered(COMES, at=T0))
    memory.tenant.compute("delta", at=T1)
    memory.assert_agrees()
    assert len(loads) == 2


@pytest.mark.parametrize("room", [0, 100])
def test_what_does_not_fit_is_not_loaded(room: int, moving: StoryTenant, loads: list[None]) -> None:
    memory = Remembering(moving, room)
    assert memory.learns_nothing()
    assert loads == []
    memory.members.close()


def test_few_questions_load_nothing(memory: Remembering, loads: list[None]) -> None:
    state = memory.tenant.catalog.service.checks.state(memory.tenant.slug, ())
    for _ in range(10):
        assert memory.members.of(memory.tenant.slug, state, 1) is None
    memory.members.close()
    assert loads == []
