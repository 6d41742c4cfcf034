"""The checks that look at tenants from outside their runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.definitions import defs
from segops_orchestration.defs import checks
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration, plain
from segops_orchestration_tests.defs.stories import BUYERS, VIEWERS, happened


@pytest.fixture
def computed(tenant: StoryTenant) -> StoryTenant:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann", "bob")
    tenant.compute()
    return tenant


def outcome(orchestration: Orchestration, check: str) -> tuple[dg.AssetCheckEvaluation, dict[str, Any]]:
    """Run ``tenant_checks``, and what the check said in it."""
    result = defs.resolve_job_def("tenant_checks").execute_in_process(instance=orchestration.instance)
    (evaluation,) = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
    return evaluation, plain(evaluation.metadata)


def plant_a_member(tenant: StoryTenant, segment: str, user: str) -> None:
    segment_id = tenant.catalog.get_segment(tenant.slug, segment).id
    tenant.database.command(
        "INSERT INTO segment_memberships SELECT {id:UInt64}, {user:String}, now64(3), 1, 0",
        {"id": segment_id, "user": user},
    )


def test_stored_members_that_follow_from_the_definitions_pass(
    orchestration: Orchestration, computed: StoryTenant
) -> None:
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    assert evaluation.passed
    assert (metadata["tenants_verified"], metadata["segments_verified"], metadata["users_sampled"]) == (1, 2, 2)


def test_stored_members_that_do_not_are_an_error_that_names_them(
    orchestration: Orchestration, computed: StoryTenant
) -> None:
    plant_a_member(computed, "viewers", "ann")
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert evaluation.description == f"{computed.slug}/viewers"
    assert f"| {computed.slug} | viewers | 0 | 1 | ann |" in metadata["wrong"]


def test_users_with_newer_events_are_drift_and_no_error(orchestration: Orchestration, computed: StoryTenant) -> None:
    happened(computed, "cid")
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    assert evaluation.passed
    assert (metadata["segments_verified"], metadata["segments_skipped"], metadata["users_drifted"]) == (2, 0, 1)
    assert f"| {computed.slug} | buyers | 3 | 1 |" in metadata["drift"]


def test_segments_that_were_edited_are_left_out_and_said_to_be(
    orchestration: Orchestration, computed: StoryTenant
) -> None:
    computed.define({"viewers": BUYERS})
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    assert evaluation.passed
    assert (metadata["segments_verified"], metadata["segments_skipped"]) == (1, 1)
    assert "its definition was edited since" in metadata["skipped"]


@pytest.mark.parametrize("asset", ["segments", "segment_memberships"])
def test_materializing_the_partition_repairs_what_was_wrong(
    asset: str, orchestration: Orchestration, computed: StoryTenant
) -> None:
    plant_a_member(computed, "viewers", "ann")
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    assert not evaluation.passed
    assert f"`{computed.slug}/viewers`" in metadata["repair"]

    orchestration.materialize(asset, f"{computed.slug}/viewers" if asset == "segments" else computed.slug)

    assert computed.members("viewers") == frozenset()
    assert outcome(orchestration, "delta_equals_full")[0].passed


def test_a_tenant_that_is_being_computed_is_left_out(
    orchestration: Orchestration, computed: StoryTenant, catalog: Catalog
) -> None:
    lease = catalog.acquire_lease(computed.slug, "another program")
    evaluation, metadata = outcome(orchestration, "delta_equals_full")
    catalog.release_lease(lease)
    assert evaluation.passed
    assert "another program" in metadata["skipped"]


def test_tenants_take_turns_hour_by_hour(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "TENANTS_VERIFIED", 1)
    for _ in range(2):
        tenant = new_tenant()
        tenant.define({"buyers": BUYERS})
        tenant.compute()
    assert outcome(orchestration, "delta_equals_full")[1]["tenants_verified"] == 1


def test_tenants_that_are_computed_are_not_stale(orchestration: Orchestration, computed: StoryTenant) -> None:
    evaluation, metadata = outcome(orchestration, "stale_tenants")
    assert evaluation.passed
    assert (metadata["tenants"], metadata["waiting"], metadata["stale"]) == (1, 0, 0)


def test_waiting_a_little_is_not_stale(orchestration: Orchestration, computed: StoryTenant) -> None:
    happened(computed, "cid")
    evaluation, metadata = outcome(orchestration, "stale_tenants")
    assert evaluation.passed
    assert metadata["waiting"] == 1


def test_waiting_for_long_is_a_warning_that_names_the_tenant(
    orchestration: Orchestration, computed: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened(computed, "cid")
    monkeypatch.setattr(checks, "STALE_AFTER", timedelta(seconds=0))
    evaluation, metadata = outcome(orchestration, "stale_tenants")
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.description == computed.slug
    assert metadata["stale"] == 1


def test_a_tenant_never_computed_becomes_stale_too(
    orchestration: Orchestration, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"buyers": BUYERS})
    assert outcome(orchestration, "stale_tenants")[0].passed
    monkeypatch.setattr(checks, "STALE_AFTER", timedelta(seconds=0))
    assert "never" in outcome(orchestration, "stale_tenants")[1]["stale_tenants"]


def test_an_idle_tenant_is_not_stale_however_long_ago_it_was_computed(
    orchestration: Orchestration, computed: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "STALE_AFTER", timedelta(seconds=0))
    assert outcome(orchestration, "stale_tenants")[0].passed
