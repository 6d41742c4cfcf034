"""A computation that dies at any step is healed by the next one: members are right, each change is recorded once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Mode, PlannedSegment
from segops_orchestration.errors import TenantBusy, WarehouseError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.compute.computing import STEPS, Crash, at_step, crash, go, start
from segops_orchestration_tests.compute.story import T0, T1, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count, membership

SEGMENTS = ("recent", "others", "in")


@pytest.fixture
def moving(tenant: StoryTenant) -> StoryTenant:
    """A tenant computed at T0, of which every segment changes until T1, by time and by what arrived since."""
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    tenant.define({"others": all_of(event_count("eq", 0, window_days=1)), "in": all_of(membership("recent"))})
    tenant.ingest([*ordered("leaves", at=T1 - days(1)), *ordered("stays", at=T0)])
    tenant.compute("full", at=T0)
    tenant.ingest(ordered("comes", at=T0))
    return tenant


def assert_healed(tenant: StoryTenant) -> None:
    """All is as if nothing had happened."""
    assert {slug: set(tenant.members(slug)) for slug in SEGMENTS} == {
        "recent": {"stays", "comes"},
        "others": {"leaves"},
        "in": {"stays", "comes"},
    }
    entered, moved = [("leaves", "entered"), ("stays", "entered")], [("comes", "entered"), ("leaves", "exited")]
    assert {slug: sorted(tenant.changes(slug)) for slug in SEGMENTS} == {
        "recent": sorted(entered + moved),
        "others": [("leaves", "entered")],
        "in": sorted(entered + moved),
    }
    assert {one.slug: one.members for one in tenant.catalog.segment_status(tenant.slug)} == {
        "recent": 2,
        "others": 1,
        "in": 2,
    }
    assert tenant.catalog.unfinished(tenant.slug) == []
    assert "running" not in {one.status for one in tenant.catalog.list_computations(tenant.slug)}
    assert [segment.slug for segment in tenant.compute("full", at=T1 + HOUR).segments if segment.changed] == []


@pytest.mark.parametrize(
    ("mode", "step"),
    [
        *(("delta", step) for step in STEPS),
        # What follows the evaluation is the same for both modes.
        ("full", "one segment staged of two"),
        ("full", "staged"),
        ("full", "half applied"),
        ("full", "first level committed"),
    ],
)
def test_a_crash_is_healed_by_the_next_delta(
    mode: Mode, step: str, moving: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, step, crash)
        with pytest.raises(Crash):
            moving.compute(mode, at=T1)

    moving.compute("delta", at=T1 + HOUR)

    assert_healed(moving)


def test_a_second_crash_while_healing_is_healed_too(moving: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("half applied", "applied", "staged"):
        with monkeypatch.context() as patch:
            at_step(patch, step, crash)
            with pytest.raises(Crash):
                moving.compute(at=T1)

    moving.compute(at=T1)

    assert_healed(moving)


@pytest.mark.parametrize("step", ["staged", "marked as staged", "half applied", "applied"])
def test_when_clickhouse_fails_what_was_begun_is_finished_or_taken_back_at_once(
    step: str, moving: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise WarehouseError("no more memory")

    with monkeypatch.context() as patch:
        at_step(patch, step, fail)
        with pytest.raises(WarehouseError, match="no more memory"):
            moving.compute(at=T1)

    assert moving.catalog.unfinished(moving.slug) == []
    assert moving.catalog.lease_holder(moving.slug) is None
    [failed, _] = moving.catalog.list_computations(moving.slug)
    assert (failed.status, failed.error) == ("failed", "no more memory")

    moving.compute(at=T1)
    assert_healed(moving)


# Killed for good


@pytest.fixture
def later(moving: StoryTenant, catalog_settings: Settings) -> Iterator[StoryTenant]:
    """The tenant as seen ten minutes later, when a lease that nobody renews has expired."""
    with Catalog.open(catalog_settings, clock=lambda: datetime.now(UTC) + HOUR / 6) as catalog:
        yield StoryTenant(catalog, moving.warehouse, moving.slug)


@pytest.mark.parametrize("step", ["staged", "half applied", "applied"])
def test_after_a_kill_the_lease_runs_out_and_the_next_computation_heals(
    step: str, moving: StoryTenant, later: StoryTenant, catalog_settings: Settings
) -> None:
    process = start(catalog_settings, moving, T1, step, "kill")
    go(process)
    assert process.returncode == -signal.SIGKILL

    with pytest.raises(TenantBusy, match=f":{process.pid};"):
        moving.compute(at=T1)
    later.compute(at=T1)

    assert_healed(later)


def test_what_a_dead_process_left_running_on_the_server_is_ended(moving: StoryTenant) -> None:
    segment = moving.catalog.get_segment(moving.slug, "recent")
    dead = moving.catalog.begin_computation(
        moving.slug,
        mode="full",
        at=T1,
        watermark_block=0,
        watermark_at=None,
        owner="a dead process",
        run_id=None,
        segments=[PlannedSegment(segment.id, segment.version, "full")],
    )
    slow = (
        "INSERT INTO membership_changes SELECT {id:UInt64}, {computation:UInt64}, toString(number), 'entered', now64(3)"
        " FROM numbers(2000) WHERE sleepEachRow(0.01) = 0 SETTINGS max_block_size = 100"
    )

    with ThreadPoolExecutor(1) as other:
        comment = {"log_comment": json.dumps({"computation": dead.id})}
        left = other.submit(moving.database.command, slow, {"id": segment.id, "computation": dead.id}, comment)
        time.sleep(1)
        moving.compute("delta", at=T1 + HOUR)
        with pytest.raises(WarehouseError):
            left.result(timeout=5)

    assert_healed(moving)
