"""What a computation writes: members with the instant of their entry, and each change once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from segops_orchestration.catalog.records import Mode
from segops_orchestration.compute import compute as engine
from segops_orchestration.compute.changes import stage_full
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.members import iter_members
from segops_orchestration.compute.plan import PlannedWork, Resolver
from segops_orchestration.compute.result import SegmentResult
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.story import T0, T1, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count, membership, monetary

BUYERS = all_of(event_count("gte", 1))
RECENT = all_of(event_count("gte", 1, window_days=1))


def stored(tenant: StoryTenant, segment: str) -> dict[str, datetime]:
    """Members, and when they entered."""
    return dict(iter_members(tenant.database, tenant.catalog.get_segment(tenant.slug, segment).id))


def rows(tenant: StoryTenant) -> list[Any]:
    """Every row that computations have written, superseded ones too."""
    found: list[Any] = []
    for table in ("segment_memberships", "membership_changes"):
        found += tenant.database.query(f"SELECT * FROM {table} ORDER BY ALL").result_rows
    return found


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_each_entry_and_exit_is_recorded_once(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"recent": RECENT})
    tenant.ingest([*ordered("leaves", at=T1 - days(1)), *ordered("stays", at=T0), *ordered("comes", at=T1)])
    first = tenant.compute("full", at=T0).segments[0]
    second = tenant.compute(mode, at=T1).segments[0]

    assert (first.members, first.entered, first.exited) == (2, 2, 0)
    assert (second.members, second.entered, second.exited) == (2, 1, 1)
    assert tenant.members("recent") == {"stays", "comes"}
    assert tenant.changes("recent") == [
        ("leaves", "entered"),
        ("stays", "entered"),
        ("comes", "entered"),
        ("leaves", "exited"),
    ]


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_a_change_bears_the_instant_and_the_number_of_its_computation(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"recent": RECENT})
    tenant.ingest(ordered("leaves", at=T1 - days(1)))
    first, second = tenant.compute("full", at=T0), tenant.compute(mode, at=T1)

    changes = tenant.database.query(
        "SELECT computation_id, computed_at, toString(change) FROM membership_changes ORDER BY computation_id"
    ).result_rows
    assert changes == [(first.computation_id, T0, "entered"), (second.computation_id, T1, "exited")]


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_computing_again_with_nothing_new_writes_nothing(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.define({"in": all_of(membership("buyers"))})
    tenant.ingest(ordered("ann", "bob"))
    tenant.compute("full", at=T0)
    before = rows(tenant)

    result = tenant.compute(mode, at=T1)

    assert rows(tenant) == before
    assert [(segment.members, segment.changed) for segment in result.segments] == [(2, False), (2, False)]


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_a_member_keeps_the_instant_of_the_entry(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute("full", at=T0)
    tenant.ingest([*ordered("ann"), *ordered("bob")])

    tenant.compute(mode, at=T1)

    assert stored(tenant, "buyers") == {"ann": T0, "bob": T1}


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_who_comes_back_has_the_instant_of_the_return(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"recent": RECENT})
    tenant.ingest(ordered("ann", at=T1 - days(1)))
    tenant.compute("full", at=T0)
    tenant.compute(mode, at=T1)
    assert stored(tenant, "recent") == {}
    tenant.ingest(ordered("ann", at=T1))

    tenant.compute(mode, at=T1 + HOUR)

    assert stored(tenant, "recent") == {"ann": T1 + HOUR}
    assert tenant.changes("recent") == [("ann", "entered"), ("ann", "exited"), ("ann", "entered")]


def test_members_survive_the_merges_of_their_table(tenant: StoryTenant) -> None:
    tenant.define({"recent": RECENT})
    tenant.ingest([*ordered("leaves", at=T1 - days(1)), *ordered("stays", at=T0)])
    tenant.compute("full", at=T0)
    tenant.compute("delta", at=T1)

    tenant.database.command("OPTIMIZE TABLE segment_memberships FINAL")

    assert tenant.members("recent") == {"stays"}
    assert not tenant.compute("full", at=T1).segments[0].changed


def test_progress_hears_of_a_segment_when_its_members_are_there(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.define({"in": all_of(membership("buyers"))})
    tenant.ingest(ordered("ann"))
    heard: list[tuple[str, list[str]]] = []

    def hear(result: SegmentResult) -> None:
        heard.append((result.slug, sorted(tenant.members(result.slug))))

    compute(tenant.catalog, tenant.warehouse, tenant.slug, at=T0, progress=hear)

    assert heard == [("buyers", ["ann"]), ("in", ["ann"])]


def test_a_full_computation_in_buckets_gives_the_same_members_and_changes(
    new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def story(tenant: StoryTenant) -> tuple[dict[str, datetime], ...]:
        users = [f"user {number}" for number in range(60)]
        tenant.define({"recent": RECENT, "others": all_of(event_count("eq", 0, window_days=1))})
        tenant.define({"big": all_of(monetary("sum", "gte", 10), membership("recent"))})
        tenant.ingest(ordered(*users[:40], at=T1 - days(1)))
        tenant.ingest(ordered(*users[20:], at=T0, payload='{"total": 5.5}'))
        tenant.ingest(ordered(*users[50:], at=T1, payload='{"total": 5.5}'))
        tenant.compute("full", at=T0)
        tenant.compute("full", at=T1)
        return tuple(stored(tenant, segment) for segment in ("recent", "others", "big"))

    whole_tenant, tenant_in_buckets = new_tenant(), new_tenant()
    whole = story(whole_tenant)
    buckets = _spied(monkeypatch)
    monkeypatch.setattr(engine, "first_buckets", lambda *_: 3)

    assert story(tenant_in_buckets) == whole
    assert min(buckets) >= 3
    for segment in ("recent", "others", "big"):
        assert tenant_in_buckets.changes(segment) == whole_tenant.changes(segment)
    assert len(whole[2]) == 10


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In how many buckets each full computation of a segment goes."""
    seen: list[int] = []

    def stage(session: ComputeSession, work: PlannedWork, resolver: Resolver, buckets: int) -> int:
        seen.append(buckets)
        return stage_full(session, work, resolver, buckets)

    monkeypatch.setattr(engine, "stage_full", stage)
    return seen
