"""The segment changes between a fault and its recovery, and the clock passes no more than it must.

What was lost takes effect when its opposite could long have been sent.
"""

from __future__ import annotations

from typing import Any

import pytest

from segops_orchestration.activation import http
from segops_orchestration_tests.activation.roster.shop import patient
from segops_orchestration_tests.platforms.soak import Soak
from segops_orchestration_tests.platforms.test_delivery import SANDBOXES
from segops_orchestration_tests.platforms.test_delivery import open_shop as open_shop
from segops_orchestration_tests.platforms.test_delivery import tenant as tenant
from segops_orchestration_tests.platforms.test_soak import Teller
from segops_orchestration_tests.platforms.test_soak import teller as teller

_PATIENCE = patient(follow=0.2)
_UNKNOWN = [
    pytest.param({"kind": "500", "applied": False}, id="500"),
    pytest.param({"kind": "drop", "applied": True}, id="drop-applied", marks=pytest.mark.slow),
]


class Changing:
    """A story with ten users, of whom the last five come or go meanwhile."""

    def __init__(self, soak: Soak) -> None:
        self.shop, self.wire = soak.shop, soak.wire
        self.all, self.five = set(soak.everyone[:10]), set(soak.everyone[:5])
        self.shop.sandbox.job_seconds = 0.0

    def sync(self, wanted: set[str]) -> Any:
        self.shop.want(wanted)
        self.wire.wanted = wanted
        result = self.shop.sync(patience=_PATIENCE)
        assert self.wire.wrong == []
        assert self.shop.sandbox.violations == []
        return result

    def lose(self, requests: int) -> None:
        self.wire.to_lose = requests

    def settle(self) -> None:
        """Just as long as what was lost may take."""
        self.shop.pass_time(seconds=self.wire.settle + 1)
        self.wire.arrive()
        assert self.wire.late == []


@pytest.fixture(params=SANDBOXES)
def story(request: pytest.FixtureRequest, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> Changing:
    """Of each platform; what fails is given up soon."""
    monkeypatch.setattr(http, "PATIENCE_SECONDS", 0.25)
    return Changing(teller.begin(request.param, 1))


def test_who_leaves_after_a_lost_add_is_removed_once_it_has_arrived(story: Changing) -> None:
    story.lose(100)
    assert story.sync(story.all).outcome == "failed"
    story.lose(0)
    waiting = story.sync(story.five)
    assert (waiting.outcome, waiting.removed, waiting.backlog.settling) == ("succeeded", 0, 5)
    story.settle()
    assert story.shop.people() - story.five, "nothing arrived late"
    assert story.sync(story.five).pending == 0
    assert story.shop.people() == story.five


def test_who_comes_back_after_a_lost_removal_is_added_once_it_has_arrived(story: Changing) -> None:
    assert story.sync(story.all).pending == 0
    story.lose(100)
    assert story.sync(story.five).outcome == "failed"
    story.lose(0)
    waiting = story.sync(story.all)
    assert (waiting.outcome, waiting.added, waiting.backlog.settling) == ("succeeded", 0, 5)
    story.settle()
    assert story.shop.people() == story.five
    assert story.sync(story.all).pending == 0
    assert story.shop.people() == story.all


def test_the_repetition_of_a_lost_add_does_not_let_the_removal_go_at_once(story: Changing) -> None:
    story.lose(1)
    assert story.sync(story.all).added == 10
    assert story.sync(story.five).removed == 0
    story.settle()
    assert story.sync(story.five).pending == 0
    assert story.shop.people() == story.five


def test_the_repetition_of_a_lost_removal_does_not_let_the_add_go_at_once(story: Changing) -> None:
    story.sync(story.all)
    story.lose(1)
    assert story.sync(story.five).removed == 5
    assert story.sync(story.all).added == 0
    story.settle()
    assert story.sync(story.all).pending == 0
    assert story.shop.people() == story.all


@pytest.mark.slow
@pytest.mark.parametrize("told", _UNKNOWN)
def test_everybody_changes_their_mind_after_a_fault(story: Changing, told: dict[str, Any]) -> None:
    """Those to be added are to be removed, and the other way round, before the fault is over and after it."""
    rest = story.all - story.five
    story.sync(story.five)
    for wanted, then in ((rest, story.five), (rest, story.all)):
        story.shop.sandbox.misbehave(**told, times=None)
        story.sync(wanted)
        story.sync(then)
        story.shop.sandbox.behave()
        story.sync(wanted)
        story.sync(then)
        story.settle()
        assert story.sync(then).pending == 0
        assert story.shop.people() == then


def test_a_user_of_a_job_leaves_and_comes_back(teller: Teller) -> None:
    """Neither is sent before the job has ended."""
    story = Changing(teller.begin("klaviyo", 1))
    story.shop.sandbox.misbehave("job_late", seconds=600.0)
    assert story.sync(story.all).backlog.in_jobs == 10
    assert story.sync(story.five).backlog.in_jobs == 10
    assert story.sync(story.all).backlog.in_jobs == 10
    assert len(story.shop.sandbox.account.jobs) == 1
    assert story.sync(story.five).removed == 0
    story.shop.pass_time(seconds=601)
    assert story.sync(story.five).removed == 5
    assert story.shop.people() == story.five
