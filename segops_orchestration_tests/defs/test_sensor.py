"""The event sensor: whom it asks to compute, and when it does not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.definitions import defs
from segops_orchestration.defs import sensors
from segops_orchestration.defs.in_flight import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from segops_orchestration.defs.partitions import SEGMENTS, TENANTS, register
from segops_orchestration.defs.waiting import retry_at
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration, plain
from segops_orchestration_tests.defs.stories import BUYERS, VIEWERS, happened
from segops_orchestration_tests.oracle.case import all_of, event_count


def computed(tenant: StoryTenant) -> StoryTenant:
    """A tenant with a segment and an event, computed."""
    tenant.define({"buyers": BUYERS})
    happened(tenant, "ann")
    tenant.compute()
    return tenant


def a_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: Mapping[str, str]) -> dg.DagsterRun:
    """A run of ``recompute`` in some state, as the daemon would have left it."""
    location = RegisteredCodeLocationOrigin("segops")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "recompute")
    job = defs.resolve_job_def("recompute")
    if "/" in tags.get(RANGE_START_TAG, ""):
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("segments")})
    return instance.create_run_for_job(job, status=status, tags=dict(tags), remote_job_origin=origin)


def test_a_tenant_with_new_events_is_asked_for_a_delta(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    assert request.partition_key == tenant.slug
    assert request.run_config["ops"]["segment_memberships"]["config"]["mode"] == "delta"
    assert request.tags["segops/mode"] == "delta"


def test_the_requested_run_computes_and_exports(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    assert orchestration.run(request).success
    assert tenant.members("buyers") == {"ann", "bob"}
    exported = orchestration.settings.exports_dir / tenant.slug / "buyers.csv"
    assert [line.split(",")[0] for line in exported.read_text().splitlines()] == ['"user_id"', '"ann"', '"bob"']


def test_an_idle_system_is_asked_for_nothing(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    result = orchestration.tick()
    assert result.requests == []
    assert result.skipped == "computed up to their newest events: 1 of 1 tenants"


def test_without_tenants_there_is_nothing_to_do(orchestration: Orchestration) -> None:
    tick = orchestration.tick()
    assert (tick.requests, tick.skipped) == ([], "there are no tenants yet")


def test_a_tenant_without_segments_is_not_computed(orchestration: Orchestration, tenant: StoryTenant) -> None:
    happened(tenant, "ann")
    assert orchestration.tick().requests == []


def test_a_new_or_edited_segment_is_computed_without_any_event(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    computed(tenant)
    tenant.define({"viewers": VIEWERS})
    assert orchestration.tick().tenants == [tenant.slug]
    tenant.compute()
    tenant.define({"viewers": all_of(event_count("gte", 2))})
    assert orchestration.tick().tenants == [tenant.slug]


def test_an_archived_tenant_is_not_computed(
    orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog
) -> None:
    computed(tenant)
    happened(tenant, "bob")
    catalog.archive_tenant(tenant.slug)
    assert orchestration.tick().requests == []


def test_new_tenants_and_segments_become_partitions(orchestration: Orchestration, new_tenant: NewTenant) -> None:
    first = new_tenant()
    first.define({"buyers": BUYERS})
    orchestration.tick()
    assert orchestration.partitions(TENANTS) == [first.slug]
    assert orchestration.partitions(SEGMENTS) == [f"{first.slug}/buyers"]

    second = new_tenant()
    first.compute()
    first.define({"viewers": VIEWERS})
    orchestration.tick()
    assert orchestration.partitions(TENANTS) == [first.slug, second.slug]
    assert orchestration.partitions(SEGMENTS) == [f"{first.slug}/buyers", f"{first.slug}/viewers"]


def test_a_segment_computed_elsewhere_becomes_a_partition_too(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    computed(tenant)
    orchestration.tick()
    assert orchestration.partitions(SEGMENTS) == [f"{tenant.slug}/buyers"]


def test_partitions_are_added_in_portions(
    orchestration: Orchestration, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MOST_NEW_PARTITIONS", 2)
    tenant.define({f"segment_{number}": BUYERS for number in range(5)})
    seen = []
    for _ in range(3):
        orchestration.tick()
        seen.append(len(orchestration.partitions(SEGMENTS)))
    assert seen == [2, 4, 5]


def test_a_tenant_that_is_no_partition_yet_waits_for_its_turn(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MOST_NEW_PARTITIONS", 1)
    tenants = [computed(new_tenant()) for _ in range(2)]
    for tenant in tenants:
        happened(tenant, "bob")
    first, second = sorted(tenant.slug for tenant in tenants)
    assert orchestration.tick().tenants == [first]
    assert second in orchestration.tick().tenants


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_a_tenant_with_a_run_in_flight_is_not_asked_again(
    orchestration: Orchestration, tenant: StoryTenant, status: dg.DagsterRunStatus
) -> None:
    computed(tenant)
    happened(tenant, "bob")
    a_run(orchestration.instance, status, {PARTITION_TAG: tenant.slug})
    result = orchestration.tick()
    assert result.requests == []
    assert result.skipped == "waiting: 1 of 1 tenants (1 for a run in flight)"


def test_a_tick_that_finds_a_run_in_flight_watches_for_its_end(
    orchestration: Orchestration, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed(tenant)
    orchestration.tick()
    happened(tenant, "bob")
    run = a_run(orchestration.instance, dg.DagsterRunStatus.STARTED, {PARTITION_TAG: tenant.slug})
    monkeypatch.setattr(sensors, "WATCH_SECONDS", 30.0)
    ending = threading.Timer(0.5, orchestration.instance.delete_run, [run.run_id])
    ending.start()
    result = orchestration.tick()
    ending.join()
    assert [request.partition_key for request in result.requests] == [tenant.slug]
    assert [one.partition for one in result.observations] == [tenant.slug]
    assert list(orchestration.tick().observations) == []


def test_a_run_of_one_segment_keeps_its_tenant_busy(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    a_run(orchestration.instance, dg.DagsterRunStatus.STARTED, {PARTITION_TAG: f"{tenant.slug}/buyers"})
    assert orchestration.tick().requests == []


def test_all_tenants_in_the_range_of_a_backfills_run_are_busy(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    first, within, last, outside = (computed(new_tenant()) for _ in range(4))
    orchestration.register(first.slug, within.slug, last.slug, outside.slug)
    for one in (first, within, last, outside):
        happened(one, "bob")
    tags = {RANGE_START_TAG: first.slug, RANGE_END_TAG: last.slug}
    a_run(orchestration.instance, dg.DagsterRunStatus.STARTED, tags)
    assert orchestration.tick().tenants == [outside.slug]


def test_all_tenants_with_segments_in_the_range_of_a_backfills_run_are_busy(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    first, within, outside = (computed(new_tenant()) for _ in range(3))
    keys = [f"{first.slug}/buyers", f"{within.slug}/buyers", f"{first.slug}/later", f"{outside.slug}/buyers"]
    register(orchestration.instance, SEGMENTS, keys)
    for one in (first, within, outside):
        happened(one, "bob")
    a_run(orchestration.instance, dg.DagsterRunStatus.QUEUED, {RANGE_START_TAG: keys[0], RANGE_END_TAG: keys[2]})
    assert orchestration.tick().tenants == [outside.slug]


def test_a_tenant_that_another_program_computes_is_left_alone(
    orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog
) -> None:
    computed(tenant)
    happened(tenant, "bob")
    lease = catalog.acquire_lease(tenant.slug, "another program")
    assert orchestration.tick().skipped == "waiting: 1 of 1 tenants (1 for another computation to finish)"
    catalog.release_lease(lease)
    assert orchestration.tick().tenants == [tenant.slug]


def test_the_longest_uncomputed_comes_first_and_a_tick_asks_for_so_many(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer, newest = (computed(new_tenant()) for _ in range(3))
    never = new_tenant()
    never.define({"buyers": BUYERS})
    for one in (newest, newer, older):
        happened(one, "bob")
    monkeypatch.setattr(sensors, "MOST_REQUESTS", 3)
    result = orchestration.tick()
    assert result.tenants == [never.slug, older.slug, newer.slug]


def test_runs_in_the_queue_count_against_the_limit(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MOST_REQUESTS", 2)
    busy, *waiting = (computed(new_tenant()) for _ in range(3))
    for one in waiting:
        happened(one, "bob")
    a_run(orchestration.instance, dg.DagsterRunStatus.QUEUED, {PARTITION_TAG: busy.slug})
    assert len(orchestration.tick().requests) == 1


def failed(orchestration: Orchestration, request: dg.RunRequest) -> str:
    """The requested run failed just now."""
    tags = {PARTITION_TAG: str(request.partition_key), **request.tags}
    run = a_run(orchestration.instance, dg.DagsterRunStatus.STARTED, tags)
    orchestration.instance.report_run_failed(run)
    return run.run_id


class Clock(datetime):
    """The sensor's time of day, moved by the test."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(sensors, "datetime", Clock)
    monkeypatch.setattr(Clock, "ahead", timedelta())
    return Clock


def test_a_failed_run_is_tried_again_later_and_later(
    orchestration: Orchestration, tenant: StoryTenant, clock: type[Clock]
) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    keys = {request.run_key}
    for seconds in (10, 20, 40):
        clock.ahead = timedelta()
        failed(orchestration, request)
        clock.ahead = timedelta(seconds=seconds - 5)
        assert orchestration.tick().skipped == "waiting: 1 of 1 tenants (1 for time to pass since a failure)"
        clock.ahead = timedelta(seconds=seconds + 1)
        (request,) = orchestration.tick().requests
        assert request.run_key not in keys, "Dagster would take it for done"
        keys.add(request.run_key)


def test_the_time_between_tries_doubles_up_to_ten_minutes() -> None:
    failed_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    waits = [(retry_at(failures, failed_at) - failed_at).total_seconds() for failures in range(1, 10)]
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert retry_at(10_000, failed_at) == failed_at + timedelta(minutes=10)


def test_new_events_do_not_hurry_a_failing_tenant(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    failed(orchestration, request)
    happened(tenant, "cid")
    assert orchestration.tick().skipped == "waiting: 1 of 1 tenants (1 for time to pass since a failure)"


def test_a_mended_definition_is_tried_at_once(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    failed(orchestration, request)
    tenant.define({"buyers": VIEWERS})
    assert orchestration.tick().tenants == [tenant.slug]


def test_a_computation_since_makes_earlier_failures_history(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    (request,) = orchestration.tick().requests
    failed(orchestration, request)
    tenant.compute()
    happened(tenant, "cid")
    assert orchestration.tick().tenants == [tenant.slug]


def test_the_same_work_is_asked_for_under_the_same_key(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    first = orchestration.tick().requests
    again = orchestration.tick().requests
    assert [one.run_key for one in first] == [one.run_key for one in again]
    happened(tenant, "cid")
    other = orchestration.tick().requests
    assert first[0].run_key != other[0].run_key


def test_arrivals_are_reported_once(orchestration: Orchestration, tenant: StoryTenant) -> None:
    happened(tenant, "ann", "bob")
    (observation,) = orchestration.tick().observations
    assert (observation.asset_key.path, observation.partition) == (["events"], tenant.slug)
    metadata = plain(observation.metadata)
    assert (metadata["rows"], metadata["lag_seconds"]) == (2, 0)
    assert list(orchestration.tick().observations) == []


def test_identifications_are_reported_as_user_properties(orchestration: Orchestration, tenant: StoryTenant) -> None:
    happened(tenant, "ann", event_type="context_identified")
    observed = {
        one.asset_key.to_user_string(): plain(one.metadata)["rows"] for one in orchestration.tick().observations
    }
    assert observed == {"events": 1, "user_properties": 1}


def test_the_lag_is_how_long_events_have_waited(
    orchestration: Orchestration, tenant: StoryTenant, clock: type[Clock]
) -> None:
    computed(tenant)
    orchestration.tick()
    happened(tenant, "bob")
    orchestration.tick()
    clock.ahead = timedelta(seconds=30)
    happened(tenant, "cid")
    (observation,) = orchestration.tick().observations
    assert plain(observation.metadata)["lag_seconds"] in (30, 31)


def test_an_unreadable_cursor_is_none(orchestration: Orchestration, tenant: StoryTenant) -> None:
    computed(tenant)
    happened(tenant, "bob")
    for cursor in ("not json", "[]", '{"v": 99}', '{"v": 1, "observed": 3}'):
        orchestration.cursor = cursor
        assert orchestration.tick().tenants == [tenant.slug]


def test_one_tick_asks_the_warehouse_one_question(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        happened(computed(new_tenant()), "bob")
    asked: list[str] = []
    open_client = Warehouse.open_client

    def open_listening(self: Warehouse, database: str | None) -> Any:
        client = open_client(self, database)
        query = client.query

        def listening(sql: str, *arguments: Any, **more: Any) -> Any:
            asked.append(sql)
            return query(sql, *arguments, **more)

        monkeypatch.setattr(client, "query", listening)
        return client

    monkeypatch.setattr(Warehouse, "open_client", open_listening)
    assert len(orchestration.tick().requests) == 3
    assert len(asked) == 1
