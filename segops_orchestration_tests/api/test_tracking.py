"""Single events over HTTP: what is stored, and what is refused."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from segops_orchestration.api.ingest.body import one_event
from segops_orchestration.warehouse.ingest.identity import NAMESPACE
from segops_orchestration_tests.api.calling import OPERATOR, Api, Caller, Tenant

AT = "2026-03-01T10:00:00Z"


def event(**changes: Any) -> dict[str, Any]:
    return {"user_id": "u-1", "event_type": "order_placed", "occurred_at": AT, "payload": {"total": 42.5}, **changes}


def send_text(caller: Caller, body: str, path: str = "ingestion/track/", **headers: str) -> requests.Response:
    return caller.session.post(f"{caller.url}/{path}", body.encode(), headers={**caller.headers, **headers}, timeout=60)


def stored(
    tenant: Tenant, columns: str = "user_id, event_type, toString(occurred_at), payload"
) -> list[tuple[Any, ...]]:
    rows = tenant.database.query(f"SELECT {columns} FROM events FINAL ORDER BY event_type, user_id, occurred_at")
    return list(rows.result_rows)


def letters(tenant: Tenant) -> list[tuple[Any, ...]]:
    sql = "SELECT row_number, field, value, reason FROM dead_letters ORDER BY received_at, row_number, field"
    return list(tenant.database.query(sql).result_rows)


def test_an_event_is_stored_when_the_answer_is_there(tenant: Tenant) -> None:
    assert tenant.member_key.post("ingestion/track/", event(), status=202) == {"queued": True}
    assert stored(tenant) == [("u-1", "order_placed", "2026-03-01 10:00:00.000", '{"total": 42.5}')]


def test_a_payload_is_stored_as_it_is_written(tenant: Tenant) -> None:
    payload = '{"a": 1.10, "n": 123456789012345678901234567890,\n "a": 2, "t": "\\u00e9", "e": 1e5}'
    body = f'{{"user_id": "u-1", "event_type": "x", "occurred_at": "{AT}", "payload": {payload}}}'
    assert send_text(tenant.member_key, body).status_code == 202
    assert stored(tenant, "payload") == [(payload,)]


def test_without_a_time_an_event_occurred_when_it_was_received(tenant: Tenant) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    tenant.member_key.post("ingestion/track/", {"user_id": "u-1", "event_type": "x"}, status=202)
    ((occurred_at, payload),) = stored(tenant, "occurred_at, payload")
    assert before <= occurred_at <= datetime.now(UTC)
    assert payload == "{}"


def test_without_an_id_two_equal_calls_are_two_events(tenant: Tenant) -> None:
    for _ in range(2):
        tenant.member_key.post("ingestion/track/", event(), status=202)
    assert len(stored(tenant)) == 2


@pytest.mark.parametrize("occurred_at", [AT, None])
def test_of_events_with_one_id_the_first_stays(tenant: Tenant, occurred_at: str | None) -> None:
    for total in (1, 2, 3):
        sent = event(event_id="o-1", occurred_at=occurred_at, payload={"total": total})
        tenant.member_key.post("ingestion/track/", sent, status=202)
    assert stored(tenant, "event_id, payload") == [(uuid.uuid5(NAMESPACE, "o-1"), '{"total": 1}')]


def test_a_uuid_is_the_events_id_however_it_is_written(tenant: Tenant) -> None:
    given = uuid.uuid4()
    tenant.member_key.post("ingestion/track/", event(event_id=str(given).upper()), status=202)
    tenant.member_key.post("ingestion/track/", event(event_id=given.hex), status=202)
    assert stored(tenant, "event_id") == [(given,)]


def test_one_id_of_two_users_is_two_events(tenant: Tenant) -> None:
    for user in ("u-1", "u-2"):
        tenant.member_key.post("ingestion/track/", event(event_id="same", user_id=user, occurred_at=None), status=202)
    assert len(stored(tenant)) == 2


REFUSED = [
    ({"user_id": ""}, "user_id", "missing"),
    ({"user_id": None}, "user_id", "missing"),
    ({"user_id": "x" * 513}, "user_id", "longer than 512 characters"),
    ({"user_id": 7}, "user_id", "not text"),
    ({"user_id": "a\x00b"}, "user_id", "control characters"),
    ({"event_type": "OrderPlaced"}, "event_type", "did you mean 'order_placed'"),
    ({"event_type": "x" * 257}, "event_type", "longer than 256 characters"),
    ({"occurred_at": "yesterday"}, "occurred_at", "not a date or time"),
    ({"occurred_at": "2026-02-30"}, "occurred_at", "no such day"),
    ({"occurred_at": "9999-12-31T00:00:00Z"}, "occurred_at", "outside the years"),
    ({"occurred_at": 1767225600}, "occurred_at", "not text; write it like 2026-01-31T10:00:00Z"),
    ({"occurred_at": "9" * 101}, "occurred_at", "longer than 100 characters"),
    ({"occurred_at": "1767225600"}, "occurred_at", "write it like 2026-01-31T10:00:00Z"),
    ({"payload": [1]}, "payload", "not a JSON object"),
    ({"payload": '{"a": 1}'}, "payload", "not a JSON object"),
    ({"payload": {"a": float("nan")}}, "payload", "NaN"),
    ({"payload": {"a": "\ud800"}}, "payload", "half a surrogate pair"),
    ({"user_id": "\ud800"}, "user_id", "half a surrogate pair"),
    ({"event_id": ""}, "event_id", "empty"),
    ({"event_id": "x" * 257}, "event_id", "longer than 256 characters"),
    ({"userid": "u-1"}, "userid", "did you mean 'user_id'"),
]


@pytest.mark.parametrize(("change", "field", "reason"), REFUSED, ids=[f"{name}-{why}" for _, name, why in REFUSED])
def test_an_event_that_breaks_a_rule_is_refused_by_its_field_and_kept_as_a_dead_letter(
    tenant: Tenant, change: dict[str, Any], field: str, reason: str
) -> None:
    answer = send_text(tenant.member_key, json.dumps(event(**change)))
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()[field][0]
    assert stored(tenant) == []
    ((_, kept_field, _, kept_reason),) = letters(tenant)
    assert (kept_field, kept_reason) == (field, answer.json()[field][0])


def test_a_payload_over_256_kib_is_413_and_one_of_256_kib_is_stored(tenant: Tenant) -> None:
    fits = {"a": "x" * (256 * 1024 - len('{"a": ""}'))}
    tenant.member_key.post("ingestion/track/", event(payload=fits), status=202)
    refused = tenant.member_key.post("ingestion/track/", event(payload={"a": fits["a"] + "x"}), status=413)
    assert "256 KiB" in refused["detail"]
    assert len(stored(tenant)) == 1


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{", '{"user_id": "u"} x', '{"user_id" "u"}', "{'a': 1}", '{"a": 1,}', '{"a":' + "[" * 90_000],
)
def test_what_is_no_json_object_is_400(tenant: Tenant, body: str) -> None:
    answer = send_text(tenant.member_key, body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_body_that_is_not_utf8_is_400(tenant: Tenant) -> None:
    member = tenant.member_key
    answer = member.session.post(
        f"{member.url}/ingestion/track/", b'{"user_id": "\xff"}', headers=member.headers, timeout=60
    )
    assert (answer.status_code, "UTF-8" in answer.json()["detail"]) == (400, True)


def test_a_field_named_twice_is_refused(tenant: Tenant) -> None:
    answer = send_text(tenant.member_key, '{"user_id": "a", "event_type": "x", "user_id": "b"}')
    assert (answer.status_code, answer.json()) == (400, {"user_id": ["named twice"]})


def test_viewers_may_not_send_events(tenant: Tenant) -> None:
    tenant.viewer_key.post("ingestion/track/", event(), status=403)
    assert stored(tenant) == []


def test_events_of_a_key_go_to_its_tenant_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    tenant.member_key.post("ingestion/track/", event(), status=202)
    assert (len(stored(tenant)), len(stored(other_tenant))) == (1, 0)


def test_a_key_that_is_known_and_revoked_writes_nothing_from_then_on(api: Api, tenant: Tenant) -> None:
    made = api.catalog.people.create_key(tenant.slug, "short-lived", "secret", "member", [], OPERATOR)
    program = Caller(api.url, {"Authorization": f"ApiKey {made.key}"})
    program.post("ingestion/track/", event(), status=202)
    api.catalog.people.revoke_key(tenant.slug, made.record.id, OPERATOR)
    for _ in range(2):
        program.post("ingestion/track/", event(), status=401)
    assert len(stored(tenant)) == 1


def test_a_key_of_a_tenant_that_was_archived_meanwhile_writes_nothing(api: Api, tenant: Tenant) -> None:
    program = tenant.member_key
    program.post("ingestion/track/", event(), status=202)
    api.catalog.archive_tenant(tenant.slug)
    program.post("ingestion/track/", event(), status=401)
    assert len(stored(tenant)) == 1


def test_an_event_sent_again_reaches_what_an_insert_that_was_cut_short_did_not(tenant: Tenant) -> None:
    sent = event(event_id="o-1", occurred_at=None)
    tenant.database.command("DETACH TABLE events_to_events_by_user")
    tenant.member_key.post("ingestion/track/", sent, status=202)
    tenant.database.command("ATTACH TABLE events_to_events_by_user")
    tenant.member_key.post("ingestion/track/", sent, status=202)
    by_user = tenant.database.query("SELECT event_id, occurred_at FROM events_by_user FINAL").result_rows
    assert list(by_user) == stored(tenant, "event_id, occurred_at")
    assert len(by_user) == 1


def test_of_very_many_unknown_fields_a_few_are_told(tenant: Tenant) -> None:
    many = event(**{f"k{number}": 1 for number in range(20_000)})
    began = time.monotonic()
    answer = send_text(tenant.member_key, json.dumps(many))
    assert (answer.status_code, len(answer.json()), len(letters(tenant))) == (400, 20, 20)
    assert time.monotonic() - began < 10


def test_a_revoked_key_is_not_answered_as_it_was_before(api: Api, tenant: Tenant) -> None:
    made = api.catalog.people.create_key(tenant.slug, "short-lived", "secret", "member", [], OPERATOR)
    program = Caller(api.url, {"Authorization": f"ApiKey {made.key}"})
    program.post("ingestion/track/", event(), status=202, headers={"Idempotency-Key": "k-1"})
    api.catalog.people.revoke_key(tenant.slug, made.record.id, OPERATOR)
    program.post("ingestion/track/", event(), status=401, headers={"Idempotency-Key": "k-1"})
    program.post("ingestion/track/batch/", {"events": []}, status=401)


def test_an_event_weighs_what_it_holds() -> None:
    sent = one_event(json.dumps(event(event_id="i" * 200, user_id="u" * 500)).encode())
    assert sent.size() > 700
    assert one_event(json.dumps(event(occurred_at="9" * 200_000)).encode()).faults


def test_what_is_longer_than_any_event_is_413_unread(tenant: Tenant) -> None:
    answer = send_text(tenant.member_key, "{" + " " * (512 * 1024))
    assert (answer.status_code, "longer than 524288 bytes" in answer.json()["detail"]) == (413, True)
