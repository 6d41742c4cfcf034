"""Notices: a message for every committed change, until it has arrived."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.activation import notices
from segops_orchestration.activation.notices import PAUSES, NoticeResult, announce, next_attempt, try_endpoint
from segops_orchestration.activation.sandbox.sandbox import Request, Response
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.webhook import SECRET, WebhookSandbox
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedCounts, PlannedSegment, Segment, StagedCounts
from segops_orchestration.catalog.secret_box import SecretKeyError
from segops_orchestration.catalog.webhook_records import Endpoint, Message
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import NOON, Clock, begin, document, save


class Receiver(WebhookSandbox):
    """Keeps what arrived; its rate is no matter here."""

    def __init__(self) -> None:
        super().__init__(path="/", per_second=1_000)
        self.requests: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return super().handle(request)

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own_settings(settings: Settings, empty_catalog: Path, tmp_path: Path) -> Settings:
    """A catalogue of the test's own, and a key of its own."""
    shutil.copy(empty_catalog, tmp_path / "catalog.db")
    return replace(settings, home=tmp_path, database_url=f"sqlite:///{tmp_path / 'catalog.db'}")


@pytest.fixture
def catalog(own_settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    """With the tenant acme and its segments vip and big."""
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    with Catalog.open(own_settings, clock=clock) as opened:
        opened.create_tenant("acme")
        save(opened, document("vip", name="VIP"), document("big"))
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    sandbox = Receiver()
    yield sandbox
    assert sandbox.violations == []


@pytest.fixture
def server(receiver: Receiver) -> Iterator[SandboxServer]:
    with SandboxServer(receiver) as started:
        yield started


@pytest.fixture
def endpoint(catalog: Catalog, server: SandboxServer) -> Endpoint:
    return catalog.webhooks.create("acme", server.url + "/", SECRET)


def segment(catalog: Catalog, slug: str = "vip") -> Segment:
    return catalog.get_segment("acme", slug)


def change(catalog: Catalog, *slugs: str, entered: int = 3, exited: int = 1, commit: bool = True) -> int:
    """A computation that changes these segments; its id."""
    segments = [segment(catalog, slug) for slug in slugs or ("vip",)]
    computation = begin(catalog, *segments)
    catalog.mark_staged(
        computation.id,
        [StagedCounts(one.id, candidates=9, entered=entered, exited=exited, rows_read=9) for one in segments],
    )
    if commit:
        finish(catalog, computation.id, *segments)
    return computation.id


def finish(catalog: Catalog, computation_id: int, *segments: Segment) -> None:
    catalog.commit_segments(computation_id, [CommittedCounts(one.id, members=42, milliseconds=1) for one in segments])
    catalog.finish_computation(computation_id, "succeeded")


def messages(catalog: Catalog, **options: Any) -> list[Message]:
    return catalog.webhooks.messages("acme", **options)


def only(catalog: Catalog) -> Message:
    [message] = messages(catalog)
    return message


class TestWriting:
    def test_a_committed_change_is_told(self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver) -> None:
        change(catalog)
        assert announce(catalog, "acme") == NoticeResult(written=1, delivered=1)
        assert receiver.notices == [
            {
                "event": "segment.recomputed",
                "tenant_slug": "acme",
                "segment_id": segment(catalog).id,
                "segment_slug": "vip",
                "segment_name": "VIP",
                "member_count": 42,
                "entered": 3,
                "exited": 1,
                "computed_at": "2026-03-01T12:00:00.000Z",
            }
        ]

    def test_each_changed_segment_of_a_computation_has_its_message(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        change(catalog, "vip", "big")
        announce(catalog, "acme")
        assert [notice["segment_slug"] for notice in receiver.notices] == ["vip", "big"]

    def test_a_segment_that_nobody_entered_or_left_has_none(self, catalog: Catalog, endpoint: Endpoint) -> None:
        change(catalog, entered=0, exited=0)
        assert announce(catalog, "acme") == NoticeResult()

    def test_nor_has_what_was_committed_before_somebody_listened(self, catalog: Catalog, server: SandboxServer) -> None:
        change(catalog)
        catalog.webhooks.create("acme", server.url, SECRET)
        assert announce(catalog, "acme").written == 0

    def test_no_change_is_told_twice(self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver) -> None:
        change(catalog)
        for _ in range(3):
            announce(catalog, "acme")
        assert len(receiver.requests) == 1

    def test_what_commits_late_is_told_although_a_later_computation_was_told_before(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        late = change(catalog, "vip", commit=False)
        change(catalog, "big")
        announce(catalog, "acme")
        finish(catalog, late, segment(catalog, "vip"))
        announce(catalog, "acme")
        assert [notice["segment_slug"] for notice in receiver.notices] == ["big", "vip"]

    def test_what_was_under_way_when_somebody_began_to_listen_is_told(
        self, catalog: Catalog, server: SandboxServer, receiver: Receiver
    ) -> None:
        late = change(catalog, commit=False)
        catalog.webhooks.create("acme", server.url, SECRET)
        finish(catalog, late, segment(catalog))
        announce(catalog, "acme")
        assert len(receiver.notices) == 1

    def test_every_endpoint_has_its_own_message(
        self, catalog: Catalog, endpoint: Endpoint, server: SandboxServer, receiver: Receiver
    ) -> None:
        catalog.webhooks.create("acme", f"{server.url}/?second", SECRET)
        change(catalog)
        assert announce(catalog, "acme") == NoticeResult(written=2, delivered=2)
        assert len(set(receiver.ids)) == 2

    def test_a_tenant_hears_of_its_own_segments_alone(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        catalog.create_tenant("other")
        [other] = save(catalog, document("vip"), tenant="other")
        computation = catalog.begin_computation(
            "other",
            mode="full",
            at=NOON,
            watermark_block=1,
            watermark_at=None,
            owner="host:1",
            run_id=None,
            segments=[PlannedSegment(other.id, other.version, "full", "asked for")],
        )
        catalog.mark_staged(computation.id, [StagedCounts(other.id, candidates=1, entered=1, exited=0, rows_read=1)])
        finish(catalog, computation.id, other)
        assert announce(catalog, "acme").written == announce(catalog, "other").written == 0

    def test_messages_that_ended_are_forgotten_after_a_month(
        self, catalog: Catalog, endpoint: Endpoint, clock: Clock, receiver: Receiver
    ) -> None:
        receiver._now = lambda: clock().timestamp()
        change(catalog)
        receiver.misbehave("refuse")
        announce(catalog, "acme")
        change(catalog)
        announce(catalog, "acme")
        clock.move(31 * 86_400)
        announce(catalog, "acme")
        # The one that was delivered is forgotten, the other was tried again; nothing was written anew.
        assert [message.attempts for message in messages(catalog)] == [2]


@pytest.fixture(autouse=True)
def _time_of_signatures(monkeypatch: pytest.MonkeyPatch, clock: Clock, receiver: Receiver) -> None:
    """Signatures are stamped by the same clock that the catalogue and the receiver have."""
    monkeypatch.setattr(notices, "wall_clock", lambda: clock().timestamp())
    receiver._now = lambda: clock().timestamp()


class TestSending:
    def test_it_is_signed_as_the_documentation_says(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        change(catalog)
        announce(catalog, "acme")
        [request] = receiver.requests
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        assert request.headers["webhook-signature"] == "v1," + _base64(hmac.new(key, signed, hashlib.sha256).digest())
        ours = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-segops-signature"] == f"sha256={ours}"

    def test_one_that_did_not_arrive_is_tried_again_under_its_id(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("500", applied=True)
        assert announce(catalog, "acme").failed == 1
        clock.move(12)
        assert announce(catalog, "acme") == NoticeResult(delivered=1)
        assert len(set(receiver.ids)) == 1
        assert len(receiver.notices) == 1
        assert receiver.duplicates == 1

    def test_not_before_its_pause_is_over(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("500", times=None)
        announce(catalog, "acme")
        clock.move(9)
        assert announce(catalog, "acme") == NoticeResult()

    def test_pauses_grow_for_hours_and_then_it_is_dead(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("500", times=None)
        waited = []
        for _ in PAUSES:
            announce(catalog, "acme")
            waited.append(only(catalog).next_attempt_at - clock())
            clock.now = only(catalog).next_attempt_at
        assert announce(catalog, "acme") == NoticeResult(dead=1)
        assert only(catalog).status == "dead"
        assert only(catalog).attempts == len(PAUSES) + 1
        assert only(catalog).last_error == 'answered 500: {"message":"internal error"}'
        assert all(a < b for a, b in pairwise(waited))
        assert timedelta(hours=15) < sum(waited, timedelta()) < timedelta(hours=18)

    def test_a_dead_one_is_not_tried_until_somebody_asks(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notices, "PAUSES", ())
        change(catalog)
        receiver.misbehave("500")
        announce(catalog, "acme")
        clock.move(86_400)
        assert announce(catalog, "acme") == NoticeResult()
        catalog.webhooks.redeliver("acme")
        assert announce(catalog, "acme") == NoticeResult(delivered=1)
        assert len(receiver.notices) == 1

    def test_a_wait_that_is_asked_for_is_heeded(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("429", wait=500)
        announce(catalog, "acme")
        assert only(catalog).next_attempt_at - clock() == timedelta(seconds=500)

    def test_410_disables_the_endpoint(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("gone")
        assert announce(catalog, "acme") == NoticeResult(written=1, disabled=1)
        disabled = catalog.webhooks.get("acme", endpoint.id)
        assert (disabled.status, disabled.dead) == ("disabled", 1)
        assert "410" in disabled.status_reason
        change(catalog)
        assert announce(catalog, "acme") == NoticeResult()

    def test_an_enabled_endpoint_hears_of_what_comes_and_not_of_what_it_missed(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        receiver.misbehave("gone")
        announce(catalog, "acme")
        change(catalog, "big")
        clock.move(1)
        catalog.webhooks.enable("acme", endpoint.id)
        change(catalog)
        announce(catalog, "acme")
        assert [notice["segment_slug"] for notice in receiver.notices] == ["vip"]

    def test_an_endpoint_that_fails_gets_one_attempt_a_round_and_the_others_are_served(
        self, catalog: Catalog, endpoint: Endpoint, server: SandboxServer, receiver: Receiver
    ) -> None:
        catalog.webhooks.create("acme", f"{server.url}/?well", SECRET)
        change(catalog, "vip", "big")
        receiver.misbehave("500", calls="POST /", times=1)
        result = announce(catalog, "acme")
        assert (result.written, result.delivered, result.failed) == (4, 2, 1)
        assert len(messages(catalog, status="pending")) == 2

    def test_a_redirect_is_not_followed(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, server: SandboxServer
    ) -> None:
        change(catalog)
        receiver.misbehave("redirect", location=server.url + "/elsewhere")
        assert announce(catalog, "acme").failed == 1
        assert "a redirect to" in str(only(catalog).last_error)
        assert len(receiver.requests) == 1

    def test_a_private_target_is_refused_unless_allowed(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "0")
        change(catalog)
        assert announce(catalog, "acme").failed == 1
        assert "this machine" in str(only(catalog).last_error)
        assert receiver.requests == []

    def test_a_receiver_that_hangs_costs_its_time_and_no_more(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notices, "ANSWER_SECONDS", 0.2)
        change(catalog)
        receiver.misbehave("hang", times=None)
        assert announce(catalog, "acme").failed == 1
        assert only(catalog).last_status is None
        assert "no answer" in str(only(catalog).last_error)

    def test_what_the_receiver_says_never_shows_the_secret(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        change(catalog)
        receiver.misbehave("redirect", location=f"http://evil/?{SECRET}")
        announce(catalog, "acme")
        assert SECRET not in str(only(catalog).last_error)

    def test_what_does_not_get_its_turn_is_due_still(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        change(catalog)
        assert announce(catalog, "acme", seconds=0) == NoticeResult(written=1)
        assert announce(catalog, "acme") == NoticeResult(delivered=1)

    def test_two_processes_at_once_send_each_message_once(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        for _ in range(10):
            change(catalog)
        threads = [threading.Thread(target=announce, args=(catalog, "acme")) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(receiver.ids) == len(set(receiver.ids)) == 10

    def test_a_process_that_died_with_messages_in_hand_loses_none(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        catalog.webhooks.write("acme")
        assert len(catalog.webhooks.claim("acme", seconds=60)) == 1
        assert announce(catalog, "acme") == NoticeResult()
        clock.move(61)
        assert announce(catalog, "acme") == NoticeResult(delivered=1)

    def test_an_outcome_that_comes_after_its_claim_is_over_changes_nothing(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        catalog.webhooks.write("acme")
        [slow] = catalog.webhooks.claim("acme", seconds=60)
        clock.move(61)
        announce(catalog, "acme")
        catalog.webhooks.failed(slow, 500, "too late", None)
        assert only(catalog).status == "delivered"


class TestSchedule:
    def test_the_last_attempt_has_none_after_it(self) -> None:
        assert next_attempt(NOON, len(PAUSES), None) is not None
        assert next_attempt(NOON, len(PAUSES) + 1, None) is None

    def test_a_wait_of_more_than_a_day_is_a_day(self) -> None:
        assert next_attempt(NOON, 1, 1e12) == NOON + timedelta(days=1)


class TestEndpoints:
    def test_the_secret_is_encrypted_and_in_no_record(
        self, catalog: Catalog, endpoint: Endpoint, own_settings: Settings
    ) -> None:
        database = Path(own_settings.database_url.removeprefix("sqlite:///"))
        stored = b"".join(part.read_bytes() for part in database.parent.glob(database.name + "*"))
        assert SECRET.encode() not in stored
        assert SECRET not in repr(catalog.webhooks.every("acme"))
        assert catalog.webhooks.secret("acme", endpoint.id) == SECRET

    def test_a_claimed_message_does_not_show_it(self, catalog: Catalog, endpoint: Endpoint) -> None:
        change(catalog)
        catalog.webhooks.write("acme")
        assert SECRET not in repr(catalog.webhooks.claim("acme"))

    def test_it_moves_to_the_newest_key_with_those_of_connectors(
        self, catalog: Catalog, endpoint: Endpoint, own_settings: Settings
    ) -> None:
        from cryptography.fernet import Fernet

        old = own_settings.secret_key_file.read_text().strip()
        new = Fernet.generate_key().decode()
        with Catalog.open(replace(own_settings, secret_key=f"{new},{old}")) as rotating:
            assert rotating.connectors.rotate_secrets() == 1
        with Catalog.open(replace(own_settings, secret_key=new)) as after:
            assert after.webhooks.secret("acme", endpoint.id) == SECRET
        with Catalog.open(replace(own_settings, secret_key=old)) as before, pytest.raises(SecretKeyError):
            before.webhooks.secret("acme", endpoint.id)

    def test_one_url_once_a_tenant(self, catalog: Catalog, endpoint: Endpoint) -> None:
        with pytest.raises(Conflict, match="has an endpoint of this URL already"):
            catalog.webhooks.create("acme", endpoint.url, SECRET)

    def test_an_event_that_does_not_exist(self, catalog: Catalog) -> None:
        with pytest.raises(InvalidDocument, match=r"allowed: segment\.recomputed; did you mean"):
            catalog.webhooks.create("acme", "https://example.com/", SECRET, ["segment.recomputd"])

    def test_another_tenants_endpoint_does_not_exist(self, catalog: Catalog, endpoint: Endpoint) -> None:
        catalog.create_tenant("other")
        with pytest.raises(NotFound, match="it has none"):
            catalog.webhooks.get("other", endpoint.id)
        with pytest.raises(NotFound, match=f"it has {endpoint.id}"):
            catalog.webhooks.get("acme", 999)

    def test_counts_are_those_of_its_messages(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver, clock: Clock
    ) -> None:
        change(catalog)
        announce(catalog, "acme")
        receiver.misbehave("500")
        change(catalog)
        announce(catalog, "acme")
        now = catalog.webhooks.get("acme", endpoint.id)
        assert (now.pending, now.dead, now.delivered_at) == (1, 0, clock())

    def test_deleting_takes_its_messages_along(self, catalog: Catalog, endpoint: Endpoint) -> None:
        change(catalog)
        announce(catalog, "acme")
        catalog.webhooks.delete("acme", endpoint.id)
        assert catalog.webhooks.every("acme") == []
        assert messages(catalog) == []

    def test_a_message_that_does_not_exist_cannot_be_redelivered(self, catalog: Catalog, endpoint: Endpoint) -> None:
        with pytest.raises(NotFound, match="'msg_nowhere'"):
            catalog.webhooks.redeliver("acme", ["msg_nowhere"])

    def test_a_test_reaches_the_receiver_and_means_nothing(
        self, catalog: Catalog, endpoint: Endpoint, receiver: Receiver
    ) -> None:
        assert try_endpoint(catalog, "acme", endpoint.id).arrived
        assert receiver.notices == []
        receiver.misbehave("refuse", status=404)
        attempt = try_endpoint(catalog, "acme", endpoint.id)
        assert not attempt.arrived
        assert attempt.status == 404


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
