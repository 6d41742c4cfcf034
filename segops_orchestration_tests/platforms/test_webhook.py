"""Webhooks, called over HTTP: what is sent, how answers are read, what each misbehaviour leads to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from segops_orchestration.activation.checks import target_url, users_per_request
from segops_orchestration.activation.fields import secret_fault
from segops_orchestration.activation.platform import (
    BatchRefused,
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    User,
)
from segops_orchestration.activation.platforms import make_platform
from segops_orchestration.activation.platforms import webhook as webhook_module
from segops_orchestration.activation.sandbox.sandbox import Request, Response
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.webhook import SECRET, WebhookSandbox
from segops_orchestration.activation.signing import signed_headers
from segops_orchestration_tests.platforms.connecting import (
    SPEED,
    batches,
    connection,
    hasten,
    numbered,
    serving,
    users,
)


class Recording(WebhookSandbox):
    """Keeps what arrived."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return super().handle(request)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


@pytest.fixture
def sandbox() -> Recording:
    return Recording(speed=SPEED, seed=1, path="/")


@pytest.fixture
def platform(sandbox: Recording, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    hasten(monkeypatch, patience=2.0)
    with serving(sandbox, "url") as (_, made):
        yield made
    assert sandbox.violations == []


class TestSending:
    def test_who_entered_is_posted_with_the_instant(self, platform: Platform, sandbox: Recording) -> None:
        platform.add([User("ann", entered_at="2026-01-31T10:00:00.000Z")], "17-1")
        (document,) = sandbox.documents
        assert document == {
            "type": "segment.entered",
            "id": sandbox.ids[0],
            "tenant": "acme",
            "segment": "vip",
            "segment_id": 7,
            "connector": "vip-list",
            "users": [{"user_id": "ann", "entered_at": "2026-01-31T10:00:00.000Z"}],
        }
        assert sandbox.members() == {"ann"}

    def test_who_left_is_posted_too(self, platform: Platform, sandbox: Recording) -> None:
        platform.add(users("ann", "ben"), "17-1")
        platform.remove(users("ann"), "17-2")
        assert sandbox.documents[-1]["type"] == "segment.exited"
        assert sandbox.documents[-1]["users"] == [{"user_id": "ann"}]
        assert sandbox.members() == {"ben"}

    def test_ids_of_any_script_arrive_as_they_are(self, platform: Platform, sandbox: Recording) -> None:
        names = ("ünï", "日本", 'a"b\\c', "with space")
        platform.add(users(*names), "17-1")
        assert sandbox.members() == set(names)

    def test_batches_have_the_size_that_config_says(self, sandbox: Recording) -> None:
        with serving(sandbox, "url", batch_size=200) as (_, platform):
            for number, batch in enumerate(batches(platform, "add", numbered(1_000))):
                platform.add(batch, f"b{number}")
        assert [len(document["users"]) for document in sandbox.documents] == [200] * 5

    def test_a_thousand_users_a_message_unless_config_says_otherwise(self, platform: Platform) -> None:
        assert platform.batch_size("add") == platform.batch_size("remove") == 1_000

    def test_the_url_is_used_to_the_letter(self) -> None:
        sandbox = Recording(speed=SPEED, path="/hooks/segops/")
        with SandboxServer(sandbox) as server:
            url = f"{server.url}/hooks/segops/?team=a%20b"
            make_platform(connection("webhook", {"url": url}, {"secret": SECRET})).add(users("ann"), "b1")
        assert sandbox.requests[0].query == {"team": ["a b"]}
        assert sandbox.members() == {"ann"}


class TestIds:
    def test_a_batch_keeps_its_id_when_it_is_sent_again(self, platform: Platform, sandbox: Recording) -> None:
        platform.add(users("ann"), "17-1")
        platform.add(users("ann"), "17-1")
        assert len(set(sandbox.ids)) == 1
        assert sandbox.duplicates == 1

    def test_another_batch_has_another(self, platform: Platform, sandbox: Recording) -> None:
        platform.add(users("ann"), "17-1")
        platform.add(users("ben"), "17-1.0")
        assert len(set(sandbox.ids)) == 2

    def test_so_has_what_is_left_of_a_batch_when_somebody_has_left_meanwhile(
        self, platform: Platform, sandbox: Recording
    ) -> None:
        sandbox.misbehave("drop", applied=False, times=None)
        with pytest.raises(PlatformUnavailable):
            platform.add(users("ann", "ben"), "17-1")
        sandbox.behave()
        platform.add(users("ann"), "17-1")
        platform.add(users("ann", "ben"), "17-1")
        assert (sandbox.members(), sandbox.duplicates) == ({"ann", "ben"}, 0)

    def test_so_has_the_opposite(self, platform: Platform, sandbox: Recording) -> None:
        platform.add(users("ann"), "17-1")
        platform.remove(users("ann"), "17-1")
        assert (sandbox.members(), sandbox.duplicates) == (set(), 0)

    def test_two_installations_that_number_alike_do_not_collide(self, sandbox: Recording) -> None:
        for secret in (SECRET, "another secret of another installation"):
            sandbox._secret = secret
            sandbox.secrets = {"secret": secret}
            with serving(sandbox, "url") as (_, platform):
                platform.add(users("ann"), "17-1")
        assert len(set(sandbox.ids)) == 2

    def test_a_lost_answer_is_sent_again_and_taken_once(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("drop", applied=True)
        platform.add(users("ann"), "17-1")
        assert (len(sandbox.requests), sandbox.duplicates, sandbox.members()) == (2, 1, {"ann"})

    def test_each_attempt_is_signed_at_its_own_time(
        self, platform: Platform, sandbox: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = iter([1_000_000.0, 1_000_001.0])
        sandbox._now = lambda: 1_000_000.0
        monkeypatch.setattr(webhook_module, "clock", lambda: next(now))
        sandbox.misbehave("drop", applied=True)
        platform.add(users("ann"), "17-1")
        assert [request.headers["webhook-timestamp"] for request in sandbox.requests] == ["1000000", "1000001"]


class TestAnswers:
    def test_users_that_the_receiver_names_are_rejected_and_the_rest_is_taken(
        self, platform: Platform, sandbox: Recording
    ) -> None:
        sandbox.misbehave("reject_users", users=["ben", "zoe"], reason="not known here")
        answer = platform.add(users("ann", "ben"), "b1")
        assert answer.rejected == {"ben": "not known here"}
        assert sandbox.members() == {"ann"}

    def test_a_refusal_that_names_users_blames_them(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("refuse_users", users=["ben"], reason="no account")
        with pytest.raises(BatchRefused) as error:
            platform.add(users("ann", "ben"), "b1")
        assert error.value.users == {"ben": "no account"}
        assert sandbox.members() == set()

    def test_413_asks_for_smaller_batches(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("too_large", users=1, times=None)
        with pytest.raises(BatchRefused) as error:
            platform.add(users("ann", "ben"), "b1")
        assert error.value.users == {}
        platform.add(users("ann"), "b1.0")
        assert sandbox.members() == {"ann"}

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
    def test_a_receiver_that_takes_nothing_is_for_a_person_to_mend(
        self, platform: Platform, sandbox: Recording, status: int
    ) -> None:
        sandbox.misbehave("refuse", status=status)
        with pytest.raises(PlatformRefused, match=f"answered POST / with {status}: this message is not wanted"):
            platform.add(users("ann"), "b1")
        assert platform.traffic() == (1, 0)

    def test_410_ends_it(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("gone")
        with pytest.raises(PlatformRefused, match="wants no more messages") as error:
            platform.remove(users("ann"), "b1")
        assert error.value.status == 410

    @pytest.mark.parametrize("status", [408, 425])
    def test_a_receiver_that_is_not_ready_is_tried_again(
        self, platform: Platform, sandbox: Recording, status: int
    ) -> None:
        sandbox.misbehave("refuse", status=status)
        platform.add(users("ann"), "b1")
        assert sandbox.members() == {"ann"}
        assert platform.traffic() == (2, 1)

    def test_any_body_of_a_success_will_do(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("unsure")
        assert not platform.add(users("ann"), "b1").rejected


class TestMisbehaviour:
    def test_429_is_waited_for(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("429", wait=1)
        platform.add(users("ann"), "b1")
        assert sandbox.members() == {"ann"}

    @pytest.mark.parametrize("applied", [False, True])
    @pytest.mark.parametrize("kind", ["500", "drop"])
    def test_a_server_error_or_a_lost_answer_is_tried_again(
        self, platform: Platform, sandbox: Recording, kind: str, applied: bool
    ) -> None:
        sandbox.misbehave(kind, applied=applied)
        platform.add(users("ann", "ben"), "b1")
        sandbox.misbehave(kind, applied=applied)
        platform.remove(users("ben"), "b2")
        assert sandbox.members() == {"ann"}

    def test_an_answer_that_does_not_come_is_given_up(
        self, sandbox: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasten(monkeypatch, patience=0.2)
        monkeypatch.setattr(webhook_module, "ANSWER_SECONDS", 0.2)
        with serving(sandbox, "url") as (_, platform):
            sandbox.misbehave("hang", applied=True, times=None)
            with pytest.raises(PlatformUnavailable, match="timed out") as error:
                platform.add(users("ann"), "b1")
        assert error.value.may_have_applied

    def test_nobody_listening_carried_nothing_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hasten(monkeypatch, patience=0.1)
        with SandboxServer(WebhookSandbox()) as server:
            url = server.url
        platform = make_platform(connection("webhook", {"url": url}, {"secret": SECRET}))
        with pytest.raises(PlatformUnavailable, match="no connection") as error:
            platform.add(users("ann"), "b1")
        assert not error.value.may_have_applied

    @pytest.mark.parametrize(
        "location", ["http://127.0.0.1:1/", "http://[", "http://x:99999/", "//evil", "\x7f", "ftp://x", ""]
    )
    def test_a_redirect_is_not_followed(self, platform: Platform, sandbox: Recording, location: str) -> None:
        sandbox.misbehave("redirect", location=location)
        with pytest.raises(PlatformRefused, match=r"a redirect to .* which is not followed"):
            platform.add(users("ann"), "b1")
        assert len(sandbox.requests) == 1

    def test_a_private_target_is_refused_unless_allowed(self, sandbox: Recording) -> None:
        with SandboxServer(sandbox) as server:
            made = connection("webhook", {"url": server.url}, {"secret": SECRET}, allow_private_targets=False)
            with pytest.raises(PlatformRefused, match=r"127\.0\.0\.1, which is this machine"):
                make_platform(made).add(users("ann"), "b1")
        assert sandbox.requests == []


class TestSecrets:
    def test_what_the_receiver_says_never_shows_the_secret(self, platform: Platform, sandbox: Recording) -> None:
        sandbox.misbehave("reject_users", users=["ben"], reason=f"signed with {SECRET}")
        assert platform.add(users("ben"), "b1").rejected == {"ben": "signed with ***"}

    def test_nor_does_an_error_show_a_token_of_the_url(self) -> None:
        sandbox = Recording(speed=SPEED, path="/hook")
        sandbox.misbehave("reject_users", users=["ann"], reason="no hush hush, no hush%20hush")
        sandbox.misbehave("refuse", status=403)
        with SandboxServer(sandbox) as server:
            url = f"{server.url}/hook?team=a&token=hush%20hush"
            platform = make_platform(connection("webhook", {"url": url}, {"secret": SECRET}))
            with pytest.raises(PlatformRefused, match=r"answered POST /hook\?\.\.\. with 403") as error:
                platform.add(users("ann"), "b1")
            answer = platform.add(users("ann"), "b1")
        assert "hush" not in str(error.value)
        assert answer.rejected == {"ann": "no ***, no ***"}

    def test_a_malformed_secret_is_told_without_repeating_it(self) -> None:
        with pytest.raises(PlatformRefused, match="must be base64") as error:
            make_platform(connection("webhook", {"url": "https://example.com"}, {"secret": "whsec_not/base*64"}))
        assert "not/base" not in str(error.value)

    def test_it_does_not_show_in_a_representation(self) -> None:
        made = connection("webhook", {"url": "https://example.com"}, {"secret": SECRET})
        assert SECRET not in repr(made) + repr(make_platform(made)) + repr(vars(make_platform(made)))


class TestTest:
    def test_all_is_well(self, platform: Platform, sandbox: Recording) -> None:
        assert all(finding.ok for finding in platform.test())
        assert sandbox.documents[0]["type"] == "webhook.test"
        assert sandbox.members() == set()

    def test_each_test_is_a_message_of_its_own(self, platform: Platform, sandbox: Recording) -> None:
        platform.test()
        platform.test()
        assert len(set(sandbox.ids)) == 2

    def test_a_receiver_with_another_secret(self, platform: Platform, sandbox: Recording) -> None:
        sandbox._secret = "another secret entirely"
        _, finding = platform.test()
        sandbox.violations.clear()
        assert not finding.ok
        assert "webhook-signature does not verify" in finding.detail

    def test_a_private_target(self) -> None:
        made = connection("webhook", {"url": "http://10.0.0.1/"}, {"secret": SECRET}, allow_private_targets=False)
        (finding,) = make_platform(made).test()
        assert not finding.ok
        assert "which is private" in finding.detail


class TestConfig:
    @pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://u:p@example.com/", "https://"])
    def test_a_url_that_cannot_be_posted_to_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"allowed|names no host|user name"):
            target_url(url)

    @pytest.mark.parametrize("size", [0, 10_001, "many"])
    def test_so_is_a_batch_of_nobody_or_of_too_many(self, size: object) -> None:
        with pytest.raises(ValueError, match="1 to 10,000"):
            users_per_request(size)

    def test_so_is_a_secret_that_does_not_sign(self) -> None:
        assert secret_fault("webhook", "secret", SECRET) is None
        assert "must be base64" in str(secret_fault("webhook", "secret", "whsec_%%%%%%%%%%%%%%%%"))
        assert "16 characters" in str(secret_fault("webhook", "secret", "hunter2"))


class TestTheReceiverIsStrict:
    @pytest.mark.parametrize(
        ("changes", "breach"),
        [
            ({"type": "segment.changed"}, "a known type"),
            ({"users": [{"user_id": "ann", "entered_at": "", "name": "Ann"}]}, "no others"),
            ({"users": [{"user_id": "ann", "entered_at": ""}] * 2}, "twice"),
            ({"id": "another"}, "not that of the header"),
            ({"extra": 1}, "has the fields"),
        ],
    )
    def test_about_the_body(self, sandbox: Recording, changes: dict[str, Any], breach: str) -> None:
        body = {"type": "segment.entered", "id": "m", "tenant": "a", "segment": "s", "segment_id": 1, "connector": "c"}
        self.post(sandbox, {**body, "users": [], **changes})
        assert breach in sandbox.violations[0]

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature", "X-SegOps-Signature"])
    def test_about_every_header(self, sandbox: Recording, header: str) -> None:
        reply = self.post(sandbox, {}, without=header)
        assert reply.status_code in (400, 401)
        assert len(sandbox.violations) == 1

    def test_about_a_body_that_was_changed_on_the_way(self, sandbox: Recording) -> None:
        assert self.post(sandbox, {}, tampered=True).status_code == 401
        assert "webhook-signature does not verify" in sandbox.violations[0]

    def test_about_a_message_that_is_old(self, sandbox: Recording) -> None:
        sandbox._now = lambda: 10_000.0
        assert self.post(sandbox, {}, at=9_000).status_code == 400
        assert "too far from now" in sandbox.violations[0]

    def post(
        self, sandbox: Recording, document: Any, *, without: str = "", tampered: bool = False, at: int | None = None
    ) -> requests.Response:
        body = json.dumps(document).encode()
        now = int(sandbox._now()) if at is None else at
        headers = {**signed_headers(SECRET, "m", now, body), "Content-Type": "application/json"}
        headers.pop(without, None)
        with SandboxServer(sandbox) as server:
            return requests.post(server.url + "/", data=body + b" " * tampered, headers=headers, timeout=5)
