"""One computation of a tenant at a time."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.leases import LeaseLost
from segops_orchestration.compute.compute import compute
from segops_orchestration.errors import TenantBusy
from segops_orchestration.settings import Settings
from segops_orchestration_tests.compute.computing import at_step, go, start
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.story import T0, T1, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count

BUYERS = all_of(event_count("gte", 1))


@pytest.fixture
def shop(tenant: StoryTenant) -> StoryTenant:
    """A tenant with a segment, not computed yet."""
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann"))
    return tenant


def test_a_second_computation_is_refused_and_names_the_holder(
    shop: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[str] = []

    def compute_too() -> None:
        with pytest.raises(TenantBusy) as busy:
            shop.compute("full", at=T1)
        refusals.append(busy.value.holder)

    at_step(monkeypatch, "staged", compute_too)
    shop.compute(at=T0)

    assert refusals == [f"{socket.gethostname()}:{os.getpid()}"]
    assert [one.at for one in shop.catalog.list_computations(shop.slug)] == [T0]


def test_a_dagster_run_is_named_as_the_holder(shop: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    holders: list[str] = []

    def look() -> None:
        lease = shop.catalog.lease_holder(shop.slug)
        assert lease is not None
        holders.append(lease.owner)

    at_step(monkeypatch, "staged", look)
    compute(shop.catalog, shop.warehouse, shop.slug, at=T0, run_id="a1b2")

    assert holders == ["run a1b2"]
    assert shop.catalog.lease_holder(shop.slug) is None


def test_the_refusal_names_the_dagster_run_that_computes(shop: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals: list[str] = []

    def compute_too() -> None:
        with pytest.raises(TenantBusy) as busy:
            compute(shop.catalog, shop.warehouse, shop.slug, at=T0, run_id="b2c3")
        refusals.append(str(busy.value))

    at_step(monkeypatch, "staged", compute_too)
    compute(shop.catalog, shop.warehouse, shop.slug, at=T0, run_id="a1b2")

    assert refusals == [f"tenant {shop.slug!r} is being computed by run a1b2; try again when it has finished"]


def test_who_waits_computes_when_the_holder_has_finished(shop: StoryTenant, catalog_settings: Settings) -> None:
    """The holder is another process, which takes 1.5 s over a step."""
    holder = start(catalog_settings, shop, T0, "staged", "wait")
    with ThreadPoolExecutor(1) as other:
        said = other.submit(go, holder)
        while shop.catalog.lease_holder(shop.slug) is None:
            time.sleep(0.01)
        with pytest.raises(TenantBusy, match=f":{holder.pid};"):
            compute(shop.catalog, shop.warehouse, shop.slug, at=T1, wait_seconds=0.2)
        compute(shop.catalog, shop.warehouse, shop.slug, at=T1, wait_seconds=60)

    assert said.result() == [f"computed by {socket.gethostname()}:{holder.pid}"]
    assert [one.at for one in shop.catalog.list_computations(shop.slug)] == [T1, T0]


def test_who_waits_takes_over_the_lease_of_a_dead_holder_when_it_expires(shop: StoryTenant) -> None:
    shop.catalog.acquire_lease(shop.slug, "a dead process", ttl_seconds=1)

    compute(shop.catalog, shop.warehouse, shop.slug, at=T0, wait_seconds=60)

    assert shop.members("buyers") == {"ann"}


def test_other_tenants_can_be_computed_meanwhile(
    shop: StoryTenant, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_tenant()
    other.define({"buyers": BUYERS})
    other.ingest(ordered("bob"))

    def compute_other() -> None:
        other.compute(at=T0)

    at_step(monkeypatch, "staged", compute_other)
    shop.compute(at=T0)

    assert (shop.members("buyers"), other.members("buyers")) == (frozenset({"ann"}), frozenset({"bob"}))


def test_of_two_processes_that_compute_at_once_one_wins_and_the_other_is_busy(
    shop: StoryTenant, catalog_settings: Settings
) -> None:
    said = sorted(go(*(start(catalog_settings, shop, T0, "staged", "wait") for _ in range(2))))

    busy, computed = said
    assert busy.removeprefix("busy: ") == computed.removeprefix("computed by ")
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [("ann", "entered")]
    assert len(shop.catalog.list_computations(shop.slug)) == 1


def test_a_computation_that_outlasts_its_lease_renews_it(shop: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def outlast() -> None:
        time.sleep(1.5)
        with pytest.raises(TenantBusy):
            shop.catalog.acquire_lease(shop.slug, "somebody else")

    at_step(monkeypatch, "staged", outlast)
    compute(shop.catalog, shop.warehouse, shop.slug, at=T0, lease_seconds=1)

    assert shop.members("buyers") == {"ann"}


def test_whoever_lost_the_lease_commits_nothing(
    shop: StoryTenant, catalog_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a laptop sleeps through its lease, and another process takes over."""
    with Catalog.open(catalog_settings, clock=lambda: datetime.now(UTC) + HOUR) as later:
        with monkeypatch.context() as patch:
            at_step(patch, "staged", lambda: _take_over(later, shop.slug))
            with pytest.raises(LeaseLost, match="another computation took over"):
                shop.compute(at=T0)
        assert shop.members("buyers") == set()
        assert later.committed_state(shop.slug) == {}
        lease = later.lease_holder(shop.slug)
        assert lease is not None
        assert lease.owner == "the next one"
        later.release_lease(lease)

        StoryTenant(later, shop.warehouse, shop.slug).compute(at=T0)

    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [("ann", "entered")]


def _take_over(catalog: Catalog, slug: str) -> None:
    catalog.acquire_lease(slug, "the next one")
