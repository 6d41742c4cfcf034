"""A pause keeps changes pending; after it the net difference is sent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from segops_orchestration.activation.platform import Answer, User
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import Shop, users


def _pause(shop: Shop) -> None:
    shop.catalog.connectors.pause(shop.tenant, shop.slug)


def test_a_paused_connector_sends_nothing_and_keeps_what_is_pending(shop: Shop) -> None:
    shop.deliver(users(5))
    _pause(shop)
    shop.want(users(7))
    result = shop.sync()
    assert (result.outcome, result.requests, result.pending) == ("paused", 0, 2)
    assert shop.people() == users(5)


def test_a_sync_that_sent_nothing_because_of_a_pause_is_not_logged(shop: Shop) -> None:
    _pause(shop)
    shop.sync()
    assert shop.catalog.connectors.list_syncs(shop.tenant, shop.slug) == []


def test_after_a_pause_the_net_difference_is_sent(shop: Shop) -> None:
    shop.deliver(users(5))
    _pause(shop)
    shop.want(users(7))
    shop.sync()
    shop.want(users(6))
    shop.sync()
    shop.catalog.connectors.resume(shop.tenant, shop.slug)
    result = shop.sync()
    assert (result.added, result.removed) == (1, 0)


def test_a_pause_stops_a_sync_that_is_running(new_shop: NewShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = new_shop()
    shop.open(batch=2)
    real = Roster.add

    def add(self: Roster, those: Sequence[User], batch_id: str) -> Answer:
        if shop.connector.status == "active":
            _pause(shop)
        return real(self, those, batch_id)

    monkeypatch.setattr(Roster, "add", add)
    shop.want(users(200))
    result = shop.sync()
    assert (result.outcome, result.pending) == ("paused", 200 - result.added)
    assert 0 < result.added < 40
    (line,) = shop.catalog.connectors.list_syncs(shop.tenant, shop.slug)
    assert line.status == "abandoned"
