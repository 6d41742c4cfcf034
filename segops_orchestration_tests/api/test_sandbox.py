"""The sandbox through the published client: what one more event would do, and that nothing of it stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from segops_admin import SegOpsAdmin

from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.explored import NOW, client, event, orders, story


@pytest.fixture
def admin(tenant: Tenant) -> SegOpsAdmin:
    told = story(tenant)
    told.define({"regulars": orders(2), "newcomers": orders(1, "eq"), "watchers": orders(5)})
    told.ingest([event("ada")])
    told.compute()
    return client(tenant, "viewer")


def test_an_event_says_which_segments_the_user_would_enter_and_leave(tenant: Tenant, admin: SegOpsAdmin) -> None:
    answer = admin.users.publish_sandbox({"user_id": "ada", "event_type": "order_placed", "payload": {"total": 5}})
    ids = {one.slug: one.id for one in tenant.api.catalog.list_segments(tenant.slug)}
    assert answer == {
        "published": True,
        "entered": [{"id": ids["regulars"], "name": "regulars"}],
        "exited": [{"id": ids["newcomers"], "name": "newcomers"}],
        "unchanged_count": 1,
    }


def test_somebody_without_any_event_enters_too(admin: SegOpsAdmin) -> None:
    answer = admin.users.publish_sandbox({"user_id": "new", "event_type": "order_placed", "payload": {}})
    assert [one["name"] for one in answer["entered"]] == ["newcomers"]


def test_nothing_is_stored(tenant: Tenant, admin: SegOpsAdmin) -> None:
    for _ in range(2):
        answer = admin.users.publish_sandbox({"user_id": "ada", "event_type": "order_placed", "payload": {}})
        assert [one["name"] for one in answer["entered"]] == ["regulars"]
    tenant.viewer_key.get("explorer/users/new/", status=404)
    assert admin.users.get("ada")["event_count"] == 1
    assert story(tenant).compute().segments[0].entered == 0


def test_an_event_of_the_past_counts_by_its_own_time(tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(tenant).define({"lately": orders(1, window_days=7)})
    old = {"user_id": "cleo", "event_type": "order_placed", "payload": {}}
    old["occurred_at"] = (NOW - timedelta(days=30)).isoformat()
    assert "lately" not in [one["name"] for one in admin.users.publish_sandbox(old)["entered"]]
    new = {**old, "occurred_at": NOW.isoformat()}
    assert "lately" in [one["name"] for one in admin.users.publish_sandbox(new)["entered"]]


def test_the_schema_of_the_type_is_applied_as_when_it_is_tracked(tenant: Tenant, admin: SegOpsAdmin) -> None:
    total = {"name": "total", "type": "number", "required": True}
    tenant.member_key.post("schemas/", {"event_type": "order_placed", "properties": [total]}, status=201)
    condition = {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum"}
    rich = {"logic": "AND", "conditions": [{**condition, "operator": "gte", "value": 100}]}
    story(tenant).define({"rich": rich})
    tried = {"user_id": "ada", "event_type": "order_placed", "payload": {"total": "150"}}
    assert "rich" in [one["name"] for one in admin.users.publish_sandbox(tried)["entered"]]
    answer = tenant.viewer_key.post("explorer/sandbox/publish/", {**tried, "payload": {}}, status=400)
    assert list(answer) == ["payload.total"]


def test_an_event_of_a_joined_id_is_the_person_s(tenant: Tenant, admin: SegOpsAdmin) -> None:
    tenant.member_key.post("identity/alias/", {"anonymous_id": "device-1", "user_id": "ada"})
    answer = admin.users.publish_sandbox({"user_id": "device-1", "event_type": "order_placed", "payload": {}})
    assert [one["name"] for one in answer["entered"]] == ["regulars"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"user_id": ""}, "user_id"),
    ({"user_id": "x" * 513}, "user_id"),
    ({"event_type": "Order Placed"}, "event_type"),
    ({"occurred_at": "soon"}, "occurred_at"),
    ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
    ({"occurred_at": "9999-12-31T23:59:59Z"}, "occurred_at"),
    ({"payload": []}, "payload"),
    ({"payload": {"text": "x" * 300_000}}, "payload"),
    ({"payload": {"half": "\ud800"}}, "payload"),
    ({"more": 1}, "more"),
]


def test_what_is_wrong_is_said_by_its_path(tenant: Tenant) -> None:
    for body, path in WRONG:
        whole = {"user_id": "ada", "event_type": "order_placed", "payload": {}, **body}
        assert path in tenant.viewer_key.post("explorer/sandbox/publish/", whole, status=400)
    beyond = b'{"user_id": "ada", "event_type": "x", "payload": {"n": 1e999}}'
    answer = tenant.viewer_key.post(
        "explorer/sandbox/publish/", data=beyond, headers={"Content-Type": "application/json"}, status=400
    )
    assert "payload" in answer
