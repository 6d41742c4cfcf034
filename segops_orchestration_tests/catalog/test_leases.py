from __future__ import annotations

from datetime import timedelta

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.leases import LeaseLost
from segops_orchestration.catalog.records import CommittedCounts, PlannedSegment
from segops_orchestration.errors import NotFound, TenantBusy
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import NOON, Clock, begin, document, save, stage
from segops_orchestration_tests.catalog.racing import race


def test_a_lease_holds_for_its_time_to_live(acme: Catalog) -> None:
    lease = acme.acquire_lease("acme", "host:1", run_id="abc", ttl_seconds=30)

    assert (lease.tenant, lease.owner, lease.run_id) == ("acme", "host:1", "abc")
    assert (lease.acquired_at, lease.heartbeat_at) == (NOON, NOON)
    assert lease.expires_at == NOON + timedelta(seconds=30)
    assert acme.lease_holder("acme") == lease


def test_a_held_tenant_is_busy_and_the_holder_named(acme: Catalog) -> None:
    acme.acquire_lease("acme", "run abc")

    with pytest.raises(TenantBusy) as failure:
        acme.acquire_lease("acme", "host:2")

    assert (failure.value.tenant, failure.value.holder) == ("acme", "run abc")


def test_tenants_are_leased_independently(acme: Catalog) -> None:
    acme.create_tenant("beta")
    acme.acquire_lease("acme", "host:1")

    assert acme.acquire_lease("beta", "host:2").owner == "host:2"


def test_a_released_tenant_is_free(acme: Catalog) -> None:
    lease = acme.acquire_lease("acme", "host:1")

    assert acme.release_lease(lease) is True

    assert acme.lease_holder("acme") is None
    assert acme.acquire_lease("acme", "host:2").owner == "host:2"


def test_an_expired_lease_is_taken_over(acme: Catalog, clock: Clock) -> None:
    first = acme.acquire_lease("acme", "host:1", ttl_seconds=60)
    clock.move(59.999)
    with pytest.raises(TenantBusy):
        acme.acquire_lease("acme", "host:2")
    clock.move(0.001)

    second = acme.acquire_lease("acme", "host:2")

    assert second.token != first.token
    holder = acme.lease_holder("acme")
    assert holder is not None
    assert holder.owner == "host:2"


def test_renewing_holds_the_lease_for_another_time_to_live(acme: Catalog, clock: Clock) -> None:
    lease = acme.acquire_lease("acme", "host:1", ttl_seconds=60)
    clock.move(50)

    renewed = acme.renew_lease(lease)

    assert (renewed.token, renewed.acquired_at) == (lease.token, NOON)
    assert renewed.heartbeat_at == NOON + timedelta(seconds=50)
    assert renewed.expires_at == NOON + timedelta(seconds=110)
    clock.move(50)
    with pytest.raises(TenantBusy):
        acme.acquire_lease("acme", "host:2")


def test_a_lease_that_expired_unnoticed_can_still_be_renewed(acme: Catalog, clock: Clock) -> None:
    lease = acme.acquire_lease("acme", "host:1", ttl_seconds=60)
    clock.move(100)

    assert acme.renew_lease(lease).expires_at == NOON + timedelta(seconds=160)


def test_a_lease_that_was_taken_over_is_lost(acme: Catalog, clock: Clock) -> None:
    lost = acme.acquire_lease("acme", "host:1", ttl_seconds=60)
    clock.move(60)
    current = acme.acquire_lease("acme", "host:2")

    with pytest.raises(LeaseLost, match="lease on tenant 'acme' held by host:1 is lost"):
        acme.renew_lease(lost)
    assert acme.release_lease(lost) is False
    assert acme.lease_holder("acme") == current


def test_a_released_lease_cannot_be_renewed(acme: Catalog) -> None:
    lease = acme.acquire_lease("acme", "host:1")
    acme.release_lease(lease)

    with pytest.raises(LeaseLost):
        acme.renew_lease(lease)


def test_the_ledger_refuses_writes_under_a_lost_lease(acme: Catalog, clock: Clock) -> None:
    [vip] = save(acme, document("vip"))
    lost = acme.acquire_lease("acme", "host:1", ttl_seconds=60)
    computation = begin(acme, vip)
    stage(acme, computation, vip)
    clock.move(60)
    acme.acquire_lease("acme", "host:2")

    with pytest.raises(LeaseLost):
        acme.commit_segments(computation.id, [CommittedCounts(vip.id, members=1, milliseconds=1)], lease=lost)
    with pytest.raises(LeaseLost):
        acme.finish_computation(computation.id, "succeeded", lease=lost)
    with pytest.raises(LeaseLost):
        acme.begin_computation(
            "acme",
            mode="full",
            at=NOON,
            watermark_block=0,
            watermark_at=None,
            owner="host:1",
            run_id=None,
            segments=[PlannedSegment(vip.id, vip.version, "full")],
            lease=lost,
        )
    assert acme.committed_state("acme") == {}
    assert len(acme.list_computations("acme")) == 1


def test_an_unknown_tenant_cannot_be_leased(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        catalog.acquire_lease("acme", "host:1")


def test_of_several_processes_exactly_one_gets_the_lease(acme: Catalog, catalog_settings: Settings) -> None:
    answers = race(catalog_settings, "lease", processes=4)

    assert sorted(answers) == ["busy", "busy", "busy", "held"]
