"""Membership checks agree with the stored members after whatever happened, with the table by user and without it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random

import pytest

from segops_orchestration.compute import compute as engine
from segops_orchestration.compute import lookup
from segops_orchestration.compute.check import check_segment, user_segments
from segops_orchestration.compute.lookup import TABLE, MembershipLookup, update_lookup
from segops_orchestration.compute.members import iter_members
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.errors import Conflict, NotFound, WarehouseError
from segops_orchestration_tests.compute.computing import Crash, at_step, crash
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.story import T0, T1, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count, membership
from segops_orchestration_tests.oracle.histories import Compute, Define, Ingest, draw_history, replay
from segops_orchestration_tests.oracle.vocabulary import USERS as GENERATED_USERS

LEAVES, STAYS, COMES, STRANGER = "leaves", "stays", "Ünï 'quoted'\n", "never heard of"
USERS = (LEAVES, STAYS, COMES, STRANGER, "")


@pytest.fixture(params=["table", "no table"])
def with_table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether tenants get the table from their first member on, or have too few members for it."""
    wanted: bool = request.param == "table"
    monkeypatch.setattr(lookup, "TABLE_FROM_ROWS", 1 if wanted else 1_000_000)
    return wanted


@pytest.fixture
def always_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "TABLE_FROM_ROWS", 1)


def set_up(tenant: StoryTenant) -> StoryTenant:
    """Two users, of whom one leaves by T1, and a third who comes; a segment, its opposite, and one that refers."""
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    tenant.define({"others": all_of(event_count("eq", 0, window_days=1)), "in": all_of(membership("recent"))})
    tenant.ingest([*ordered(LEAVES, at=T1 - days(1)), *ordered(STAYS, at=T0)])
    return tenant


@pytest.fixture
def moving(tenant: StoryTenant) -> StoryTenant:
    return set_up(tenant)


def has_table(tenant: StoryTenant) -> bool:
    return bool(tenant.database.query(f"EXISTS TABLE {TABLE}").result_rows[0][0])


def assert_agrees(tenant: StoryTenant, users: Iterable[str] = USERS) -> None:
    """Each way of asking says of each user what the list of members says."""
    asked = MembershipLookup(tenant.database)
    for segment in tenant.catalog.list_segments(tenant.slug, include_archived=True):
        members = {member.user_id: member.computed_at for member in iter_members(tenant.database, segment.id)}
        for user in users:
            assert asked.entered_at(segment.id, user) == members.get(user), (segment.slug, user)
            assert asked.segments_of(user).get(segment.id) == members.get(user), (segment.slug, user)


def test_checks_agree_with_the_members_after_each_computation(moving: StoryTenant, with_table: bool) -> None:
    moving.compute("full", at=T0)
    assert moving.members("recent") == {LEAVES, STAYS}
    assert_agrees(moving)

    moving.ingest(ordered(COMES, at=T0))
    moving.compute("delta", at=T1)
    assert moving.members("recent") == {STAYS, COMES}
    assert_agrees(moving)

    moving.define({"recent": all_of(event_count("gte", 2))})
    moving.compute("delta", at=T1 + HOUR)
    assert moving.members("recent") == frozenset()
    assert_agrees(moving)

    moving.catalog.archive_segment(moving.slug, "in")
    moving.define({"recent": all_of(event_count("gte", 1))})
    moving.compute("full", at=T1 + 2 * HOUR)
    assert moving.members("recent") == {LEAVES, STAYS, COMES}
    assert_agrees(moving)
    assert has_table(moving) == with_table


@pytest.mark.usefixtures("always_a_table")
@pytest.mark.parametrize("seed", [1, 2])
def test_checks_agree_with_the_members_throughout_a_generated_life(seed: int, tenant: StoryTenant) -> None:
    received_from = datetime.now(UTC).replace(microsecond=0) - HOUR
    for step in replay(draw_history(Random(seed)), received_from):
        match step:
            case Define(slug, definition):
                tenant.define({slug: definition})
            case Ingest(events):
                tenant.ingest(events)
            case Compute(mode, at, _):
                tenant.compute("full" if mode == "full" else "delta", at=at)
                assert_agrees(tenant, GENERATED_USERS)


def test_a_lookup_that_was_opened_before_sees_what_is_committed(moving: StoryTenant, with_table: bool) -> None:
    recent = moving.catalog.get_segment(moving.slug, "recent").id
    asked = MembershipLookup(moving.database)
    assert asked.entered_at(recent, STAYS) is None

    moving.compute("full", at=T0)
    assert (asked.entered_at(recent, STAYS), asked.entered_at(recent, COMES)) == (T0, None)

    moving.ingest(ordered(COMES, at=T0))
    moving.compute("delta", at=T1)
    assert (asked.entered_at(recent, LEAVES), asked.entered_at(recent, COMES)) == (None, T1)


@pytest.mark.parametrize("step", ["before the update", "half updated", "after the update"])
@pytest.mark.parametrize("mode", ["full", "delta"])
@pytest.mark.usefixtures("always_a_table")
def test_a_crash_between_applying_and_committing_is_healed(
    step: str, mode: str, moving: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "delta":
        moving.compute("full", at=T0)
        moving.ingest(ordered(COMES, at=T0))

    def half(session: ComputeSession, changes: dict[int, tuple[int, int]]) -> None:
        update_lookup(session, dict([min(changes.items())]))
        crash()

    with monkeypatch.context() as patch:
        if step == "before the update":
            patch.setattr(engine, "update_lookup", lambda *_: crash())
        elif step == "half updated":
            patch.setattr(engine, "update_lookup", half)
        else:
            at_step(patch, "applied", crash)
        with pytest.raises(Crash):
            moving.compute("full" if mode == "full" else "delta", at=T1)

    moving.compute("delta", at=T1 + HOUR)

    assert moving.members("recent") == ({STAYS, COMES} if mode == "delta" else {STAYS})
    assert has_table(moving)
    assert_agrees(moving)


@pytest.mark.usefixtures("always_a_table")
def test_a_table_that_was_half_built_is_built_anew(moving: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lookup, "_collect", lambda *_: crash())
        with pytest.raises(Crash):
            moving.compute("full", at=T0)
    assert not has_table(moving)

    moving.compute("delta", at=T1)

    assert has_table(moving)
    assert_agrees(moving)


@pytest.mark.usefixtures("always_a_table")
def test_who_slept_through_the_lease_undoes_nothing(moving: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep: list[tuple[ComputeSession, dict[int, tuple[int, int]]]] = []

    def sleep(session: ComputeSession, changes: dict[int, tuple[int, int]]) -> None:
        asleep.append((session, changes))
        crash()

    moving.compute("full", at=T0)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "update_lookup", sleep)
        moving.ingest(ordered(COMES, at=T0))
        with pytest.raises(Crash):
            moving.compute("delta", at=T1)
    moving.define({"recent": all_of(event_count("eq", 0))})
    moving.compute("delta", at=T1 + HOUR)

    [(session, changes)] = asleep
    update_lookup(session, changes)

    assert_agrees(moving)


@pytest.mark.usefixtures("always_a_table")
def test_updates_that_do_not_fit_into_memory_are_divided(moving: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_BYTES_PER_ROW", moving.database.query_memory)

    moving.compute("full", at=T0)
    moving.ingest(ordered(COMES, at=T0))
    moving.compute("delta", at=T1)

    assert_agrees(moving)


@pytest.mark.usefixtures("always_a_table")
def test_a_table_that_was_dropped_is_not_missed_and_comes_back(moving: StoryTenant) -> None:
    moving.compute("full", at=T0)
    recent = moving.catalog.get_segment(moving.slug, "recent").id
    asked = MembershipLookup(moving.database)
    assert asked.entered_at(recent, STAYS) == T0

    moving.database.command(f"DROP TABLE {TABLE} SYNC")

    assert asked.entered_at(recent, STAYS) == T0
    moving.ingest(ordered(COMES, at=T0))
    moving.compute("delta", at=T1)
    assert has_table(moving)
    assert_agrees(moving)


@pytest.mark.usefixtures("always_a_table")
def test_a_server_without_the_engine_does_without_the_table(
    moving: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_ENGINE", "SELECT 1 FROM system.table_engines WHERE name = 'NoSuchEngine'")

    moving.compute("full", at=T0)

    assert not has_table(moving)
    assert_agrees(moving)


def test_tenants_do_not_see_one_another(new_tenant: NewTenant, with_table: bool) -> None:
    here, there = set_up(new_tenant()), set_up(new_tenant())
    here.compute("full", at=T0)
    there.ingest(ordered("only there", at=T0))
    there.compute("full", at=T1)

    for tenant, entered in ((here, None), (there, T1)):
        assert check_segment(tenant.catalog, tenant.database, "recent", "only there").computed_at == entered
    assert MembershipLookup(here.database).segments_of("only there") == {}
    assert_agrees(here)
    assert_agrees(there)


def test_a_user_who_was_never_heard_of_is_in_no_segment(moving: StoryTenant, with_table: bool) -> None:
    moving.compute("full", at=T0)

    assert check_segment(moving.catalog, moving.database, "others", STRANGER).computed_at is None
    assert user_segments(moving.catalog, moving.database, STRANGER).segments == ()


def test_a_segment_that_was_never_computed_is_an_error(moving: StoryTenant) -> None:
    with pytest.raises(Conflict, match=r"segment recent of \w+ was never computed.*segops compute \w+ recent"):
        check_segment(moving.catalog, moving.database, "recent", STAYS)

    moving.compute("full", at=T0, segments=["others"])
    found = user_segments(moving.catalog, moving.database, STAYS)
    assert (found.segments, found.never_computed) == ((), ("in", "recent"))
    with pytest.raises(NotFound):
        check_segment(moving.catalog, moving.database, "recnet", STAYS)


def test_all_segments_of_a_user_are_active_ones_by_slug(moving: StoryTenant) -> None:
    moving.compute("full", at=T0)
    found = user_segments(moving.catalog, moving.database, STAYS)
    assert [(one.segment, one.computed_at) for one in found.segments] == [("in", T0), ("recent", T0)]

    moving.catalog.archive_segment(moving.slug, "in")

    assert [one.segment for one in user_segments(moving.catalog, moving.database, STAYS).segments] == ["recent"]
    assert check_segment(moving.catalog, moving.database, "in", STAYS).computed_at == T0


@pytest.fixture
def broken(moving: StoryTenant) -> StoryTenant:
    moving.compute("full", at=T0)
    moving.database.command(f"CREATE TABLE {TABLE} (user_id String) ENGINE = Memory")
    return moving


def test_an_error_of_the_warehouse_is_not_taken_for_an_answer(broken: StoryTenant) -> None:
    with pytest.raises(WarehouseError):
        MembershipLookup(broken.database).segments_of(STAYS)
