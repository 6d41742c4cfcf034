"""Reading the audience back shows drift; a repair brings it back to the segment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segops_orchestration.activation import verify as verifying
from segops_orchestration.activation.platform import User
from segops_orchestration.activation.verify import Drift, Verification, verify
from segops_orchestration.errors import SegOpsError
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import SOON, Shop, users


def _verify(shop: Shop, *, repair: bool = False, remove_strangers: bool = False) -> Verification:
    return verify(
        shop.catalog,
        shop.warehouse,
        shop.tenant,
        shop.slug,
        repair=repair,
        remove_strangers=remove_strangers,
        patience=SOON,
        clock=shop.clock,
    )


@pytest.fixture
def drifted(shop: Shop) -> Shop:
    """Somebody took a user out by hand, put one back in who was removed, and invited a guest."""
    shop.deliver(users(6))
    shop.deliver(users(5))
    shop.sandbox.people.remove("user 000000")
    shop.sandbox.people.update({"user 000005", "a guest"})
    return shop


def test_an_audience_as_it_should_be_shows_no_drift(shop: Shop) -> None:
    shop.deliver(users(5))
    assert _verify(shop).drift == Drift(found=5)


def test_what_is_pending_is_no_drift(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.want(users(5, start=2))
    assert _verify(shop).drift == Drift(found=5)


def test_drift_is_told_apart(drifted: Shop) -> None:
    assert _verify(drifted).drift == Drift(6, 1, 1, 1, ("user 000000",), ("user 000005",), ("a guest",))


def test_verifying_changes_nothing(drifted: Shop) -> None:
    before = drifted.people()
    _verify(drifted)
    assert drifted.people() == before
    assert drifted.sync().requests == 0


def test_a_repair_adds_who_is_missing_and_removes_the_surplus(drifted: Shop) -> None:
    result = _verify(drifted, repair=True).result
    assert (result.kind, result.added, result.removed) == ("repair", 1, 1)
    assert drifted.people() == users(5) | {"a guest"}


def test_what_a_repair_sent_is_what_it_leaves_acknowledged(drifted: Shop) -> None:
    _verify(drifted, repair=True)
    assert drifted.states() == {**dict.fromkeys(users(5), "delivered"), "user 000005": "removed"}
    assert drifted.sync().requests == 0


def test_a_repair_removes_strangers_only_when_asked(drifted: Shop) -> None:
    _verify(drifted, repair=True, remove_strangers=True)
    assert drifted.people() == users(5)


def test_a_repair_goes_through_the_breaker(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(hold_users=10)
    shop.deliver(users(40))
    shop.sandbox.people -= users(20)
    assert _verify(shop, repair=True).result.outcome == "held"


def test_after_a_repair_nothing_is_left_to_repair(drifted: Shop) -> None:
    _verify(drifted, repair=True)
    assert _verify(drifted).drift == Drift(found=6, strangers=1, stranger_users=("a guest",))


def test_a_platform_that_cannot_be_read_back_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Roster, "reads_back", False)
    with pytest.raises(SegOpsError, match="Roster cannot be read back"):
        _verify(shop)


def test_a_refusal_while_verifying_does_not_stop_deliveries(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.sandbox.misbehave("closed")
    result = _verify(shop).result
    assert (result.outcome, result.permanent, shop.connector.status) == ("failed", True, "active")


def test_a_platform_is_asked_about_everybody_page_by_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_back(self: Roster, asked: Iterator[User]) -> Iterator[str]:
        return (user.user_id for user in asked)

    shop.deliver(users(5))
    monkeypatch.setattr(Roster, "read_back", read_back)
    monkeypatch.setattr(verifying, "_TOUCHED_AT_ONCE", 2)
    assert _verify(shop).drift == Drift(found=5)


def test_the_users_shown_are_the_first_ones(shop: Shop) -> None:
    shop.sandbox.people.update(users(40))
    drift = _verify(shop).drift
    assert drift is not None
    assert drift.stranger_users == tuple(sorted(users(10)))
