"""The assets that sync: what they send and report, and what fails, retries, or is only told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from segops_orchestration.activation import http, opening, work
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.webhook import SECRET, WebhookSandbox
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.definitions import defs
from segops_orchestration.defs import syncing
from segops_orchestration.defs.jobs import recompute_request
from segops_orchestration.defs.memberships import ComputeMode
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.errors import WarehouseError
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.connecting import CONNECTOR, Connected, connected
from segops_orchestration_tests.defs.orchestration import Orchestration, plain
from segops_orchestration_tests.defs.stories import happened

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    monkeypatch.setattr(http, "PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(http, "FIRST_PAUSE_SECONDS", 30.0)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda policy, attempt: 0.01)
    monkeypatch.setattr(syncing, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(syncing, "QUICK_CALL_SECONDS", 5.0)


@pytest.fixture
def shop(orchestration: Orchestration, tenant: StoryTenant) -> Iterator[Connected]:
    with connected(tenant, "ann", "bob", "cid") as made:
        orchestration.register(tenant.slug)
        yield made


def delta(orchestration: Orchestration, shop: Connected, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    """The run that the event sensor asks for."""
    return orchestration.run(recompute_request(shop.slug, ComputeMode.delta), raise_on_error=raise_on_error)


def steps(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What became of each step of a run."""
    kinds = {"STEP_SUCCESS": "success", "STEP_FAILURE": "failure", "STEP_UP_FOR_RETRY": "up for retry"}
    return {
        event.step_key or "": kinds[event.event_type_value]
        for event in result.all_events
        if event.event_type_value in kinds
    }


def failure(result: dg.ExecuteInProcessResult, step: str) -> tuple[str, dict[str, Any]]:
    """What a failed step says, and its metadata."""
    data = result.failure_data_for_node(step)
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data.description or "", plain(data.user_failure_data.metadata)


def test_materializing_a_partition_syncs_the_tenants_connectors(orchestration: Orchestration, shop: Connected) -> None:
    result = orchestration.materialize("braze_sync", shop.slug)

    assert shop.sandbox.members() == {"ann", "bob", "cid"}
    [(partition, metadata)] = orchestration.reported("braze_sync")
    assert partition == shop.slug
    assert (metadata["sent"], metadata["added"], metadata["removed"]) == (3, 3, 0)
    assert (metadata["rejected"], metadata["pending"], metadata["requests"], metadata["retries"]) == (0, 0, 1, 0)
    assert (metadata["connectors"], metadata["synced"], metadata["audience"]) == (1, 1, 3)
    assert f"| {CONNECTOR} | buyers | succeeded | 3 |" in metadata["by_connector"]
    assert [one.run_id for one in shop.syncs()] == [result.run_id]


def test_a_computation_sends_what_it_changed_in_the_same_run(orchestration: Orchestration, shop: Connected) -> None:
    delta(orchestration, shop)
    happened(shop.tenant, "dot")

    result = delta(orchestration, shop)

    assert shop.sandbox.members() == {"ann", "bob", "cid", "dot"}
    order = [event.step_key for event in result.all_events if event.event_type_value == "STEP_START"]
    assert order[0] == "segment_memberships"
    assert set(order[1:]) == {"segment_exports", "klaviyo_sync", "braze_sync", "talon_one_sync", "webhook_sync"}


def test_a_tenant_without_connectors_asks_neither_platform_nor_warehouse(
    orchestration: Orchestration, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WarehouseError("nobody should have asked")

    monkeypatch.setattr(SegOpsResource, "warehouse", property(refuse))

    result = orchestration.materialize("klaviyo_sync", tenant.slug)

    assert result.success
    [(_, metadata)] = orchestration.reported("klaviyo_sync")
    assert (metadata["connectors"], metadata["sent"]) == (0, 0)
    assert "audience" not in metadata


def test_a_computation_that_changed_nothing_makes_no_line_in_the_sync_log(
    orchestration: Orchestration, shop: Connected
) -> None:
    delta(orchestration, shop)
    delta(orchestration, shop)

    assert [one.counts.added for one in shop.syncs()] == [3]
    assert "unchanged" in orchestration.reported("braze_sync")[-1][1]["by_connector"]


def test_the_nightly_run_looks_at_every_connector(orchestration: Orchestration, shop: Connected) -> None:
    delta(orchestration, shop)

    orchestration.run(recompute_request(shop.slug, ComputeMode.full))

    assert [one.counts.added for one in shop.syncs()] == [0, 3]


def test_a_platform_that_fails_fails_only_its_own_step(orchestration: Orchestration, shop: Connected) -> None:
    shop.connect("to-nowhere", url=NOWHERE)
    happened(shop.tenant, "dot")

    result = delta(orchestration, shop, raise_on_error=False)

    assert not result.success
    assert steps(result) == {
        "segment_memberships": "success",
        "segment_exports": "success",
        "klaviyo_sync": "success",
        "braze_sync": "failure",
        "talon_one_sync": "success",
        "webhook_sync": "success",
    }
    assert shop.tenant.members("buyers") == {"ann", "bob", "cid", "dot"}
    assert shop.sandbox.members() == {"ann", "bob", "cid", "dot"}, "the other connector of the platform was synced"
    words, metadata = failure(result, "braze_sync")
    assert f"{shop.slug}/to-nowhere: " in words
    assert "The sensor pending_deliveries has it tried again" in words
    assert metadata["failed_connectors"] == [f"{shop.slug}/to-nowhere"]


def test_a_computation_leaves_a_connector_alone_whose_last_sync_failed(
    orchestration: Orchestration, shop: Connected
) -> None:
    shop.connect("to-nowhere", url=NOWHERE)
    delta(orchestration, shop, raise_on_error=False)
    happened(shop.tenant, "dot")

    result = delta(orchestration, shop)

    assert result.success
    assert len(shop.syncs("to-nowhere")) == 1
    metadata = orchestration.reported("braze_sync")[-1][1]
    assert (metadata["left"], metadata["synced"]) == (1, 1)


def test_a_computation_leaves_a_large_change_to_the_job_deliver(
    orchestration: Orchestration, shop: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "QUICK_USERS", 2)

    delta(orchestration, shop)

    assert shop.sandbox.members() == set()
    [(_, metadata)] = orchestration.reported("braze_sync")
    assert "about 3 users changed; the job deliver sends them" in metadata["by_connector"]


def test_a_platform_that_is_out_of_order_is_tried_again_by_the_run(
    orchestration: Orchestration, shop: Connected
) -> None:
    shop.sandbox.misbehave("500", times=2)

    result = orchestration.materialize("braze_sync", shop.slug)

    assert result.success
    assert "STEP_UP_FOR_RETRY" in [event.event_type_value for event in result.all_events]
    assert shop.sandbox.members() == {"ann", "bob", "cid"}


def test_a_refused_key_stops_the_connector_without_a_retry(orchestration: Orchestration, shop: Connected) -> None:
    shop.tenant.catalog.connectors.delete(shop.slug, CONNECTOR)
    shop.connect(key="wrong-key")

    result = orchestration.materialize("braze_sync", shop.slug, raise_on_error=False)

    assert steps(result) == {"braze_sync": "failure"}
    assert "STEP_UP_FOR_RETRY" not in [event.event_type_value for event in result.all_events]
    assert shop.connector().status == "error"
    assert "wrong-key" not in failure(result, "braze_sync")[0]


@pytest.mark.parametrize("status", ["paused", "error"])
def test_a_connector_that_rests_is_told_and_no_failure(
    orchestration: Orchestration, shop: Connected, status: Any
) -> None:
    shop.tenant.catalog.connectors.set_status(shop.slug, CONNECTOR, status, "somebody said so")

    result = orchestration.materialize("braze_sync", shop.slug)

    assert result.success
    [(_, metadata)] = orchestration.reported("braze_sync")
    assert (metadata[status], metadata["sent"]) == (1, 0)
    assert "somebody said so" in metadata["by_connector"]


def test_a_held_change_is_told_and_no_failure(orchestration: Orchestration, shop: Connected) -> None:
    shop.tenant.catalog.connectors.delete(shop.slug, CONNECTOR)
    shop.connect(hold_users=2, hold_share=0.1)
    orchestration.materialize("braze_sync", shop.slug)
    shop.bought("dot", "eve", "fay")

    result = delta(orchestration, shop)

    assert result.success
    assert shop.sandbox.members() == {"ann", "bob", "cid"}
    metadata = orchestration.reported("braze_sync")[-1][1]
    assert (metadata["held"], metadata["sent"]) == (1, 0)
    assert "3 to add and 0 to remove" in metadata["by_connector"]


def test_an_error_of_our_own_keeps_nobody_waiting_and_tells_no_secret(
    orchestration: Orchestration, shop: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.connect("a-broken-one")
    opened, secret = opening.open_platform, "sandbox-" + "key"

    def broken(catalog: Catalog, connector: Any, *rest: Any, **options: Any) -> Any:
        if connector.slug == "a-broken-one":
            raise KeyError(secret)
        return opened(catalog, connector, *rest, **options)

    monkeypatch.setattr(work, "open_platform", broken)

    result = delta(orchestration, shop, raise_on_error=False)

    assert shop.sandbox.members() == {"ann", "bob", "cid"}
    words, _ = failure(result, "braze_sync")
    assert "a-broken-one: KeyError, an error of segops itself" in words
    said = "".join(str(record) for record in orchestration.instance.all_logs(result.run_id))
    assert secret not in said


def test_a_computation_tells_the_tenants_endpoints_of_it(orchestration: Orchestration, shop: Connected) -> None:
    with SandboxServer(WebhookSandbox()) as receiver:
        assert isinstance(receiver.sandbox, WebhookSandbox)
        shop.tenant.catalog.webhooks.create(shop.slug, f"{receiver.url}/hook", SECRET)
        happened(shop.tenant, "dot")

        delta(orchestration, shop)

        assert [notice["member_count"] for notice in receiver.sandbox.notices] == [4]
    metadata = orchestration.reported("webhook_sync")[-1][1]
    assert (metadata["notices_written"], metadata["notices_delivered"]) == (1, 1)


def test_an_endpoint_that_does_not_answer_keeps_only_one_computation_waiting(
    orchestration: Orchestration, shop: Connected
) -> None:
    shop.tenant.catalog.webhooks.create(shop.slug, f"{NOWHERE}/hook", SECRET)
    happened(shop.tenant, "dot")
    delta(orchestration, shop)
    happened(shop.tenant, "eve")

    delta(orchestration, shop)

    first, second = (metadata for _, metadata in orchestration.reported("webhook_sync"))
    assert (first["notices_written"], first["notices_failed"]) == (1, 1)
    assert (second["notices_written"], "notices_failed" in second) == (1, False)


def test_each_tenant_of_a_backfill_is_synced_to_its_own_audience(
    orchestration: Orchestration, new_tenant: NewTenant
) -> None:
    with connected(new_tenant(), "ann") as first, connected(new_tenant(), "bob") as second:
        orchestration.materialize("braze_sync", first.slug, second.slug)

        assert (first.sandbox.members(), second.sandbox.members()) == ({"ann"}, {"bob"})
        assert {partition: one["sent"] for partition, one in orchestration.reported("braze_sync")} == {
            first.slug: 1,
            second.slug: 1,
        }


def test_a_platform_is_a_pool_that_bounds_how_many_sync_at_once() -> None:
    pools = {
        platform: defs.resolve_assets_def(f"{platform}_sync").op.pool
        for platform in ("klaviyo", "braze", "talon_one", "webhook")
    }
    assert pools == {platform: platform for platform in pools}
