"""A dry run tells, row by row, what would be sent, and sends nothing."""

from __future__ import annotations

from segops_orchestration.activation.result import PlannedUser
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop, users


def test_every_row_is_shown_and_none_sent(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.want(users(5, start=2))
    rows: list[PlannedUser] = []
    result = shop.sync(dry_run=True, show=rows.append)
    assert [(row.action, row.user_id) for row in rows] == [
        ("remove", "user 000000"),
        ("remove", "user 000001"),
        ("add", "user 000005"),
        ("add", "user 000006"),
    ]
    assert (result.kind, result.adds, result.removes, result.requests) == ("dry_run", 2, 2, 0)
    assert shop.people() == users(5)


def test_it_leaves_the_state_as_it_was(shop: Shop) -> None:
    shop.want(users(5))
    shop.sync(dry_run=True)
    assert shop.states() == {}
    assert shop.rows("SELECT count() FROM activation_plan WHERE connector_id = {id:UInt64}") == [(0,)]


def test_it_says_who_would_be_refused_for_what_is_lacking(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(email=True)
    shop.want(users(1))
    rows: list[PlannedUser] = []
    shop.sync(dry_run=True, show=rows.append)
    assert rows == [PlannedUser("add", "user 000000", "no email")]


def test_it_works_on_a_paused_connector(shop: Shop) -> None:
    shop.catalog.connectors.pause(shop.tenant, shop.slug)
    shop.want(users(5))
    assert shop.sync(dry_run=True).adds == 5
