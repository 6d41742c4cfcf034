"""The stand-ins are strict: what breaks a vendor's contract or limit is answered as there, and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from segops_orchestration.activation.http import encode
from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.klaviyo import MEDIA_TYPE, REVISION, KlaviyoSandbox
from segops_orchestration.activation.sandbox.sandbox import Request, Sandbox, Window
from segops_orchestration.activation.sandbox.server import SandboxServer

KLAVIYO_HEADERS = {
    "authorization": "Klaviyo-API-Key pk_sandbox",
    "revision": REVISION,
    "accept": MEDIA_TYPE,
    "content-type": MEDIA_TYPE,
}
BRAZE_HEADERS = {"authorization": "Bearer sandbox-key", "content-type": "application/json"}
IMPORT = "/api/profile-bulk-import-jobs"
MEMBERS = "/api/lists/SANDBX/relationships/profiles"


class Clock:
    """Time that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(
    sandbox: Sandbox, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **query: str
) -> int:
    """The status of an answer; 0 for none."""
    own = KLAVIYO_HEADERS if sandbox.type == "klaviyo" else BRAZE_HEADERS
    asked = {name.replace("__", "[") + "]" * ("__" in name): [value] for name, value in query.items()}
    response = sandbox.answer(Request(method, path, asked, {**own, **(headers or {})}, body)).response
    return 0 if response is None else response.status


def profiles(count: int, **attributes: Any) -> bytes:
    """The body of an import."""
    rows = [{"type": "profile", "attributes": {"external_id": f"u{n}", **attributes}} for n in range(count)]
    return encode(
        {
            "data": {
                "type": "profile-bulk-import-job",
                "attributes": {"profiles": {"data": rows}},
                "relationships": {"lists": {"data": [{"type": "list", "id": "SANDBX"}]}},
            }
        }
    )


class TestKlaviyo:
    @pytest.fixture
    def sandbox(self) -> KlaviyoSandbox:
        return KlaviyoSandbox(clock=Clock(), seed=1)

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"authorization": "Bearer pk_sandbox"}, 401),
            ({"revision": ""}, 400),
            ({"revision": "2020-01-01"}, 400),
            ({"accept": "*/*"}, 406),
        ],
    )
    def test_headers(self, sandbox: KlaviyoSandbox, headers: dict[str, str], status: int) -> None:
        assert ask(sandbox, "GET", "/api/lists/SANDBX", headers=headers) == status
        assert sandbox.violation_count == 1

    def test_another_key_is_no_breach(self, sandbox: KlaviyoSandbox) -> None:
        headers = {"authorization": "Klaviyo-API-Key other"}
        assert ask(sandbox, "GET", "/api/lists/SANDBX", headers=headers) == 401
        assert sandbox.violation_count == 0

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (profiles(1), 202),
            (profiles(10_000), 202),
            (profiles(10_001), 400),
            (profiles(9_000, email="x" * 550), 413),
            (profiles(1, properties={"x": "y" * 99_000}), 202),
            (profiles(1, properties={"x": "y" * 100_000}), 400),
            (profiles(1, subscriptions={"email": {}}), 400),
            (profiles(1).replace(b'"external_id":"u0"', b'"first_name":"Ann"'), 400),
            (profiles(1).replace(b"profile-bulk-import-job", b"job"), 400),
            (profiles(1).replace(b'"data":[{"type":"list"', b'"data":[{"type":"segment"'), 202),
            (b"{}", 400),
            (b"[]", 400),
            (b"not json", 400),
        ],
    )
    def test_the_body_of_an_import(self, sandbox: KlaviyoSandbox, body: bytes, status: int) -> None:
        assert ask(sandbox, "POST", IMPORT, body) == status
        assert sandbox.violation_count == (status != 202)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"data":[{"type":"profile","id":"P"}]}', 204),
            (b'{"data":[%s]}' % b",".join([b'{"type":"profile","id":"P"}'] * 1_000), 204),
            (b'{"data":[%s]}' % b",".join([b'{"type":"profile","id":"P"}'] * 1_001), 400),
            (b'{"data":[{"type":"profile","id":7}]}', 400),
            (b'{"data":[{"type":"profile"}]}', 400),
            (b'{"data":"P"}', 400),
        ],
    )
    def test_the_body_of_a_removal(self, sandbox: KlaviyoSandbox, body: bytes, status: int) -> None:
        assert ask(sandbox, "DELETE", MEMBERS, body) == status
        assert sandbox.violation_count == (status != 204)

    @pytest.mark.parametrize("size", ["0", "101", "many"])
    def test_the_size_of_a_page(self, sandbox: KlaviyoSandbox, size: str) -> None:
        assert ask(sandbox, "GET", "/api/lists/SANDBX/profiles", page__size=size) == 400

    @pytest.mark.parametrize("asked", ["any(external_id,[])", "any(name,[1])", 'equals(external_id,["a"])', "any(", ""])
    def test_a_filter_that_is_none(self, sandbox: KlaviyoSandbox, asked: str) -> None:
        assert ask(sandbox, "GET", "/api/profiles", filter=asked) == 400

    def test_a_filter_of_more_than_a_hundred(self, sandbox: KlaviyoSandbox) -> None:
        asked = f"any(external_id,[{','.join(['1'] * 101)}])"
        assert ask(sandbox, "GET", "/api/profiles", filter=asked) == 400

    @pytest.mark.parametrize(
        "path",
        ["/api/profile-subscription-bulk-create-jobs", "/api/profile-subscription-bulk-delete-jobs", "/api/lists"],
    )
    def test_calls_that_are_never_made(self, sandbox: KlaviyoSandbox, path: str) -> None:
        assert ask(sandbox, "POST", path, b"{}") == 404
        assert sandbox.violations == [f"POST {path}: there is no such call"]

    def test_ten_a_second(self, sandbox: KlaviyoSandbox) -> None:
        assert [ask(sandbox, "DELETE", MEMBERS, b'{"data":[{"type":"profile","id":"P"}]}') for _ in range(11)] == [
            *[204] * 10,
            429,
        ]
        assert sandbox.violations == ["remove from list: more than 10 requests in 1 s"]

    def test_a_hundred_and_fifty_a_minute(self, sandbox: KlaviyoSandbox) -> None:
        clock = sandbox.clock
        assert isinstance(clock, Clock)
        statuses = []
        for _ in range(151):
            statuses.append(ask(sandbox, "GET", f"{IMPORT}/job-1"))
            clock.now += 0.2
        assert statuses == [*[404] * 150, 429]

    def test_calls_have_limits_of_their_own(self, sandbox: KlaviyoSandbox) -> None:
        for _ in range(10):
            ask(sandbox, "GET", f"{IMPORT}/job-1")
        assert ask(sandbox, "GET", f"{IMPORT}/job-1/import-errors") == 404

    def test_coming_back_before_the_wait_is_over(self, sandbox: KlaviyoSandbox) -> None:
        clock = sandbox.clock
        assert isinstance(clock, Clock)
        sandbox.misbehave("429", wait=10)
        ask(sandbox, "GET", "/api/lists/SANDBX")
        clock.now += 9
        assert ask(sandbox, "GET", "/api/lists/SANDBX") == 200
        assert sandbox.violations == ["list: called again 1.00 s before the wait was over"]

    def test_a_late_job_enters_after_a_removal(self, sandbox: KlaviyoSandbox) -> None:
        """The danger that the delivery has to avoid."""
        clock = sandbox.clock
        assert isinstance(clock, Clock)
        sandbox.account.upsert({"external_id": "u0"})
        (profile,) = sandbox.account.profiles
        sandbox.misbehave("job_late", seconds=60)
        ask(sandbox, "POST", IMPORT, profiles(1))
        ask(sandbox, "DELETE", MEMBERS, f'{{"data":[{{"type":"profile","id":"{profile}"}}]}}'.encode())
        assert sandbox.members() == set()
        clock.now += 61
        assert sandbox.members() == {"u0"}


class TestBraze:
    @pytest.fixture
    def sandbox(self) -> BrazeSandbox:
        return BrazeSandbox(clock=Clock(), group_id="g", seed=1)

    @pytest.mark.parametrize(
        ("headers", "status"), [({"authorization": "sandbox-key"}, 401), ({"content-type": "text/plain"}, 415)]
    )
    def test_headers(self, sandbox: BrazeSandbox, headers: dict[str, str], status: int) -> None:
        assert ask(sandbox, "POST", "/users/track", b'{"attributes":[]}', headers) == status
        assert sandbox.violation_count == 1

    @pytest.mark.parametrize(
        ("groups", "status"),
        [
            ('[{"subscription_group_id":"g","subscription_state":"subscribed","external_ids":["a"]}]', 201),
            ('[{"subscription_group_id":"g","subscription_state":"maybe","external_ids":["a"]}]', 400),
            ('[{"subscription_group_id":"g","subscription_state":"subscribed","external_ids":["a","a"]}]', 400),
            ('[{"subscription_group_id":"g","subscription_state":"subscribed","external_ids":[7]}]', 400),
            ('[{"subscription_group_id":"g","subscription_state":"subscribed","external_id":["a"]}]', 400),
            ('[{"subscription_group_id":"g","subscription_state":"subscribed","emails":["a@b.de"]}]', 400),
            ("[]", 400),
        ],
    )
    def test_the_body_of_a_status(self, sandbox: BrazeSandbox, groups: str, status: int) -> None:
        body = f'{{"subscription_groups":{groups}}}'.encode()
        assert ask(sandbox, "POST", "/v2/subscription/status/set", body) == status
        assert sandbox.violation_count == (status != 201)

    @pytest.mark.parametrize(("users", "status"), [(50, 201), (51, 400)])
    def test_fifty_users_a_request(self, sandbox: BrazeSandbox, users: int, status: int) -> None:
        objects = ",".join(f'{{"external_id":"u{n}","x":true}}' for n in range(users))
        assert ask(sandbox, "POST", "/users/track", f'{{"attributes":[{objects}]}}'.encode()) == status

    def test_five_thousand_a_minute(self, sandbox: BrazeSandbox) -> None:
        group = b'{"subscription_group_id":"g","subscription_state":"subscribed","external_ids":["a"]}'
        body = b'{"subscription_groups":[%s]}' % group
        statuses = [ask(sandbox, "POST", "/v2/subscription/status/set", body) for _ in range(5_001)]
        assert statuses == [*[201] * 5_000, 429]
        assert sandbox.violations == ["POST /v2/subscription/status/set: more than 5000 requests in 60 s"]

    def test_the_first_version_of_the_call_is_not_used(self, sandbox: BrazeSandbox) -> None:
        assert ask(sandbox, "POST", "/subscription/status/set", b"{}") == 404
        assert sandbox.violation_count == 1


class TestMisbehaviour:
    @pytest.fixture
    def sandbox(self) -> BrazeSandbox:
        return BrazeSandbox(clock=Clock(), group_id="g", seed=1)

    def statuses(self, sandbox: BrazeSandbox, count: int) -> list[int]:
        body = b'{"attributes":[{"external_id":"a","x":true}]}'
        return [ask(sandbox, "POST", "/users/track", body) for _ in range(count)]

    def test_it_strikes_so_often(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("500", times=2)
        assert self.statuses(sandbox, 3) == [500, 500, 201]

    def test_it_lets_some_pass_first(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("500", skip=2)
        assert self.statuses(sandbox, 4) == [201, 201, 500, 201]

    def test_it_strikes_only_the_calls_meant(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("500", calls="GET /")
        assert self.statuses(sandbox, 1) == [201]

    def test_it_strikes_by_chance(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("500", times=None, chance=0.5)
        assert 30 < self.statuses(sandbox, 100).count(500) < 70

    def test_it_ends_when_called_off(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("key_revoked")
        assert self.statuses(sandbox, 2) == [401, 401]
        sandbox.behave()
        assert self.statuses(sandbox, 1) == [201]

    @pytest.mark.parametrize("kind", ["500", "drop", "hang"])
    @pytest.mark.parametrize("applied", [True, False])
    def test_before_or_after_applying(self, sandbox: BrazeSandbox, kind: str, applied: bool) -> None:
        sandbox.misbehave(kind, applied=applied)
        assert self.statuses(sandbox, 1) == [500 if kind == "500" else 0]
        assert ("a" in sandbox.attributes) == applied

    def test_a_cap_is_not_a_breach_of_what_is_published(self, sandbox: BrazeSandbox) -> None:
        sandbox.misbehave("cap", per_second=2)
        assert self.statuses(sandbox, 3) == [201, 201, 429]
        assert sandbox.violation_count == 0

    def test_an_unknown_kind_is_told_with_all_there_are(self, sandbox: BrazeSandbox) -> None:
        with pytest.raises(ValueError, match="'sleep' is no misbehaviour; there are 429, 500, hang"):
            sandbox.misbehave("sleep")


class TestServer:
    @pytest.fixture
    def server(self) -> Iterator[SandboxServer]:
        with SandboxServer(BrazeSandbox(group_id="g")) as server:
            yield server

    def track(self, server: SandboxServer, **options: Any) -> requests.Response:
        body = {"attributes": [{"external_id": "a", "segops_segment_7": True}]}
        return requests.post(f"{server.url}/users/track", json=body, headers=BRAZE_HEADERS, timeout=5, **options)

    def test_it_is_told_what_to_do_wrong_over_http(self, server: SandboxServer) -> None:
        told = [{"kind": "500"}, {"kind": "429", "wait": 3}]
        assert requests.post(f"{server.url}/_sandbox/misbehave", json=told, timeout=5).json()["misbehaviours"]
        assert [self.track(server).status_code for _ in range(3)] == [500, 429, 201]

    def test_what_it_cannot_do_is_a_400(self, server: SandboxServer) -> None:
        answer = requests.post(f"{server.url}/_sandbox/misbehave", json={"kind": "nap"}, timeout=5)
        assert answer.status_code == 400
        assert "there are 429" in answer.json()["error"]

    def test_it_shows_what_happened(self, server: SandboxServer) -> None:
        self.track(server)
        requests.get(f"{server.url}/nowhere", headers=BRAZE_HEADERS, timeout=5)
        state = requests.get(f"{server.url}/_sandbox/state", timeout=5).json()
        assert state["calls"] == {"POST /users/track": 1, "unknown call": 1}
        assert state["statuses"] == {"201": 1, "404": 1}
        assert state["violations"] == 1
        violations = requests.get(f"{server.url}/_sandbox/violations", timeout=5).json()
        assert violations == {"count": 1, "violations": ["GET /nowhere: there is no such call"]}
        assert requests.get(f"{server.url}/_sandbox/members", timeout=5).json() == {"members": []}

    def test_a_dropped_connection_has_no_answer(self, server: SandboxServer) -> None:
        server.sandbox.misbehave("drop")
        with pytest.raises(requests.ConnectionError):
            self.track(server)

    def test_an_answer_takes_its_latency(self) -> None:
        with SandboxServer(BrazeSandbox(), latency=(0.1, 0.1)) as server:
            started = time.monotonic()
            self.track(server)
        assert 0.1 <= time.monotonic() - started < 0.5

    def test_stopping_does_not_wait_for_calls_that_hang(self, server: SandboxServer) -> None:
        server.sandbox.misbehave("hang")
        errors: list[Exception] = []

        def call() -> None:
            try:
                self.track(server)
            except requests.RequestException as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.2)
        started = time.monotonic()
        server.stop()
        thread.join(5)
        assert time.monotonic() - started < 2
        assert errors


def test_a_window_slides() -> None:
    clock = Clock()
    window = Window(Rate(2, 10), clock)
    window.take()
    clock.now = 6
    window.take()
    assert window.wait() == 4
    clock.now = 10
    assert window.wait() == 0
