"""A difference that is too large for the audience is held until somebody approves it."""

from __future__ import annotations

import pytest

from segops_orchestration.activation.planned import Plan
from segops_orchestration.catalog.connector_records import Hold
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop, users


@pytest.fixture
def filled(new_shop: NewShop) -> Shop:
    """Forty users delivered; ten users and 30 % may go unasked."""
    shop = new_shop()
    shop.open(hold_users=10)
    shop.deliver(users(40))
    return shop


def _approve(shop: Shop, *, adds_only: bool = False) -> None:
    shop.catalog.connectors.approve_hold(shop.tenant, shop.slug, adds_only=adds_only, by="a person")


def _hold(shop: Shop) -> Hold:
    hold = shop.catalog.connectors.latest_hold(shop.connector)
    assert hold is not None
    return hold


def test_too_many_removals_are_held_and_nothing_is_sent(filled: Shop) -> None:
    filled.want(users(20) | users(2, start=100))
    result = filled.sync()
    assert (result.outcome, result.requests, result.added, result.removed) == ("held", 0, 0, 0)
    assert (filled.connector.status, result.pending) == ("held", 22)


def test_a_hold_says_how_many_of_whom_and_why(filled: Shop) -> None:
    filled.want(users(20) | users(2, start=100))
    hold = filled.sync().hold
    assert hold is not None
    assert (hold.adds, hold.removes, hold.audience) == (2, 20, 40)
    assert set(hold.sample["add"]) == users(2, start=100)
    assert len(hold.sample["remove"]) == 10
    assert set(hold.sample["remove"]) <= users(20, start=20)
    assert "time alone" in hold.cause


@pytest.mark.parametrize(("kept", "held"), [(28, False), (27, True)])
def test_a_share_of_the_audience_may_go_unasked(filled: Shop, kept: int, held: bool) -> None:
    filled.want(users(kept))
    assert (filled.sync().outcome == "held") == held


def test_few_users_may_go_unasked_whatever_their_share(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(hold_users=10)
    shop.deliver(users(9))
    shop.deliver([])


def test_too_many_additions_are_held(filled: Shop) -> None:
    filled.want(users(60))
    assert filled.sync().outcome == "held"


def test_an_empty_audience_is_filled_unasked(filled: Shop) -> None:
    assert filled.connector.status == "active"


def test_a_filling_that_broke_off_goes_on_unasked(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(hold_users=10)
    shop.want(users(40))
    shop.sandbox.misbehave("500", skip=1)
    assert shop.sync().outcome == "failed"
    assert shop.sync().outcome == "succeeded"
    assert shop.people() == users(40)


def test_approval_lets_the_difference_go(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    _approve(filled)
    assert filled.sync().removed == 20
    assert filled.people() == users(20)
    assert filled.catalog.connectors.latest_hold(filled.connector) is None


def test_approval_lets_nothing_else_go(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    _approve(filled)
    filled.want([])
    result = filled.sync()
    assert (result.outcome, result.removed) == ("held", 20)
    assert filled.people() == users(20)
    assert _hold(filled).removes == 20


def test_who_came_back_before_the_approved_difference_was_sent_stays(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    _approve(filled)
    filled.want(users(21))
    filled.sync()
    assert filled.people() == users(21)
    assert ("remove", "user 000020") not in filled.told()


def test_an_approval_is_used_once(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    _approve(filled)
    filled.sync()
    for number in range(25, 45, 5):
        filled.deliver(users(number))
    filled.want(users(20))
    assert filled.sync().outcome == "held"


def test_the_additions_alone_can_be_let_go(filled: Shop) -> None:
    filled.want(users(20) | users(5, start=100))
    filled.sync()
    _approve(filled, adds_only=True)
    result = filled.sync()
    assert (result.outcome, result.added, result.removed) == ("held", 5, 0)
    assert filled.people() == users(40) | users(5, start=100)
    assert (_hold(filled).adds, _hold(filled).removes) == (0, 20)


def test_an_approval_outlives_a_sync_that_breaks_off(filled: Shop) -> None:
    filled.want(users(10))
    filled.sync()
    _approve(filled)
    filled.sandbox.misbehave("429", wait=0, skip=1)
    assert filled.sync().outcome == "failed"
    assert filled.sync().outcome == "succeeded"
    assert filled.people() == users(10)


def test_a_held_connector_goes_on_by_itself_once_the_difference_is_small(filled: Shop) -> None:
    filled.want(users(5))
    filled.sync()
    filled.want(users(39))
    assert filled.sync().outcome == "succeeded"
    assert filled.connector.status == "active"
    assert filled.people() == users(39)


def test_a_hold_stays_the_same_while_the_difference_is_about_the_same(filled: Shop) -> None:
    filled.want(users(20))
    first = filled.sync().hold
    filled.want(users(19))
    second = filled.sync().hold
    assert first is not None
    assert second is not None
    assert first.id == second.id
    _approve(filled)
    assert filled.sync().removed == 21


def test_a_hold_of_quite_another_difference_takes_its_place(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    filled.want(users(80))
    hold = filled.sync().hold
    assert hold is not None
    assert (hold.adds, hold.removes) == (40, 0)


def test_a_pause_and_a_resumption_let_nothing_go(filled: Shop) -> None:
    filled.want(users(20))
    filled.sync()
    filled.catalog.connectors.pause(filled.tenant, filled.slug)
    filled.catalog.connectors.resume(filled.tenant, filled.slug)
    assert filled.sync().outcome == "held"


def test_an_edited_segment_is_the_likely_cause(filled: Shop) -> None:
    filled.define(least=2)
    filled.want(users(20))
    hold = filled.sync().hold
    assert hold is not None
    assert "the segment was edited: version 2 now, version 1" in hold.cause


@pytest.fixture
def alone(new_tenant: NewShop) -> Shop:
    """The same in a tenant of its own, whose events are its own."""
    shop = new_tenant()
    shop.open(hold_users=10)
    shop.deliver(users(40))
    return shop


def _arrivals(shop: Shop, number: int, *, days_ago: int) -> None:
    shop.database.command(
        "INSERT INTO arrivals SELECT now64(3) - INTERVAL {days:UInt8} DAY - INTERVAL 1 HOUR, toString(number)"
        " FROM numbers({number:UInt64})",
        {"days": days_ago, "number": number},
    )


def test_few_events_are_the_likely_cause(alone: Shop) -> None:
    for days_ago in range(1, 8):
        _arrivals(alone, 100, days_ago=days_ago)
    alone.want(users(20))
    hold = alone.sync().hold
    assert hold is not None
    assert hold.cause.startswith("fewer events: 0 arrivals")


def test_late_events_are_the_likely_cause(alone: Shop) -> None:
    alone.identify("user 000001", {})
    alone.want(users(20))
    hold = alone.sync().hold
    assert hold is not None
    assert hold.cause.startswith("late events: 1 ")


def test_an_approval_during_a_sync_stays(filled: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Plan.share_in

    def approved_meanwhile(self: Plan, other_sync: int) -> float:
        _approve(filled)
        return real(self, other_sync)

    filled.want(users(20))
    filled.sync()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Plan, "share_in", approved_meanwhile)
        assert filled.sync().requests == 0
    assert (filled.connector.status, _hold(filled).status) == ("active", "approved")
    assert filled.sync().removed == 20


@pytest.mark.parametrize(("kept", "would_hold"), [(28, False), (27, True)])
def test_a_dry_run_says_what_would_be_held(filled: Shop, kept: int, would_hold: bool) -> None:
    filled.want(users(kept))
    result = filled.sync(dry_run=True)
    assert (result.outcome, result.would_hold, filled.connector.status) == ("succeeded", would_hold, "active")
