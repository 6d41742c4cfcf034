"""Users whom the platform refuses: recorded with the reason, tried again ever later, then parked."""

from __future__ import annotations

import pytest

from segops_orchestration.activation.rejections import rejected, requeue
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop, users

BAD = "user 000003"


def _listed(shop: Shop) -> list[tuple[str, str, str, bool, int]]:
    return [
        (one.user_id, one.action, one.reason, one.parked, one.attempts)
        for one in rejected(shop.catalog, shop.warehouse, shop.tenant, shop.slug)
    ]


@pytest.fixture
def refusing(shop: Shop) -> Shop:
    """A shop that has delivered five users of whom the roster refuses one, until it behaves."""
    shop.want(users(5))
    shop.sandbox.misbehave("reject", users=[BAD], reason="bad address", times=None)
    shop.sync()
    return shop


def test_the_others_of_the_batch_are_delivered(refusing: Shop) -> None:
    assert refusing.people() == users(5) - {BAD}
    assert refusing.states()[BAD] == "rejected"


def test_who_was_refused_is_listed_with_the_reason(refusing: Shop) -> None:
    assert _listed(refusing) == [(BAD, "add", "bad address", False, 1)]


def test_the_refused_are_no_backlog_but_counted(refusing: Shop) -> None:
    backlog = refusing.backlog()
    assert (backlog.pending, backlog.rejected, backlog.parked) == (0, 1, 0)
    assert backlog.next_retry_at is not None


def test_each_try_waits_longer_and_the_fifth_refusal_parks(refusing: Shop) -> None:
    waits: list[int] = []
    for minutes in (10, 60, 360, 1440):
        refusing.pass_time(minutes=minutes - 1)
        assert refusing.sync().requests == 0
        refusing.pass_time(minutes=2)
        assert refusing.sync().rejected == 1
        waits.append(minutes)
    assert refusing.states()[BAD] == "parked"
    refusing.pass_time(days=30)
    assert refusing.sync().requests == 0
    assert _listed(refusing) == [(BAD, "add", "bad address", True, 5)]


def test_a_later_try_that_succeeds_delivers(refusing: Shop) -> None:
    refusing.sandbox.behave()
    refusing.pass_time(minutes=11)
    assert refusing.sync().added == 1
    assert _listed(refusing) == []


def test_requeued_users_are_tried_at_once_and_as_if_for_the_first_time(refusing: Shop) -> None:
    assert requeue(refusing.catalog, refusing.warehouse, refusing.tenant, refusing.slug) == 1
    assert refusing.sync().rejected == 1
    assert _listed(refusing) == [(BAD, "add", "bad address", False, 1)]


def test_requeueing_can_name_users(refusing: Shop) -> None:
    assert requeue(refusing.catalog, refusing.warehouse, refusing.tenant, refusing.slug, ["user 000004"]) == 0
    assert requeue(refusing.catalog, refusing.warehouse, refusing.tenant, refusing.slug, [BAD]) == 1


def test_who_leaves_the_segment_after_a_refusal_is_forgotten(refusing: Shop) -> None:
    refusing.want(users(5) - {BAD})
    assert refusing.sync().requests == 0
    assert _listed(refusing) == []
    refusing.want(users(5))
    assert refusing.sync().rejected == 1


def test_a_refused_removal_is_tried_again(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.sandbox.misbehave("reject", users=[BAD])
    shop.want([])
    shop.sync()
    assert shop.people() == {BAD}
    assert _listed(shop)[0][:2] == (BAD, "remove")
    shop.pass_time(minutes=11)
    shop.sync()
    assert shop.people() == set()


def test_who_comes_back_after_a_refused_removal_is_added_again(shop: Shop) -> None:
    shop.deliver(users(5))
    shop.sandbox.misbehave("reject", users=[BAD])
    shop.want([])
    shop.sync()
    shop.want([BAD])
    shop.pass_time(minutes=2)
    shop.sync()
    assert (shop.people(), shop.states()[BAD]) == ({BAD}, "delivered")


def test_an_answer_that_cannot_be_read_is_no_success(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("unreadable", users=[BAD])
    result = shop.sync()
    assert (result.added, result.rejected) == (4, 1)
    assert "could not be read" in _listed(shop)[0][2]


def test_a_user_of_whom_the_answer_could_not_be_read_is_removed_in_the_end(shop: Shop) -> None:
    shop.want(users(5))
    shop.sandbox.misbehave("unreadable", users=[BAD])
    shop.sync()
    shop.want([])
    shop.pass_time(minutes=2)
    shop.sync()
    assert shop.people() == set()


def test_a_batch_refused_for_somebody_unnamed_is_halved_until_the_user_is_alone(shop: Shop) -> None:
    shop.want(users(10))
    shop.sandbox.misbehave("poison", users=[BAD], times=None)
    result = shop.sync()
    assert (result.outcome, result.added, result.rejected) == ("succeeded", 9, 1)
    assert shop.people() == users(10) - {BAD}
    assert "something wrong with this batch" in _listed(shop)[0][2]


def test_a_batch_refused_for_somebody_named_goes_on_without(shop: Shop) -> None:
    shop.want(users(10))
    shop.sandbox.misbehave("blame", users=[BAD], times=None)
    result = shop.sync()
    assert (result.added, result.rejected, result.requests) == (9, 1, 2)
    assert shop.people() == users(10) - {BAD}


def test_a_user_without_what_the_platform_needs_is_refused_unsent(new_tenant: NewShop) -> None:
    shop = new_tenant()
    shop.open(email=True)
    shop.identify("user 000001", {"email": "a@b.example"})
    shop.want(users(2))
    result = shop.sync()
    assert (result.added, result.rejected, shop.people()) == (1, 1, {"user 000001"})
    assert _listed(shop) == [("user 000000", "add", "no email", False, 1)]


def test_a_refused_user_who_says_something_new_is_tried_at_once(new_tenant: NewShop) -> None:
    shop = new_tenant()
    shop.open(email=True)
    shop.want(users(1))
    shop.sync()
    shop.pass_time(seconds=1)
    shop.identify("user 000000", {"email": "a@b.example"})
    assert shop.sync().added == 1


def test_the_latest_properties_count(new_tenant: NewShop) -> None:
    shop = new_tenant()
    shop.open(email=True)
    shop.identify("user 000000", {"email": "a@b.example"})
    shop.identify("user 000000", {"email": ""})
    shop.want(users(1))
    assert shop.sync().rejected == 1
