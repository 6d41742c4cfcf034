"""A request whose answer was lost may have been carried out, or may be later: the opposite waits for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from segops_orchestration.activation.platform import Answer, User
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import Shop, users


@pytest.fixture
def before_request(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen before the first request of a batch."""

    def plant(happens: Callable[[], object]) -> None:
        real = Roster._change
        waiting = [happens]

        def change(self: Roster, action: str, those: Sequence[User], batch_id: str) -> Answer:
            while waiting:
                waiting.pop()()
            return real(self, action, those, batch_id)

        monkeypatch.setattr(Roster, "_change", change)

    return plant


@pytest.fixture
def trying(new_shop: NewShop) -> Shop:
    """A shop whose calls try again by themselves."""
    shop = new_shop()
    shop.open(patience=5.0)
    return shop


def test_a_call_that_was_repeated_may_still_take_effect(trying: Shop) -> None:
    trying.want(users(5))
    trying.sandbox.misbehave("late")
    assert trying.sync().added == 5
    trying.want([])
    assert trying.sync().backlog.settling == 5
    trying.sandbox.catch_up()
    trying.pass_time(seconds=61)
    trying.sync()
    assert trying.people() == set()


def test_a_call_that_was_repeated_after_a_refusal_to_take_it_has_no_effect_later(trying: Shop) -> None:
    trying.want(users(5))
    trying.sandbox.misbehave("429", wait=0)
    result = trying.sync()
    assert (result.added, result.retries) == (5, 1)
    trying.want([])
    assert trying.sync().removed == 5


def test_after_a_job_whose_first_request_was_lost_a_removal_waits(new_shop: NewShop) -> None:
    shop = new_shop(jobs=0)
    shop.open(patience=5.0)
    shop.want(users(5))
    shop.sandbox.misbehave("late")
    assert shop.sync().added == 5
    shop.want([])
    assert shop.sync().backlog.settling == 5
    shop.sandbox.catch_up()
    shop.pass_time(seconds=61)
    assert shop.sync().removed == 5
    assert shop.people() == set()


def test_who_is_refused_after_a_lost_request_is_removed_once_unwanted(trying: Shop) -> None:
    trying.want(users(1))
    trying.sandbox.misbehave("late")
    trying.sandbox.misbehave("poison", users=sorted(users(1)), skip=1, times=None)
    assert trying.sync().rejected == 1
    trying.sandbox.catch_up()
    trying.sandbox.behave()
    trying.want([])
    trying.pass_time(seconds=61)
    assert trying.sync().removed == 1
    assert trying.people() == set()


def test_the_wait_counts_from_the_last_try(shop: Shop, before_request: Callable[[Callable[[], object]], None]) -> None:
    before_request(lambda: shop.pass_time(seconds=120))
    shop.want(users(5))
    shop.sandbox.misbehave("late")
    assert shop.sync().outcome == "failed"
    shop.want([])
    shop.pass_time(seconds=15)
    assert shop.sync().backlog.settling == 5
    shop.pass_time(seconds=46)
    assert shop.sync().removed == 5


def test_after_a_sync_that_died_the_wait_counts_from_its_successor(
    shop: Shop, before_request: Callable[[Callable[[], object]], None]
) -> None:
    def die() -> None:
        holder = shop.catalog.connectors.lease_holder(shop.tenant, shop.slug)
        if holder is not None:
            shop.catalog.connectors.release_lease(holder)
        shop.pass_time(seconds=120)

    before_request(die)
    shop.want(users(5))
    with pytest.raises(ConnectorLeaseLost):
        shop.sync()
    shop.want([])
    assert shop.sync().backlog.settling == 5
    shop.pass_time(seconds=61)
    assert shop.sync().removed == 5
