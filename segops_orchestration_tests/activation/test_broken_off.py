"""Syncs that break off for reasons of their own: what they leave in the log and in the state."""

from __future__ import annotations

from typing import NoReturn

import pytest

from segops_orchestration.activation import emptying, work
from segops_orchestration.activation.planned import Plan
from segops_orchestration.activation.session import Session, query_settings
from segops_orchestration.activation.state import Entry, StateTable
from segops_orchestration.catalog.connector_records import Sync
from segops_orchestration.errors import WarehouseError
from segops_orchestration_tests.activation.roster.shop import SOON, Shop, users


def _break_off(*_: object, **__: object) -> NoReturn:
    raise WarehouseError("gone for a moment")


def _last_sync(shop: Shop) -> Sync:
    return shop.catalog.connectors.list_syncs(shop.tenant, shop.slug, limit=1)[0]


def test_a_sync_that_broke_off_does_not_say_that_the_audience_is_empty(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.deliver(users(5))
    monkeypatch.setattr(Plan, "write", _break_off)
    with pytest.raises(WarehouseError):
        shop.sync()
    assert (_last_sync(shop).status, _last_sync(shop).counts.audience) == ("failed", None)


def test_a_sync_that_broke_off_keeps_when_refused_users_are_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("reject", users=sorted(users(2)))
    shop.sync()
    before = _last_sync(shop).counts
    monkeypatch.setattr(Plan, "write", _break_off)
    with pytest.raises(WarehouseError):
        shop.sync()
    after = _last_sync(shop).counts
    assert before.refused == 2
    assert (after.refused, after.next_try_at) == (2, before.next_try_at)


def test_a_sync_that_cannot_count_what_is_left_ends_in_the_log(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.want(users(5))
    monkeypatch.setattr(work, "backlogs", _break_off)
    with pytest.raises(WarehouseError):
        shop.sync()
    assert (_last_sync(shop).status, _last_sync(shop).counts.added) == ("failed", 5)


def test_a_deletion_that_broke_off_sends_nothing_any_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.deliver(users(5))
    monkeypatch.setattr(emptying, "_forget", _break_off)
    with pytest.raises(WarehouseError):
        emptying.delete_connector(
            shop.catalog, shop.warehouse, shop.tenant, shop.slug, empty_first=False, patience=SOON
        )
    shop.want([])
    assert (shop.connector.status, shop.sync().requests) == ("deleting", 0)


def test_a_catalogue_restored_with_smaller_numbers_does_not_lose_what_is_written(shop: Shop) -> None:
    StateTable(Session(shop.database, shop.connector, 1_000_000)).write(
        [Entry(user, "delivered", "add", 1) for user in users(5)]
    )
    assert shop.sync().removed == 5
    assert set(shop.states().values()) == {"removed"}


def test_an_interrupted_wait_does_not_block_who_writes_next(shop: Shop) -> None:
    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    table = StateTable(Session(shop.database, shop.connector, 7))
    real, table._writing = table._writing, Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        table.write([Entry("user 000000", "delivered", "add", 1)])
    table._writing = real
    table.write([Entry("user 000001", "delivered", "add", 1)])
    assert shop.states() == {"user 000001": "delivered"}


def test_the_difference_does_not_depend_on_the_profile_of_the_server(shop: Shop) -> None:
    assert query_settings(shop.database)["join_use_nulls"] == 0
