"""Event schemas: kept, proposed, tried, and applied to events."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.test_tracking import event, letters, send_text, stored

ORDER = {
    "event_type": "order_placed",
    "properties": [
        {"name": "total", "type": "number", "required": True},
        {"name": "gift", "type": "boolean", "required": False},
        {"name": "note", "type": "string", "required": False},
    ],
}


def test_a_schema_is_made_read_changed_and_deleted(tenant: Tenant) -> None:
    made = tenant.member_key.post("schemas/", ORDER, status=201)
    assert {name: made[name] for name in ("event_type", "properties")} == ORDER
    path = f"schemas/{made['id']}/"
    assert tenant.viewer_key.get(path) == made
    assert tenant.viewer_key.get("schemas/")["results"] == [made]
    changed = tenant.member_key.call("PATCH", path, {"description": "Orders"})
    assert (changed["description"], changed["properties"]) == ("Orders", ORDER["properties"])
    replaced = tenant.member_key.call("PUT", path, {"event_type": "order_paid", "properties": []})
    assert (replaced["event_type"], replaced["description"], replaced["properties"]) == ("order_paid", "", [])
    tenant.member_key.call("DELETE", path, status=204)
    tenant.viewer_key.get(path, status=404)


def test_an_event_type_has_one_schema(tenant: Tenant) -> None:
    first = tenant.member_key.post("schemas/", ORDER, status=201)
    assert str(first["id"]) in tenant.member_key.post("schemas/", ORDER, status=409)["detail"]
    other = tenant.member_key.post("schemas/", {"event_type": "x", "properties": []}, status=201)
    tenant.member_key.call("PATCH", f"schemas/{other['id']}/", {"event_type": "order_placed"}, status=409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"event_type": "Order Placed", "properties": []}, "event_type"),
        ({"event_type": "x\n", "properties": []}, "event_type"),
        ({"event_type": "x", "properties": [{"name": "a", "type": "int"}]}, "properties[0].type"),
        ({"event_type": "x", "properties": [{"name": "", "type": "string"}]}, "properties[0].name"),
        ({"event_type": "x", "properties": [{"name": "a", "type": "string"}] * 2}, "detail"),
        ({"event_type": "x"}, "properties"),
    ],
)
def test_a_schema_that_is_none_is_refused_by_its_field(tenant: Tenant, body: dict[str, Any], field: str) -> None:
    assert field in tenant.member_key.post("schemas/", body, status=400)


def test_viewers_may_not_change_schemas(tenant: Tenant) -> None:
    tenant.viewer_key.post("schemas/", ORDER, status=403)


def test_an_event_without_what_its_schema_requires_is_dropped_and_said(tenant: Tenant) -> None:
    tenant.member_key.post("schemas/", ORDER, status=201)
    events = [event(payload={}), event(payload={"total": None}), event(payload={"total": 1}), event(event_type="other")]
    answer = tenant.member_key.post("ingestion/track/batch/", {"events": events}, status=202)
    assert (answer["queued"], answer["skipped"]) == (2, 2)
    assert [(each["index"], each["field"]) for each in answer["errors"]] == [(0, "payload.total"), (1, "payload.total")]
    assert [name for _, name, _, _ in letters(tenant)] == ["payload.total"] * 2
    refused = tenant.member_key.post("ingestion/track/", event(payload={"gift": True}), status=400)
    assert "requires" in refused["payload.total"][0]


def test_numbers_and_booleans_in_text_become_such_and_all_else_stays_as_written(tenant: Tenant) -> None:
    tenant.member_key.post("schemas/", ORDER, status=201)
    payload = '{ "total" : "42.50", "gift": "True", "note": 7, "more": "1",  "n": 1.10, "total": "1e400", "total":"x"}'
    send_text(tenant.member_key, json.dumps(event(payload=0)).replace('"payload": 0', f'"payload": {payload}'))
    kept = '{ "total" : 42.50, "gift": true, "note": 7, "more": "1",  "n": 1.10, "total": "1e400", "total":"x"}'
    assert stored(tenant, "payload") == [(kept,)]


def test_a_change_of_a_schema_holds_from_the_next_event_on(tenant: Tenant) -> None:
    track = "ingestion/track/"
    tenant.member_key.post(track, event(payload={}), status=202)
    made = tenant.member_key.post("schemas/", ORDER, status=201)
    tenant.member_key.post(track, event(payload={}), status=400)
    tenant.member_key.call("PATCH", f"schemas/{made['id']}/", {"properties": []})
    tenant.member_key.post(track, event(payload={}), status=202)
    tenant.member_key.call("PATCH", f"schemas/{made['id']}/", {"properties": ORDER["properties"]})
    tenant.member_key.post(track, event(payload={}), status=400)
    tenant.member_key.call("DELETE", f"schemas/{made['id']}/", status=204)
    tenant.member_key.post(track, event(payload={}), status=202)


def test_schemas_are_proposed_from_examples(tenant: Tenant) -> None:
    examples = [
        event(payload={"total": 1, "at": "2026-01-01", "gift": True, "tags": [], "o": {}, "mixed": 1, "code": "a"}),
        event(payload={"total": 1.5, "at": "2026-01-01T10:00:00Z", "tags": [1], "mixed": "b", "code": None}),
        event(event_type="empty", payload={}),
    ]
    order, empty = tenant.viewer_key.post("schemas/infer/", {"events": examples})["schemas"][::-1]
    assert (empty["event_type"], empty["properties"]) == ("empty", [])
    assert (order["event_type"], order["events"]) == ("order_placed", 2)
    assert [(each["name"], each["type"], each["required"]) for each in order["properties"]] == [
        ("at", "datetime", True),
        ("code", "string", False),
        ("gift", "boolean", False),
        ("mixed", "string", True),
        ("tags", "array", True),
        ("total", "number", True),
    ]


def test_a_payload_can_be_tried(tenant: Tenant) -> None:
    made = tenant.member_key.post("schemas/", ORDER, status=201)
    trial = {"event_type": "order_placed", "payload": {"gift": "false", "note": [1], "more": 1}}
    verdict = tenant.viewer_key.post("schemas/validate/", trial)
    assert (verdict["valid"], verdict["schema_id"], verdict["coerced"]) == (False, made["id"], ["gift"])
    assert [each["property"] for each in verdict["errors"]] == ["total"]
    assert [each["property"] for each in verdict["warnings"]] == ["note"]
    assert tenant.viewer_key.post("schemas/validate/", {**trial, "payload": {"total": 1}})["valid"]
    free = tenant.viewer_key.post("schemas/validate/", {**trial, "event_type": "other"})
    assert (free["valid"], free["schema_id"]) == (True, None)


def test_schemas_belong_to_their_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    made = tenant.member_key.post("schemas/", ORDER, status=201)
    other_tenant.member_key.get(f"schemas/{made['id']}/", status=404)
    other_tenant.member_key.post("ingestion/track/", event(payload={}), status=202)


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_a_description_is_text_that_every_database_keeps(tenant: Tenant, text: str) -> None:
    body = {"event_type": "x", "properties": [], "description": text}
    assert "description" in tenant.member_key.post("schemas/", body, status=400)


def test_a_proposal_from_very_many_texts_takes_no_time_to_speak_of(tenant: Tenant) -> None:
    payload = {f"k{number}": "2026-01-01" if number % 2 else f"text {number}" for number in range(20_000)}
    began = time.monotonic()
    (found,) = tenant.viewer_key.post("schemas/infer/", {"events": [event(payload=payload)]})["schemas"]
    assert time.monotonic() - began < 3
    assert len(found["properties"]) == 200
    assert {each["type"] for each in found["properties"]} == {"datetime", "string"}
