"""Materializing ``segment_memberships`` and ``segments``."""

from __future__ import annotations

import threading
import time

import dagster as dg
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.defs.partitions import SEGMENTS
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration, plain
from segops_orchestration_tests.defs.stories import BOTH, BUYERS, VIEWERS, happened
from segops_orchestration_tests.oracle.case import VIEW

DELTA = {"mode": "delta"}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What a failed run says to people."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    return (data.description or "") if data else str(event.step_failure_data.error)


def test_materializing_a_tenant_computes_all_its_segments_in_full(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann", "bob")
    result = orchestration.materialize("segment_memberships", tenant.slug)
    assert result.success
    assert tenant.members("buyers") == {"ann", "bob"}
    assert tenant.members("viewers") == frozenset()


def test_a_tenants_materialization_carries_numbers_that_plot(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann", "bob")
    orchestration.materialize("segment_memberships", tenant.slug)
    ((partition, metadata),) = orchestration.reported("segment_memberships")
    assert partition == tenant.slug
    assert {name: metadata[name] for name in ("segments", "members", "entered", "exited")} == {
        "segments": 2,
        "members": 2,
        "entered": 2,
        "exited": 0,
    }
    assert all(isinstance(metadata[name], int) for name in ("milliseconds", "rows_read"))
    assert metadata["mode"] == "full"
    assert metadata["dagster/table_name"] == f"segops_{tenant.slug}.segment_memberships"


def test_a_full_run_reports_every_segment_as_a_partition(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann")
    orchestration.materialize("segment_memberships", tenant.slug)
    reported = {key: metadata["members"] for key, metadata in orchestration.reported("segments")}
    assert reported == {f"{tenant.slug}/buyers": 1, f"{tenant.slug}/viewers": 0}
    assert set(orchestration.partitions(SEGMENTS)) == set(reported)


def test_a_delta_run_reports_only_the_segments_that_changed(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    orchestration.materialize("segment_memberships", tenant.slug)
    before = len(orchestration.reported("segments"))
    happened(tenant, "ann", "bob")
    orchestration.materialize("segment_memberships", tenant.slug, config=DELTA)
    ((key, metadata),) = orchestration.reported("segments")[before:]
    assert key == f"{tenant.slug}/buyers"
    assert {name: metadata[name] for name in ("members", "entered", "exited", "candidates", "mode")} == {
        "members": 2,
        "entered": 2,
        "exited": 0,
        "candidates": 2,
        "mode": "delta",
    }


def test_run_config_can_name_the_segments(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann")
    orchestration.materialize("segment_memberships", tenant.slug, config={"segments": ["viewers"]})
    assert [key for key, _ in orchestration.reported("segments")] == [f"{tenant.slug}/viewers"]
    assert tenant.members("buyers") == frozenset()


def test_the_ledger_knows_the_run(orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog) -> None:
    tenant.define({"buyers": BUYERS})
    result = orchestration.materialize("segment_memberships", tenant.slug)
    assert [one.run_id for one in catalog.list_computations(tenant.slug)] == [result.run_id]


def test_in_a_range_one_tenants_failure_does_not_stop_the_others(
    orchestration: Orchestration, new_tenant: NewTenant, catalog: Catalog
) -> None:
    first, last = new_tenant(), new_tenant()
    for one in (first, last):
        one.define({"buyers": BUYERS})
        happened(one, "ann")
    last_lease = catalog.acquire_lease(first.slug, "another program")
    result = orchestration.materialize(
        "segment_memberships", first.slug, "no_such_tenant", last.slug, raise_on_error=False
    )
    assert not result.success
    said = failure(result)
    assert said.startswith("2 tenants failed.")
    assert f"{first.slug}: tenant {first.slug!r} is being computed by another program" in said
    assert "no_such_tenant: " in said
    assert last.members("buyers") == {"ann"}
    catalog.release_lease(last_lease)


def test_each_tenant_of_a_range_gets_its_own_numbers(orchestration: Orchestration, new_tenant: NewTenant) -> None:
    first, last = new_tenant(), new_tenant()
    for one, users in ((first, ("ann",)), (last, ("ann", "bob"))):
        one.define({"buyers": BUYERS})
        happened(one, *users)
    orchestration.materialize("segment_memberships", first.slug, last.slug)
    members = {key: metadata["members"] for key, metadata in orchestration.reported("segment_memberships")}
    assert members == {first.slug: 1, last.slug: 2}


def test_a_busy_tenant_is_waited_for(orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog) -> None:
    tenant.define({"buyers": BUYERS})
    happened(tenant, "ann")
    lease = catalog.acquire_lease(tenant.slug, "another program")
    release = threading.Timer(0.5, catalog.release_lease, [lease])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segops_orchestration.defs.tenant_work.BUSY_WAITS", (0.2,) * 20)
        release.start()
        started = time.monotonic()
        assert orchestration.materialize("segment_memberships", tenant.slug).success
    assert time.monotonic() - started > 0.4
    assert tenant.members("buyers") == {"ann"}


def test_an_archived_tenant_is_left_out_of_a_range(
    orchestration: Orchestration, new_tenant: NewTenant, catalog: Catalog
) -> None:
    gone, kept = new_tenant(), new_tenant()
    for one in (gone, kept):
        one.define({"buyers": BUYERS})
        happened(one, "ann")
    catalog.archive_tenant(gone.slug)
    assert orchestration.materialize("segment_memberships", gone.slug, kept.slug).success
    assert gone.members("buyers") == frozenset()
    assert kept.members("buyers") == {"ann"}


def test_an_archived_tenant_alone_is_refused(
    orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog
) -> None:
    tenant.define({"buyers": BUYERS})
    catalog.archive_tenant(tenant.slug)
    result = orchestration.materialize("segment_memberships", tenant.slug, raise_on_error=False)
    assert "archived" in failure(result)


def test_materializing_a_segment_recomputes_it_alone(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann")
    happened(tenant, "bob", event_type=VIEW)
    orchestration.materialize("segments", f"{tenant.slug}/buyers")
    ((key, metadata),) = orchestration.reported("segments")
    assert (key, metadata["members"], metadata["mode"]) == (f"{tenant.slug}/buyers", 1, "full")
    assert tenant.members("viewers") == frozenset()


def test_segments_of_several_tenants_in_a_range_are_each_computed_in_their_own(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    one, other = new_tenant(), new_tenant()
    for story, users in ((one, ("ann",)), (other, ("bob", "cid"))):
        story.define({"buyers": BUYERS, "viewers": VIEWERS})
        happened(story, *users)
    keys = [f"{one.slug}/buyers", f"{other.slug}/viewers", f"{other.slug}/buyers", f"{one.slug}/viewers"]
    orchestration.materialize("segments", *keys)
    members = {key: metadata["members"] for key, metadata in orchestration.reported("segments")}
    assert members == dict(zip(keys, (1, 0, 2, 0), strict=True))


def test_what_a_materialized_segment_refers_to_is_computed_and_reported_with_it(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    tenant.define({"both": BOTH})
    happened(tenant, "ann", "bob")
    happened(tenant, "bob", event_type=VIEW)
    orchestration.materialize("segments", f"{tenant.slug}/both")
    members = {key.partition("/")[2]: metadata["members"] for key, metadata in orchestration.reported("segments")}
    assert members == {"both": 1, "buyers": 2, "viewers": 1}


def test_an_archived_segment_is_left_out_of_a_range_and_refused_alone(
    orchestration: Orchestration, tenant: StoryTenant, catalog: Catalog
) -> None:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann")
    catalog.archive_segment(tenant.slug, "viewers")
    keys = [f"{tenant.slug}/buyers", f"{tenant.slug}/viewers"]
    assert orchestration.materialize("segments", *keys).success
    assert tenant.members("buyers") == {"ann"}
    alone = orchestration.materialize("segments", keys[1], raise_on_error=False)
    assert "none is active" in failure(alone)


def swing_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_a_computation_that_moves_much_of_a_segment_is_a_warning(
    orchestration: Orchestration, tenant: StoryTenant
) -> None:
    tenant.define({"buyers": BUYERS})
    happened(tenant, *(f"user {number}" for number in range(100)))
    first = swing_of(orchestration.materialize("segment_memberships", tenant.slug))
    assert first.passed, "a first computation moves everybody, and nobody is surprised"

    happened(tenant, *(f"new {number}" for number in range(20)))
    quiet = swing_of(orchestration.materialize("segment_memberships", tenant.slug, config=DELTA))
    assert quiet.passed

    happened(tenant, *(f"newer {number}" for number in range(30)))
    loud = swing_of(orchestration.materialize("segment_memberships", tenant.slug, config=DELTA))
    assert not loud.passed
    assert loud.severity is dg.AssetCheckSeverity.WARN
    assert loud.description == f"{tenant.slug}/buyers moved by 25%"
    assert plain(loud.metadata)["segments_swung"] == 1
