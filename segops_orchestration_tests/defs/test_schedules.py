"""The schedules: what time alone asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from segops_orchestration.definitions import defs
from segops_orchestration.defs import schedules
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.errors import SegOpsError
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration
from segops_orchestration_tests.defs.stories import BUYERS, happened
from segops_orchestration_tests.defs.test_sensor import a_run


def computed(tenant: StoryTenant) -> StoryTenant:
    tenant.define({"buyers": BUYERS})
    happened(tenant, "ann")
    tenant.compute()
    return tenant


def requests(orchestration: Orchestration, schedule: str, at: datetime) -> list[dg.RunRequest]:
    """What the schedule asks for at an instant, validated as the daemon does."""
    context = dg.build_schedule_context(
        instance_ref=orchestration.instance.get_ref(),
        scheduled_execution_time=at,
        resources={"segops": SegOpsResource()},
        repository_def=defs.get_repository_def(),
    )
    with context:
        return list(defs.resolve_schedule_def(schedule).evaluate_tick(context).run_requests or ())


def now() -> datetime:
    return datetime.now(UTC)


def test_the_clock_asks_for_deltas_of_tenants_not_computed_since_its_last_tick(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    first, second = computed(new_tenant()), computed(new_tenant())
    without_segments = new_tenant()
    orchestration.register(first.slug, second.slug, without_segments.slug)
    assert requests(orchestration, "clock_tick", now() + timedelta(minutes=14)) == []
    asked = requests(orchestration, "clock_tick", now() + timedelta(minutes=16))
    assert [request.partition_key for request in asked] == [first.slug, second.slug]
    assert {request.tags["segops/mode"] for request in asked} == {"delta"}


def test_the_clock_leaves_busy_tenants_alone(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    orchestration.register(tenant.slug)
    a_run(orchestration.instance, dg.DagsterRunStatus.STARTED, {"dagster/partition": tenant.slug})
    assert requests(orchestration, "clock_tick", now() + timedelta(hours=1)) == []


def test_a_tenant_that_is_no_partition_yet_is_left_to_the_sensor(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    computed(tenant)
    for schedule in ("clock_tick", "full_reconciliation"):
        assert requests(orchestration, schedule, now() + timedelta(hours=1)) == []


def test_every_night_each_tenant_is_computed_in_full_behind_the_deltas(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    tenants = [computed(new_tenant()) for _ in range(2)]
    orchestration.register(*(tenant.slug for tenant in tenants))
    asked = requests(orchestration, "full_reconciliation", now())
    assert {request.partition_key for request in asked} == {tenant.slug for tenant in tenants}
    assert {request.tags["segops/mode"] for request in asked} == {"full"}
    assert {request.tags["dagster/priority"] for request in asked} == {"-1"}


def test_beyond_the_limit_the_nights_take_turns(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_REQUESTS", 2)
    slugs = {computed(new_tenant()).slug for _ in range(3)}
    orchestration.register(*slugs)
    nights = [requests(orchestration, "full_reconciliation", now() + timedelta(days=night)) for night in range(3)]
    assert [len(night) for night in nights] == [2, 2, 2]
    assert {request.partition_key for night in nights for request in night} == slugs


def test_checks_run_only_where_there_is_something_to_check(orchestration: Orchestration, tenant: StoryTenant) -> None:
    assert requests(orchestration, "hourly_checks", now()) == []
    tenant.define({"buyers": BUYERS})
    assert len(requests(orchestration, "hourly_checks", now())) == 1


@pytest.mark.parametrize(("minutes", "cron"), [("5", "*/5 * * * *"), ("60", "0 * * * *"), ("", "*/15 * * * *")])
def test_the_clock_can_be_set(minutes: str, cron: str) -> None:
    code = "from segops_orchestration.defs.schedules import clock_tick; print(clock_tick.cron_schedule)"
    environment = {**os.environ, "SEGOPS_CLOCK_TICK_MINUTES": minutes}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == cron


@pytest.mark.parametrize("minutes", ["0", "7", "61", "-5", "often", "1.5"])
def test_a_clock_that_cannot_be_set_is_refused(minutes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGOPS_CLOCK_TICK_MINUTES", minutes)
    with pytest.raises(SegOpsError, match=f"SEGOPS_CLOCK_TICK_MINUTES: found '{minutes}'"):
        schedules.clock_tick_minutes()


def test_all_that_has_to_happen_by_itself_is_switched_on() -> None:
    assert defs.resolve_sensor_def("new_events").default_status is dg.DefaultSensorStatus.RUNNING
    running = {
        schedule.name
        for schedule in defs.schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition) and schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    }
    assert running == {"clock_tick", "full_reconciliation", "hourly_checks", "run_history_cleanup"}
