"""Ids that are joined to another one leave the platforms to which they were sent."""

from __future__ import annotations

from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.identities import alias
from segops_orchestration.defs.undelivered import undelivered
from segops_orchestration_tests.activation.roster.shop import Shop
from segops_orchestration_tests.erasure.erasing import order, run


def is_due(shop: Shop) -> bool:
    (delivery,) = [one for one in shop.catalog.connectors.deliveries(shop.tenant) if one.connector.slug == shop.slug]
    return undelivered(delivery, shop.clock()) is not None


def test_a_joined_id_is_taken_out_though_nobody_else_entered_or_left(shop: Shop) -> None:
    order(shop, ["anon.joined", "ann.joined"])
    run(shop)
    assert shop.people() >= {"anon.joined", "ann.joined"}
    assert not is_due(shop)
    alias(shop.catalog, shop.database, "anon.joined", "ann.joined")
    (segment,) = compute(shop.catalog, shop.warehouse, shop.tenant, [shop.segment]).segments
    assert (segment.entered, segment.exited) == (0, 0)
    assert is_due(shop)
    shop.sync()
    assert shop.people() & {"anon.joined", "ann.joined"} == {"ann.joined"}
    assert not is_due(shop)
