"""Braze, called over HTTP: groups and attributes, answers of success with errors in them, each misbehaviour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from segops_orchestration.activation.platform import BatchRefused, Platform, PlatformRefused, PlatformUnavailable, User
from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration_tests.platforms.connecting import SPEED, hasten, numbered, serving, taken, users


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch, patience=2.0)


@pytest.fixture(params=["group", "group, creating", "attribute", "attribute, creating"])
def each(request: pytest.FixtureRequest) -> Iterator[tuple[Platform, BrazeSandbox]]:
    """Every way of telling Braze."""
    kind, _, creating = str(request.param).partition(", ")
    yield from opened(kind, create_users=bool(creating))


@pytest.fixture
def group() -> Iterator[tuple[Platform, BrazeSandbox]]:
    yield from opened("group")


@pytest.fixture
def attribute() -> Iterator[tuple[Platform, BrazeSandbox]]:
    yield from opened("attribute")


def opened(kind: str, **config: Any) -> Iterator[tuple[Platform, BrazeSandbox]]:
    sandbox = BrazeSandbox(group_id="g-1" if kind == "group" else None, speed=SPEED, seed=1)
    with serving(sandbox, "rest_endpoint", **config) as (_, platform):
        yield platform, sandbox
    assert sandbox.violations == []


class TestEnteringAndLeaving:
    def test_users_enter_and_leave(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        platform.add(users("ann", "ben"), "b1")
        assert sandbox.members() == {"ann", "ben"}
        platform.remove(users("ann"), "b2")
        assert sandbox.members() == {"ben"}

    def test_a_full_batch_fits(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        platform.add(numbered(platform.batch_size("add")), "b1")
        assert len(sandbox.members()) == 50

    def test_the_same_batch_twice_changes_nothing(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        platform.add(numbered(5), "b1")
        platform.add(numbered(5), "b1")
        assert len(sandbox.members()) == 5

    def test_a_group_is_set_by_external_id(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        platform.add(users("ann", email="ann@example.com"), "b1")
        assert dict(sandbox.calls) == {"POST /v2/subscription/status/set": 1}

    def test_an_attribute_is_false_for_whoever_left(self, attribute: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = attribute
        platform.add(users("ann"), "b1")
        platform.remove(users("ann"), "b2")
        assert sandbox.attributes["ann"] == {"segops_segment_7": False}

    @pytest.mark.parametrize("kind", ["group", "attribute"])
    def test_nobody_is_made_unless_asked_for(self, kind: str) -> None:
        sandbox = BrazeSandbox(group_id="g" if kind == "group" else None, known_users=lambda user: user != "new")
        with serving(sandbox, "rest_endpoint") as (_, platform):
            platform.add(users("new", "old"), "b1")
            assert sandbox.members() == {"old"}
        assert sandbox.created == set()

    @pytest.mark.parametrize("kind", ["group", "attribute"])
    def test_users_are_made_when_asked_for(self, kind: str) -> None:
        sandbox = BrazeSandbox(group_id="g" if kind == "group" else None, known_users=lambda user: False)
        with serving(sandbox, "rest_endpoint", create_users=True) as (_, platform):
            platform.add(users("new"), "b1")
            assert sandbox.members() == {"new"}

    @pytest.mark.parametrize("kind", ["group", "attribute"])
    def test_leaving_never_makes_anybody(self, kind: str) -> None:
        sandbox = BrazeSandbox(group_id="g" if kind == "group" else None, known_users=lambda user: False)
        with serving(sandbox, "rest_endpoint", create_users=True) as (_, platform):
            platform.remove(users("new"), "b1")
        assert sandbox.created == set()


class TestAnswers:
    def test_errors_name_the_rows_that_were_not_taken(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        sandbox.misbehave("reject_rows", users=["u000001", "u000007"], reason="not valid")
        answer = platform.add(numbered(10), "b1")
        assert answer.rejected == {"u000001": "not valid", "u000007": "not valid"}
        assert taken(answer, numbered(10)) == sandbox.members()

    def test_errors_that_name_no_row_leave_all_unknown(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        sandbox.misbehave("errors_unreadable")
        answer = platform.add(numbered(10), "b1")
        assert set(answer.unknown) == {user.user_id for user in numbered(10)}

    @pytest.mark.parametrize(
        "error", [{"index": 10}, {"index": -1}, {"index": "1"}, {"index": True}, {"type": "x"}, "x"]
    )
    def test_an_index_that_is_none_is_unreadable(
        self, group: tuple[Platform, BrazeSandbox], monkeypatch: pytest.MonkeyPatch, error: object
    ) -> None:
        platform, sandbox = group
        errors = [{"index": 0, "type": "bad"}, error]
        monkeypatch.setattr(sandbox, "_spoil", lambda *_: ({"u000000"}, {"errors": errors}))
        answer = platform.add(numbered(10), "b1")
        assert set(answer.rejected) == {"u000000"}
        assert len(answer.unknown) == 9

    def test_a_400_refuses_the_batch(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        sandbox.misbehave("refuse_batch", users=["u000003"], times=None)
        with pytest.raises(BatchRefused, match="400: Invalid request: an external id is not valid"):
            platform.add(numbered(10), "b1")
        assert sandbox.members() == set()
        assert not platform.add(numbered(3), "b2").rejected


class TestReadingBack:
    def test_a_group_is_read_fifty_users_at_a_time(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        for start in (0, 50):
            platform.add(numbered(50, start), "b1")
        platform.remove(numbered(10), "b2")
        assert set(platform.read_back(iter(numbered(120)))) == {user.user_id for user in numbered(90, start=10)}
        assert sandbox.calls["GET /subscription/status/get"] == 3

    def test_long_ids_are_asked_for_in_short_addresses(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, _ = group
        everybody = [User(f"{n} &=#%" + "ä" * 300) for n in range(20)]
        platform.add(everybody, "b1")
        assert set(platform.read_back(iter(everybody))) == {user.user_id for user in everybody}

    def test_an_attribute_cannot_be_read_back(
        self, group: tuple[Platform, BrazeSandbox], attribute: tuple[Platform, BrazeSandbox]
    ) -> None:
        assert group[0].reads_back
        assert not attribute[0].reads_back


class TestMisbehaviour:
    @pytest.mark.parametrize(
        "told",
        [
            {"kind": "429", "wait": 1},
            {"kind": "429", "wait": None},
            {"kind": "500"},
            {"kind": "500", "applied": True},
            {"kind": "500", "status": 503, "times": 3},
            {"kind": "drop"},
            {"kind": "drop", "applied": True},
            {"kind": "slow", "seconds": 0.2},
            {"kind": "cap", "per_second": 3},
        ],
    )
    def test_what_passes_is_tried_again(self, group: tuple[Platform, BrazeSandbox], told: dict[str, Any]) -> None:
        platform, sandbox = group
        sandbox.misbehave(**told)
        for start in range(0, 50, 10):
            platform.add(numbered(10, start), "b1")
        assert len(sandbox.members()) == 50

    def test_retries_are_counted(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("500", times=2)
        platform.add(numbered(10), "b1")
        assert platform.traffic() == (3, 2)

    def test_a_wait_beyond_the_patience_is_handed_on(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("429", wait=40)
        with pytest.raises(PlatformUnavailable, match=r"429 Rate limit exceeded.*left alone for (39|40) s"):
            platform.add(users("ann"), "b1")

    def test_a_revoked_key_is_refused(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("key_revoked")
        with pytest.raises(PlatformRefused, match="with 401: the key has been revoked"):
            platform.add(users("ann"), "b1")

    def test_a_group_that_is_gone_is_not_about_the_batch(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("group_deleted", times=None)
        with pytest.raises(PlatformRefused, match="there is no subscription group g-1"):
            platform.add(numbered(10), "b1")


class TestConnectionTest:
    def test_all_is_well_and_nothing_changes(self, each: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = each
        findings = platform.test()
        assert findings
        assert all(finding.ok for finding in findings)
        assert sandbox.members() == set()
        assert sandbox.data_points == 0

    def test_the_permissions_that_the_config_needs(self, group: tuple[Platform, BrazeSandbox]) -> None:
        names = [finding.name for finding in group[0].test()]
        assert names == ["permission subscription.status.get", "permission subscription.status.set"]

    def test_a_missing_permission(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("permission_missing", permission="subscription.status.set", times=None)
        (wrong,) = [finding for finding in platform.test() if not finding.ok]
        assert wrong.name == "permission subscription.status.set"
        assert "it lacks subscription.status.set" in wrong.detail

    def test_a_group_that_is_gone(self, group: tuple[Platform, BrazeSandbox]) -> None:
        platform, sandbox = group
        sandbox.misbehave("group_deleted", times=None)
        wrong = [finding for finding in platform.test() if not finding.ok]
        assert [finding.name for finding in wrong] == ["subscription group"]
        assert "there is no subscription group g-1" in wrong[0].detail
