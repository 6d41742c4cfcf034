"""Batches of events, and requests that are sent again."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.test_tracking import event, letters, send_text, stored

BATCH = "ingestion/track/batch/"


def test_a_batch_is_stored_without_its_bad_events_and_says_which_they_are(tenant: Tenant) -> None:
    events: list[Any] = [event(user_id=f"u-{number}") for number in range(6)]
    events[1] = event(user_id="")
    events[3] = event(event_type="No Good", occurred_at="never")
    events[4] = 7
    answer = tenant.member_key.post(BATCH, {"events": events}, status=202)
    assert (answer["queued"], answer["skipped"]) == (3, 3)
    assert [(each["index"], each["field"]) for each in answer["errors"]] == [
        (1, "user_id"),
        (3, "event_type"),
        (4, "(event)"),
    ]
    assert [user for (user,) in stored(tenant, "user_id")] == ["u-0", "u-2", "u-5"]
    assert [(index, name) for index, name, _, _ in letters(tenant)] == [
        (1, "user_id"),
        (3, "event_type"),
        (4, "(event)"),
    ]


def test_events_of_a_batch_without_a_time_keep_their_order(tenant: Tenant) -> None:
    events = [{"user_id": "u-1", "event_type": "step", "payload": {"n": number}} for number in range(20)]
    tenant.member_key.post(BATCH, {"events": events}, status=202)
    rows = tenant.database.query("SELECT payload FROM events ORDER BY occurred_at, event_id").result_rows
    assert [json.loads(payload)["n"] for (payload,) in rows] == list(range(20))


def test_an_id_twice_in_a_batch_is_one_event_the_first(tenant: Tenant) -> None:
    events = [event(event_id="o-1", payload={"n": number}) for number in range(3)]
    answer = tenant.member_key.post(BATCH, {"events": events}, status=202)
    assert (answer["queued"], answer["skipped"]) == (3, 0)
    assert stored(tenant, "payload") == [('{"n": 0}',)]


def test_an_empty_batch_is_no_error(tenant: Tenant) -> None:
    assert tenant.member_key.post(BATCH, {"events": []}, status=202) == {"queued": 0, "skipped": 0, "errors": []}


def test_500_events_are_stored_and_501_are_413(tenant: Tenant) -> None:
    events = [event(user_id=f"u-{number}") for number in range(501)]
    tenant.member_key.post(BATCH, {"events": events}, status=413)
    assert stored(tenant) == []
    assert tenant.member_key.post(BATCH, {"events": events[:500]}, status=202)["queued"] == 500
    assert len(stored(tenant)) == 500


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "events"),
        ('{"events": {}}', "events"),
        ('{"events": [], "x": 1}', "x"),
        ('{"events": [], "events": []}', "events"),
    ],
)
def test_a_batch_that_is_none_is_refused_by_its_field(tenant: Tenant, body: str, field: str) -> None:
    answer = send_text(tenant.member_key, body, BATCH)
    assert answer.status_code == 400
    assert field in answer.json()


def test_a_body_over_the_limit_is_413(tenant: Tenant) -> None:
    events = [event(payload={"a": "x" * 200_000}) for _ in range(50)]
    tenant.member_key.post(BATCH, {"events": events}, status=413)


def test_a_request_sent_again_with_its_key_adds_nothing_and_is_answered_alike(tenant: Tenant) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"events": [{"user_id": "u-1", "event_type": "x"}, {"user_id": "", "event_type": "x"}]}
    first = tenant.member_key.send("POST", BATCH, body, headers=key)
    again = tenant.member_key.send("POST", BATCH, body, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert "Idempotent-Replayed" not in first.headers
    assert (len(stored(tenant)), len(letters(tenant))) == (1, 1)


def test_one_key_with_another_body_is_409(tenant: Tenant) -> None:
    key = {"Idempotency-Key": "k-1"}
    tenant.member_key.post("ingestion/track/", event(), status=202, headers=key)
    tenant.member_key.post("ingestion/track/", event(user_id="u-2"), status=409, headers=key)
    assert len(stored(tenant)) == 1


def test_a_key_whose_request_was_refused_may_come_with_a_right_one(tenant: Tenant) -> None:
    key = {"Idempotency-Key": "k-1"}
    tenant.member_key.post("ingestion/track/", event(user_id=""), status=400, headers=key)
    tenant.member_key.post("ingestion/track/", event(), status=202, headers=key)


def test_after_a_crash_before_the_answer_was_kept_a_retry_adds_nothing(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tenant.api.catalog.service.idempotency
    body = {"events": [{"user_id": f"u-{number}", "event_type": "x"} for number in range(5)]}
    headers = {"Idempotency-Key": "k-1"}
    with monkeypatch.context() as patch:
        # As if the process had ended there: the claim stays, unanswered.
        patch.setattr(keys, "answer", lambda *_: None)
        tenant.member_key.post(BATCH, body, status=202, headers=headers)
    waiting = tenant.member_key.send("POST", BATCH, body, headers=headers)
    assert (waiting.status_code, waiting.headers["Retry-After"]) == (409, "1")
    deadline = time.monotonic() + 20
    while tenant.member_key.send("POST", BATCH, body, headers=headers).status_code != 202:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert len(stored(tenant)) == 5


def test_many_calls_at_once_are_all_stored_in_few_inserts(tenant: Tenant) -> None:
    program = tenant.member_key

    def send(number: int) -> int:
        body = event(user_id=f"u-{number}")
        return requests.post(
            f"{program.url}/ingestion/track/", json=body, headers=program.headers, timeout=60
        ).status_code

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(send, range(300))) == {202}
    assert len(stored(tenant)) == 300
    (inserts,) = tenant.database.query("SELECT uniqExact(ingested_at) FROM events").result_rows[0]
    assert inserts < 150


def test_a_value_that_is_longer_than_any_payload_is_not_read_to_its_end(tenant: Tenant) -> None:
    events = [event(), event(payload={f"k{number}": number for number in range(60_000)}), event()]
    refused = tenant.member_key.post(BATCH, {"events": events}, status=400)
    assert "too long" in refused["detail"]
    events[1] = event(payload={f"k{number}": number for number in range(30_000)})
    answer = tenant.member_key.post(BATCH, {"events": events}, status=202)
    assert [(each["index"], each["field"]) for each in answer["errors"]] == [(1, "payload")]
