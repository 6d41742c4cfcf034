"""The checks of every platform: what waits for too long, and who waits for a person."""

from __future__ import annotations

import dagster as dg
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.defs import delivery_checks
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration, plain
from segops_orchestration_tests.defs.test_delivery_sensor import CONNECTOR, NOW, Story


@pytest.fixture
def story(orchestration: Orchestration, tenant: StoryTenant) -> Story:
    return Story(orchestration, tenant)


def evaluate(orchestration: Orchestration) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """All of them as the hourly run does."""
    job = dg.Definitions(
        asset_checks=[delivery_checks.deliveries], resources={"segops": SegOpsResource()}
    ).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=orchestration.instance)
    return {(one.asset_key.to_user_string(), one.check_name): one for one in result.get_asset_check_evaluations()}


def test_every_platform_is_judged_and_nothing_is_wrong_with_what_is_delivered(
    orchestration: Orchestration, story: Story
) -> None:
    story.synced()

    found = evaluate(orchestration)

    assert {name for name, _ in found} == {"klaviyo_sync", "braze_sync", "talon_one_sync", "webhook_sync"}
    assert {one.passed for one in found.values()} == {True}
    assert plain(found["braze_sync", "delivery_backlog"].metadata)["connectors"] == 1


def test_a_backlog_that_lasts_is_warned_of(
    orchestration: Orchestration, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.failed()
    assert evaluate(orchestration)["braze_sync", "delivery_backlog"].passed
    monkeypatch.setattr(delivery_checks, "BACKLOG_AFTER", NOW)

    found = evaluate(orchestration)["braze_sync", "delivery_backlog"]

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    metadata = plain(found.metadata)
    assert metadata["late"] == 1
    assert f"| {story.slug} | {CONNECTOR} | 1 |" in metadata["late_connectors"], "one user waits"
    assert "its last sync failed" in metadata["late_connectors"]


def test_a_stopped_connector_is_an_error_and_says_what_to_do(
    orchestration: Orchestration, story: Story, catalog: Catalog
) -> None:
    catalog.connectors.set_status(story.slug, CONNECTOR, "error", "401: unknown key")

    found = evaluate(orchestration)["braze_sync", "connector_health"]

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    table = plain(found.metadata)["waiting_for_a_person"]
    assert "401: unknown key" in table
    assert f"`segops connectors resume {story.slug} {CONNECTOR}`" in table


def test_a_held_connector_is_a_warning_and_a_paused_one_is_not(
    orchestration: Orchestration, story: Story, catalog: Catalog
) -> None:
    catalog.connectors.set_status(story.slug, CONNECTOR, "held", "5 to add")
    held = evaluate(orchestration)["braze_sync", "connector_health"]
    catalog.connectors.set_status(story.slug, CONNECTOR, "paused")
    paused = evaluate(orchestration)["braze_sync", "connector_health"]

    assert (held.passed, held.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"`segops connectors approve {story.slug} {CONNECTOR}`" in plain(held.metadata)["waiting_for_a_person"]
    assert (paused.passed, plain(paused.metadata)["paused"]) == (True, 1)
