"""Batches that the platform goes on working on are followed across syncs, and nothing overtakes them."""

from __future__ import annotations

import pytest

from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop, patient, users


@pytest.fixture
def slow(new_shop: NewShop) -> Shop:
    """A shop whose roster carries out an add when it is asked for the third time."""
    shop = new_shop(jobs=2)
    shop.open()
    return shop


def test_nobody_is_delivered_before_the_job_ends(slow: Shop) -> None:
    slow.want(users(15))
    result = slow.sync()
    assert (result.outcome, result.added, result.backlog.in_jobs) == ("succeeded", 0, 15)
    assert set(slow.states().values()) == {"adding"}


def test_later_syncs_ask_for_the_job_and_send_nothing_again(slow: Shop) -> None:
    slow.want(users(15))
    results = [slow.sync() for _ in range(3)]
    assert [result.added for result in results] == [0, 15, 0]
    assert len(slow.sandbox.batches) == 2
    assert slow.people() == users(15)


def test_a_sync_waits_for_its_jobs_as_long_as_it_may(slow: Shop) -> None:
    slow.want(users(15))
    assert slow.sync(patience=patient(follow=20.0)).added == 15


def test_who_leaves_while_the_job_is_open_is_left_alone_until_it_ends(slow: Shop) -> None:
    slow.want(users(5))
    slow.sync()
    slow.want([])
    slow.pass_time(hours=1)
    assert [slow.sync().removed for _ in range(2)] == [0, 5]
    assert [action for action, _ in slow.told()] == ["add"] * 5 + ["remove"] * 5
    assert slow.people() == set()


def test_rows_that_fail_in_a_job_are_refused(slow: Shop) -> None:
    slow.want(users(5))
    slow.sandbox.misbehave("reject", users=["user 000003"])
    slow.sync()
    result = slow.sync()
    assert (result.added, result.rejected) == (4, 1)
    assert slow.states()["user 000003"] == "rejected"


def test_a_job_that_never_ends_is_given_up_and_its_users_are_sent_again(new_shop: NewShop) -> None:
    shop = new_shop(jobs=1_000_000)
    shop.open()
    shop.want(users(5))
    shop.sync()
    shop.pass_time(hours=23)
    shop.sync()
    assert len(shop.sandbox.batches) == 1
    shop.pass_time(hours=2)
    shop.sandbox.jobs = None
    assert shop.sync().added == 5
