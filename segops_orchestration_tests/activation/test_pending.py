"""What is left to be delivered, for all connectors of a tenant at once."""

from __future__ import annotations

from dataclasses import replace

from segops_orchestration.activation.difference import Backlog
from segops_orchestration.activation.pending import pending
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop, users


def test_each_connector_has_its_own_backlog(new_tenant: NewShop) -> None:
    shop = new_tenant()
    shop.open()
    shop.deliver(users(5))
    shop.want(users(4, start=2))
    other = replace(shop, slug="other", segment="others")
    other.open()
    other.want(users(3))
    found = pending(shop.catalog, shop.warehouse, shop.tenant)
    assert found == {
        "to-roster": Backlog(adds=1, removes=2, delivered=5, audience=5),
        "other": Backlog(adds=3),
    }


def test_a_tenant_without_connectors_has_none(shop: Shop) -> None:
    shop.catalog.create_tenant("t_bare")
    assert pending(shop.catalog, shop.warehouse, "t_bare") == {}


def test_the_audience_of_an_archived_segment_that_stays_is_no_backlog(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.catalog.archive_segment(shop.tenant, shop.segment)
    assert shop.backlog() == Backlog()


def test_many_connectors_are_counted_a_few_at_a_time(new_tenant: NewShop) -> None:
    shop = new_tenant()
    every = [replace(shop, slug=f"to-{number}", segment=f"segment-{number}") for number in range(6)]
    for number, one in enumerate(every):
        one.open()
        one.want(users(number))
    found = pending(shop.catalog, shop.warehouse, shop.tenant)
    assert [found[one.slug].adds for one in every] == [0, 1, 2, 3, 4, 5]
