from __future__ import annotations

from datetime import timedelta

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration.catalog.connector_records import Connector, ConnectorLease
from segops_orchestration.catalog.holds import NewHold
from segops_orchestration.errors import Conflict, ConnectorBusy, NotFound
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import NOON, Clock, connect
from segops_orchestration_tests.catalog.racing import race


@pytest.fixture
def connector(vip: Catalog) -> Connector:
    return connect(vip)


def _take(catalog: Catalog, owner: str = "host:1", ttl_seconds: float = 60) -> ConnectorLease:
    return catalog.connectors.acquire_lease("acme", "vip-klaviyo", owner, ttl_seconds=ttl_seconds)


def test_a_lease_holds_for_its_time_to_live(vip: Catalog, connector: Connector) -> None:
    lease = vip.connectors.acquire_lease("acme", "vip-klaviyo", "host:1", run_id="abc", ttl_seconds=30)

    assert (lease.connector_id, lease.owner, lease.run_id) == (connector.id, "host:1", "abc")
    assert lease.expires_at == NOON + timedelta(seconds=30)
    assert vip.connectors.lease_holder("acme", "vip-klaviyo") == lease


@pytest.mark.usefixtures("connector")
def test_a_held_connector_is_busy_and_the_holder_named(vip: Catalog) -> None:
    _take(vip, "run abc")

    with pytest.raises(ConnectorBusy) as failure:
        _take(vip, "host:2")

    assert (failure.value.tenant, failure.value.connector, failure.value.holder) == ("acme", "vip-klaviyo", "run abc")


@pytest.mark.usefixtures("connector")
def test_connectors_are_leased_independently_of_each_other_and_of_the_tenant(vip: Catalog) -> None:
    connect(vip, "other")
    vip.acquire_lease("acme", "a computation")
    _take(vip)

    assert vip.connectors.acquire_lease("acme", "other", "host:2").owner == "host:2"


@pytest.mark.usefixtures("connector")
def test_an_expired_lease_is_taken_over_and_lost_to_its_holder(vip: Catalog, clock: Clock) -> None:
    lost = _take(vip)
    clock.move(60)
    current = _take(vip, "host:2")

    with pytest.raises(ConnectorLeaseLost, match="connector 'vip-klaviyo' of tenant 'acme' held by host:1 is lost"):
        vip.connectors.renew_lease(lost)
    with pytest.raises(ConnectorLeaseLost):
        vip.connectors.require_lease(lost)
    assert vip.connectors.release_lease(lost) is False
    vip.connectors.require_lease(current)
    assert vip.connectors.lease_holder("acme", "vip-klaviyo") == current


@pytest.mark.usefixtures("connector")
def test_renewing_holds_the_lease_for_another_time_to_live(vip: Catalog, clock: Clock) -> None:
    lease = _take(vip)
    clock.move(50)

    assert vip.connectors.renew_lease(lease).expires_at == NOON + timedelta(seconds=110)


@pytest.mark.usefixtures("connector")
def test_a_lease_that_expired_unnoticed_is_still_ours(vip: Catalog, clock: Clock) -> None:
    lease = _take(vip)
    clock.move(100)

    vip.connectors.require_lease(lease)
    assert vip.connectors.lease_holder("acme", "vip-klaviyo") is None
    assert vip.connectors.renew_lease(lease).expires_at == NOON + timedelta(seconds=160)


@pytest.mark.usefixtures("connector")
def test_a_released_connector_is_free(vip: Catalog) -> None:
    lease = _take(vip)

    assert vip.connectors.release_lease(lease) is True

    with pytest.raises(ConnectorLeaseLost):
        vip.connectors.require_lease(lease)
    assert _take(vip, "host:2").owner == "host:2"


@pytest.mark.usefixtures("connector")
def test_nothing_is_written_under_a_lost_lease(vip: Catalog, clock: Clock) -> None:
    lost = _take(vip)
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lost)
    job = vip.connectors.open_job(sync.id, "b1", "job 1", lease=lost)
    clock.move(60)
    _take(vip, "host:2")

    writes = (
        lambda: vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lost),
        lambda: vip.connectors.finish_sync(sync.id, "succeeded", lease=lost),
        lambda: vip.connectors.open_job(sync.id, "b2", "job 2", lease=lost),
        lambda: vip.connectors.finish_job(job.id, "succeeded", lease=lost),
        lambda: vip.connectors.hold(NewHold(sync.id, 1, 2, 3, "why"), lease=lost),
        lambda: vip.connectors.set_status("acme", "vip-klaviyo", "error", "401", lease=lost),
        lambda: vip.connectors.delete("acme", "vip-klaviyo", lease=lost),
    )
    for write in writes:
        with pytest.raises(ConnectorLeaseLost):
            write()
    [logged] = vip.connectors.list_syncs("acme", "vip-klaviyo")
    assert logged.status == "running"
    assert vip.connectors.get("acme", "vip-klaviyo").status == "active"


def test_the_token_stays_out_of_representations(vip: Catalog, connector: Connector) -> None:
    lease = _take(vip)

    assert lease.token not in repr(lease)


def test_an_unknown_connector_cannot_be_leased(vip: Catalog) -> None:
    with pytest.raises(NotFound):
        _take(vip)


@pytest.mark.usefixtures("connector")
def test_a_connector_of_an_archived_tenant_cannot_be_leased(vip: Catalog) -> None:
    vip.archive_tenant("acme")

    with pytest.raises(Conflict, match="archived"):
        _take(vip)


@pytest.mark.usefixtures("connector")
def test_of_several_processes_exactly_one_gets_the_connector(vip: Catalog, catalog_settings: Settings) -> None:
    assert sorted(race(catalog_settings, "connector lease", processes=3)) == ["busy", "busy", "held"]
