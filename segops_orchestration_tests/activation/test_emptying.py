"""Segment archived or connector deleted: the audience is emptied or left, as the user chose."""

from __future__ import annotations

import pytest

from segops_orchestration.activation.emptying import delete_connector, empty
from segops_orchestration.errors import NotFound
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import SOON, Shop, users


@pytest.fixture
def filled(shop: Shop) -> Shop:
    """Twenty users delivered, and a guest who came by himself."""
    shop.sandbox.people.add("a guest")
    shop.want(users(20))
    shop.sync()
    return shop


def test_the_audience_of_an_archived_segment_is_left(filled: Shop) -> None:
    filled.catalog.archive_segment(filled.tenant, filled.segment)
    result = filled.sync()
    assert (result.outcome, result.pending, result.requests) == ("left", 0, 0)
    assert filled.people() == users(20) | {"a guest"}


def test_the_audience_of_an_archived_segment_is_emptied_where_that_was_chosen(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(hold_users=1, when_archived="empty")
    shop.deliver(users(20))
    shop.catalog.archive_segment(shop.tenant, shop.segment)
    result = shop.sync()
    assert (result.outcome, result.removed) == ("succeeded", 20)
    assert shop.people() == set()


def test_emptying_removes_whom_we_added_and_nobody_else(filled: Shop) -> None:
    result = empty(filled.catalog, filled.warehouse, filled.tenant, filled.slug, patience=SOON)
    assert (result.kind, result.removed) == ("empty", 20)
    assert filled.people() == {"a guest"}


def _delete(shop: Shop, *, empty_first: bool) -> str:
    _, result = delete_connector(
        shop.catalog,
        shop.warehouse,
        shop.tenant,
        shop.slug,
        empty_first=empty_first,
        patience=SOON,
        clock=shop.clock,
    )
    return result.outcome if result else ""


def test_a_deleted_connector_may_leave_its_audience(filled: Shop) -> None:
    _delete(filled, empty_first=False)
    assert filled.people() == users(20) | {"a guest"}
    with pytest.raises(NotFound):
        filled.catalog.connectors.get(filled.tenant, filled.slug)


def test_a_deleted_connector_may_empty_its_audience(filled: Shop) -> None:
    _delete(filled, empty_first=True)
    assert filled.people() == {"a guest"}


def test_nothing_is_kept_of_the_users_of_a_deleted_connector(filled: Shop) -> None:
    parameters = {"id": filled.connector.id}
    _delete(filled, empty_first=True)
    sql = "SELECT count() FROM activation_state WHERE connector_id = {id:UInt64}"
    assert filled.database.query(sql, parameters).result_rows == [(0,)]


def test_a_deletion_that_could_not_empty_stays_and_can_be_repeated(filled: Shop) -> None:
    filled.sandbox.misbehave("500", skip=1)
    assert _delete(filled, empty_first=True) == "failed"
    assert filled.connector.status == "deleting"
    assert filled.sync().requests == 0
    _delete(filled, empty_first=True)
    assert filled.people() == {"a guest"}
