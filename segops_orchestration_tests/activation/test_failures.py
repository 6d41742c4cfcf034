"""What fails on the way: nothing is lost, nothing is recorded that is not known, and nothing overtakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from segops_orchestration.activation.platform import Action, Answer, User
from segops_orchestration.activation.session import Session
from segops_orchestration.activation.state import Entry, StateTable
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import Shop, users

Call = Callable[[int, Sequence[User]], None]


@pytest.fixture
def before_request(monkeypatch: pytest.MonkeyPatch) -> Callable[[Call], None]:
    """Have something happen before each request of a batch, which is numbered from 1."""

    def plant(look: Call) -> None:
        real = Roster._change
        number = 0

        def change(self: Roster, action: str, those: Sequence[User], batch_id: str) -> Answer:
            nonlocal number
            number += 1
            look(number, those)
            return real(self, action, those, batch_id)

        monkeypatch.setattr(Roster, "_change", change)

    return plant


def test_the_intent_is_stored_before_the_request(shop: Shop, before_request: Callable[[Call], None]) -> None:
    states: list[set[str]] = []
    before_request(lambda _, those: states.append({shop.states()[user.user_id] for user in those}))
    shop.deliver(users(5))
    shop.deliver([])
    assert states == [{"adding"}, {"removing"}]


def test_an_answer_is_stored_before_the_next_batch(shop: Shop, before_request: Callable[[Call], None]) -> None:
    delivered: list[int] = []
    before_request(lambda *_: delivered.append(list(shop.states().values()).count("delivered")))
    shop.deliver(users(25))
    assert delivered == [0, 10, 20]


def test_a_failing_platform_leaves_the_rest_pending(shop: Shop) -> None:
    shop.want(users(25))
    shop.sandbox.misbehave("500", skip=1, times=None)
    result = shop.sync()
    assert (result.outcome, result.permanent, result.added, result.pending) == ("failed", False, 10, 15)
    assert "unavailable" in result.error
    assert shop.connector.status == "active"


def test_the_next_sync_goes_on_where_the_last_one_broke_off(shop: Shop) -> None:
    shop.want(users(25))
    shop.sandbox.misbehave("500", skip=1)
    shop.sync()
    result = shop.sync()
    assert (result.outcome, result.added) == ("succeeded", 15)
    assert shop.people() == users(25)


def test_a_batch_whose_answer_was_lost_is_sent_again_under_its_name(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("drop", applied=True)
    shop.sync()
    shop.want(users(6))
    shop.sync()
    first, *again = shop.sandbox.batches
    assert first in again
    assert shop.people() == users(6)


def test_a_removal_waits_while_a_lost_addition_may_still_take_effect(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("late")
    shop.sync()
    shop.want([])
    result = shop.sync()
    assert (result.removed, result.backlog.settling) == (0, 5)
    shop.sandbox.catch_up()
    assert shop.people() == users(5)
    shop.pass_time(seconds=61)
    assert shop.sync().removed == 5
    assert shop.people() == set()


def test_an_addition_waits_while_a_lost_removal_may_still_take_effect(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.want([])
    shop.sandbox.misbehave("late")
    shop.sync()
    shop.want(users(5))
    assert shop.sync().backlog.settling == 5
    shop.sandbox.catch_up()
    assert shop.people() == set()
    shop.pass_time(seconds=61)
    shop.sync()
    assert shop.people() == users(5)


def test_a_repetition_that_succeeded_does_not_let_the_opposite_overtake_what_was_lost(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("late")
    shop.sync()
    assert shop.sync().added == 5
    shop.want([])
    assert shop.sync().backlog.settling == 5
    shop.sandbox.catch_up()
    shop.pass_time(seconds=61)
    assert shop.sync().removed == 5
    assert shop.people() == set()


def test_a_request_that_certainly_had_no_effect_is_as_if_never_sent(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("429", wait=0)
    assert shop.sync().outcome == "failed"
    shop.want([])
    assert shop.sync().requests == 0


def test_batches_that_were_not_sent_any_more_are_taken_back(shop: Shop) -> None:
    shop.want(users(40))
    shop.sandbox.misbehave("500", skip=1)
    shop.sync()
    states = list(shop.states().values())
    assert {state: states.count(state) for state in set(states)} == {"delivered": 10, "adding": 10, "removed": 20}


@pytest.mark.parametrize("kind", ["closed", "key_revoked"])
def test_a_refusal_stops_the_connector_with_the_words_of_the_platform(shop: Shop, kind: str) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave(kind, times=None)
    result = shop.sync()
    assert (result.outcome, result.permanent, result.pending) == ("failed", True, 5)
    connector = shop.connector
    assert connector.status == "error"
    assert {"closed": "this roster is closed", "key_revoked": "revoked"}[kind] in connector.status_reason


def test_a_stopped_connector_sends_nothing_until_it_is_resumed(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("closed")
    shop.sync()
    result = shop.sync()
    assert (result.outcome, result.permanent, result.requests, result.pending) == ("error", True, 0, 5)
    shop.catalog.connectors.resume(shop.tenant, shop.slug)
    assert shop.sync().outcome == "succeeded"
    assert shop.people() == users(5)


def test_whoever_lost_the_lease_sends_nothing_more(shop: Shop, before_request: Callable[[Call], None]) -> None:
    def lose(number: int, _: Sequence[User]) -> None:
        holder = shop.catalog.connectors.lease_holder(shop.tenant, shop.slug)
        if number == 2 and holder is not None:
            shop.catalog.connectors.release_lease(holder)

    before_request(lose)
    shop.want(users(30))
    with pytest.raises(ConnectorLeaseLost):
        shop.sync()
    assert shop.people() == set(sorted(users(30))[:10])


def test_what_a_sleeper_writes_late_does_not_undo_what_its_successor_wrote(shop: Shop) -> None:
    user, connector = "user 000000", shop.connector

    def table(sync_id: int) -> StateTable:
        return StateTable(Session(shop.database, connector, sync_id))

    table(8).write([Entry(user, "removed", "remove", 0)])
    table(7).write([Entry(user, "delivered", "add", 1)])
    assert shop.states() == {user: "removed"}


def test_an_error_of_one_thread_ends_all(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(batch=2, lanes=4)
    shop.want(users(400))
    shop.sandbox.misbehave("closed", skip=6, times=None)
    result = shop.sync()
    assert (result.outcome, result.permanent) == ("failed", True)
    assert result.requests < 30
    assert len(shop.people()) == result.added


@pytest.mark.parametrize("action", ["add", "remove"])
def test_a_crash_after_the_request_repeats_it_and_nothing_else(
    shop: Shop, before_request: Callable[[Call], None], action: Action
) -> None:
    shop.deliver(users(10) if action == "remove" else [])
    shop.want([] if action == "remove" else users(10))
    shop.sandbox.misbehave("drop", applied=True)
    shop.sync()
    result = shop.sync()
    assert (result.added, result.removed) == ((10, 0) if action == "add" else (0, 10))
    assert shop.people() == shop.wanted()
