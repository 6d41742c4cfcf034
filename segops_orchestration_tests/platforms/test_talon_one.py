"""Talon.One, called over HTTP: what is sent, how answers are read, what each misbehaviour leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from segops_orchestration.activation.checks import positive_id, requests_per_second
from segops_orchestration.activation.platform import (
    BatchRefused,
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    User,
)
from segops_orchestration.activation.platforms import make_platform
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.talon_one import TalonOneSandbox
from segops_orchestration_tests.platforms.connecting import (
    SPEED,
    batches,
    connection,
    hasten,
    numbered,
    serving,
    users,
)

AUDIENCE = 748


@pytest.fixture
def sandbox() -> TalonOneSandbox:
    return TalonOneSandbox(speed=SPEED, seed=1)


@pytest.fixture
def platform(sandbox: TalonOneSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    hasten(monkeypatch, patience=2.0)
    with serving(sandbox) as (_, made):
        yield made
    assert sandbox.violations == []


class TestSending:
    def test_add_makes_members(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        answer = platform.add(users("ann", "ben"), "b1")
        assert sandbox.members() == {"ann", "ben"}
        assert not answer.rejected
        assert answer.job is None

    def test_remove_takes_them_out(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        platform.add(users("ann", "ben"), "b1")
        platform.remove(users("ann"), "b2")
        assert sandbox.members() == {"ben"}

    def test_taking_out_somebody_who_is_not_in_is_no_error(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        platform.remove(users("nobody"), "b1")
        assert sandbox.members() == set()

    def test_the_same_batch_twice_changes_nothing(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        for _ in range(2):
            platform.add(users("ann"), "b1")
        assert sandbox.members() == {"ann"}

    def test_a_batch_is_one_request_of_a_thousand_actions(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        assert platform.batch_size("add") == platform.batch_size("remove") == 1_000
        for number, batch in enumerate(batches(platform, "add", numbered(2_500))):
            platform.add(batch, f"b{number}")
        assert sandbox.calls == {"change members": 3}
        assert len(sandbox.members()) == 2_500

    def test_ids_of_any_script_arrive_as_they_are(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        names = ("ünï", "日本", 'a"b\\c', "with space", "a\tb")
        platform.add(users(*names), "b1")
        assert sandbox.members() == set(names)

    def test_an_id_of_more_than_a_thousand_characters_is_told_beforehand(self, platform: Platform) -> None:
        assert platform.lacks(User("x" * 1_000)) is None
        assert platform.lacks(User("x" * 1_001)) == "its user id has 1,001 characters; Talon.One takes 1,000"


class TestReadingBack:
    def test_every_page_is_read(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.audiences[AUDIENCE] = {f"u{n}": n for n in range(2_345)}
        assert platform.reads_back
        assert set(platform.read_back(iter(()))) == sandbox.members()
        assert sandbox.calls["list members"] == 3

    def test_an_empty_audience_has_nobody(self, platform: Platform) -> None:
        assert list(platform.read_back(iter(()))) == []

    def test_without_a_management_key_it_cannot_be_read(self) -> None:
        secrets = {"api_key": "k"}
        made = make_platform(connection("talon_one", {"base_url": "http://127.0.0.1:9", "audience_id": 1}, secrets))
        assert not made.reads_back


class TestMisbehaviour:
    def test_429_is_waited_for(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("429", wait=1)
        platform.add(users("ann"), "b1")
        assert sandbox.members() == {"ann"}
        assert platform.traffic() == (2, 1)

    def test_429_without_a_wait_is_tried_again(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("429", wait=None, times=3)
        platform.add(users("ann"), "b1")
        assert sandbox.members() == {"ann"}

    @pytest.mark.parametrize("applied", [False, True])
    @pytest.mark.parametrize("kind", ["500", "drop"])
    def test_a_server_error_or_a_lost_answer_is_tried_again(
        self, platform: Platform, sandbox: TalonOneSandbox, kind: str, applied: bool
    ) -> None:
        platform.add(users("ben"), "b0")
        sandbox.misbehave(kind, applied=applied)
        platform.add(users("ann"), "b1")
        sandbox.misbehave(kind, applied=applied)
        platform.remove(users("ben"), "b2")
        assert sandbox.members() == {"ann"}

    def test_429_without_end_leaves_everything_as_it_was(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("429", wait=30, times=None)
        with pytest.raises(PlatformUnavailable, match="asks to be left alone for 30 s") as error:
            platform.add(users("ann"), "b1")
        assert not error.value.may_have_applied
        assert sandbox.members() == set()

    @pytest.mark.parametrize("kind", ["500", "drop"])
    def test_no_answer_in_the_end_may_have_been_carried_out(
        self, sandbox: TalonOneSandbox, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasten(monkeypatch, patience=0.2)
        sandbox.misbehave(kind, applied=True, times=None)
        with serving(sandbox) as (_, platform), pytest.raises(PlatformUnavailable) as error:
            platform.add(users("ann"), "b1")
        assert error.value.may_have_applied

    def test_an_answer_that_does_not_come_is_given_up(
        self, sandbox: TalonOneSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasten(monkeypatch, patience=0.2)
        monkeypatch.setattr("segops_orchestration.activation.http.READ_SECONDS", 0.2)
        with serving(sandbox) as (_, platform):
            sandbox.misbehave("hang", applied=True, times=None)
            with pytest.raises(PlatformUnavailable, match="timed out"):
                platform.add(users("ann"), "b1")

    def test_a_request_that_is_refused_names_nobody(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("refuse_users", users=["ben"], times=None)
        with pytest.raises(BatchRefused, match="Bad request; Validation failed: a profile could not") as error:
            platform.add(users("ann", "ben"), "b1")
        assert error.value.users == {}
        assert sandbox.members() == set()

    def test_the_others_are_taken_without_the_faulty_one(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("refuse_users", users=["ben"], times=None)
        platform.add(users("ann", "cleo"), "b1.0")
        assert sandbox.members() == {"ann", "cleo"}

    def test_a_revoked_key_is_for_a_person_to_mend(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("key_revoked")
        with pytest.raises(PlatformRefused, match="the key has been revoked") as error:
            platform.add(users("ann"), "b1")
        assert error.value.status == 401
        assert platform.traffic() == (1, 0)

    def test_so_is_an_audience_that_is_gone(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        sandbox.misbehave("audience_deleted", times=None)
        with pytest.raises(PlatformRefused, match="Audience not found") as error:
            platform.remove(users("ann"), "b1")
        assert error.value.status == 404


class TestRate:
    def test_the_assumed_rate_is_kept(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        for number in range(250):
            platform.add(users(f"u{number}"), f"b{number}")
        # More than twice what fits into the window, and the fixture sees no violation.
        assert sandbox.statuses == {"204": 250}

    @pytest.mark.parametrize("value", [0, -1, 1.5, True, "fast", "1e3", 1001])
    def test_a_rate_that_is_none_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match=r"allowed: a whole number, 1 to 1,000"):
            requests_per_second(value)

    def test_numbers_may_come_as_texts(self) -> None:
        assert (requests_per_second("25"), positive_id(" 748 ")) == (25, 748)


class TestTest:
    def test_all_is_well(self, platform: Platform, sandbox: TalonOneSandbox) -> None:
        assert [(finding.name, finding.ok) for finding in platform.test()] == [
            ("key", True),
            ("management key", True),
            ("audience", True),
        ]
        assert sandbox.members() == set()

    def test_a_wrong_key(self, sandbox: TalonOneSandbox) -> None:
        (finding,) = self.findings(sandbox, api_key="wrong-key-0123456")
        assert not finding.ok
        assert finding.detail == "Talon.One does not accept the API key: Invalid API key"

    def test_a_wrong_management_key(self, sandbox: TalonOneSandbox) -> None:
        _, finding = self.findings(sandbox, management_key="wrong-key-0123456")
        assert (finding.name, finding.ok) == ("management key", False)
        assert "does not accept the management key" in finding.detail

    def test_an_audience_that_does_not_exist(self, sandbox: TalonOneSandbox) -> None:
        with serving(sandbox, audience_id=999) as (_, platform):
            finding = platform.test()[-1]
        assert not finding.ok
        assert finding.detail == "there is no audience 999: Audience not found"

    def test_without_a_management_key_the_audience_is_not_looked_for(self, sandbox: TalonOneSandbox) -> None:
        *_, finding = self.findings(sandbox, management_key="")
        assert finding.ok
        assert "management_key" in finding.detail

    def findings(self, sandbox: TalonOneSandbox, **secrets: str) -> list[Any]:
        sandbox.secrets, right = {**sandbox.secrets, **secrets}, sandbox.secrets
        with serving(sandbox) as (_, platform):
            sandbox.secrets = right
            return platform.test()


ITEM = {"action": "add", "profileIntegrationId": "ann", "audienceId": AUDIENCE}


class TestTheSandboxIsStrict:
    @pytest.mark.parametrize(
        ("body", "breach"),
        [
            ([], "not an object with data"),
            ({"data": [ITEM], "more": 1}, "not an object with data"),
            ({"data": [ITEM] * 1_001}, "1001 actions"),
            ({"data": [{**ITEM, "action": "remove"}]}, "neither add nor delete"),
            ({"data": [{**ITEM, "audienceId": str(AUDIENCE)}]}, "audienceId is not a int"),
            ({"data": [{**ITEM, "name": "Ann"}]}, "no others"),
            ({"data": [{**ITEM, "profileIntegrationId": "x" * 1_001}]}, "1 to 1000 characters"),
            ({"data": [ITEM, {**ITEM, "action": "delete"}]}, "add and delete of one profile"),
        ],
    )
    def test_about_the_body(self, sandbox: TalonOneSandbox, body: Any, breach: str) -> None:
        assert self.call(sandbox, "POST", "/v2/customer_audiences", json=body).status_code == 400
        assert breach in sandbox.violations[0]
        assert sandbox.members() == set()

    @pytest.mark.parametrize(
        ("authorization", "breach"), [("", True), ("Bearer sandbox-integration-key", True), ("ApiKey-v1 wrong", False)]
    )
    def test_about_the_key(self, sandbox: TalonOneSandbox, authorization: str, breach: bool) -> None:
        reply = self.call(
            sandbox, "POST", "/v2/customer_audiences", json={"data": [ITEM]}, headers={"Authorization": authorization}
        )
        assert reply.status_code == 401
        assert bool(sandbox.violations) == breach

    def test_about_reading_with_the_key_for_writing(self, sandbox: TalonOneSandbox) -> None:
        assert self.call(sandbox, "GET", f"/v1/audiences/{AUDIENCE}/memberships").status_code == 401
        assert "ManagementKey-v1" in sandbox.violations[0]

    def test_about_emptying_an_audience(self, sandbox: TalonOneSandbox) -> None:
        assert self.call(sandbox, "DELETE", f"/v2/audiences/{AUDIENCE}/memberships").status_code == 204
        assert "must never empty" in sandbox.violations[0]

    def test_about_the_rate(self, sandbox: TalonOneSandbox) -> None:
        sandbox.speed = 1.0
        with SandboxServer(sandbox) as server, requests.Session() as session:
            statuses = [
                session.post(
                    f"{server.url}/v2/customer_audiences",
                    json={"data": []},
                    headers={"Authorization": "ApiKey-v1 sandbox-integration-key"},
                ).status_code
                for _ in range(101)
            ]
        assert statuses == [204] * 100 + [429]
        assert "more than 100 requests in 10 s" in sandbox.violations[0]

    def call(self, sandbox: TalonOneSandbox, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": "ApiKey-v1 sandbox-integration-key", **options.pop("headers", {})}
        with SandboxServer(sandbox) as server:
            return requests.request(method, server.url + path, headers=headers, timeout=5, **options)
