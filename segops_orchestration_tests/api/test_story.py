"""The whole story, told by the two published clients as they are: segops sends events, segops_admin does the rest.

What neither of them wraps (logging in, keys, teams, downloads) is called as docs/api.md shows.
"""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet
import pytest
import requests
import segops
from segops_admin import SegOpsAdmin, SegOpsApiError

from segops_orchestration_tests.api.calling import Api, Caller, Tenant
from segops_orchestration_tests.api.people import account
from segops_orchestration_tests.api.test_exports import waited

_NOW = datetime.now(UTC)
_SECONDS = 90.0

# One of each kind of condition, and who is in.
CONDITIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "ordered": (
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2},
        {"ada"},
    ),
    "recent": (
        {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 5},
        {"ada"},
    ),
    "spenders": (
        {
            "type": "monetary",
            "event_type": "order_placed",
            "property": "total",
            "metric": "sum",
            "operator": "gte",
            "value": 50,
        },
        {"ada", "ben"},
    ),
    "last-large": (
        {"type": "event_property", "event_type": "order_placed", "property": "total", "operator": "gt", "value": 45},
        {"ben"},
    ),
    "oslo": (
        {"type": "user_property", "property": "city", "operator": "eq", "value": "Oslo"},
        {"ada", "cleo"},
    ),
    "carted-then-ordered": (
        {"type": "event_sequence", "events": ["cart_updated", "order_placed"], "window_days": 30},
        {"ben"},
    ),
    "new-customers": (
        {"type": "first_event", "event_type": "order_placed", "window_days": 15},
        {"ben"},
    ),
    "steady": (
        {
            "type": "regularity",
            "event_type": "order_placed",
            "period": {"last": 15, "unit": "day"},
            "periods": 2,
            "min_periods": 2,
            "operator": "gte",
            "value": 1,
        },
        {"ada"},
    ),
    "not-for-a-week": (
        {
            "type": "property_held",
            "property": "city",
            "operator": "eq",
            "value": "Oslo",
            "at_least": {"last": 7, "unit": "day"},
        },
        {"ada"},
    ),
    "spenders-too": (
        {"type": "segment_membership", "segment_id": "spenders", "operator": "in"},
        {"ada", "ben"},
    ),
    "neither": (
        {
            "type": "group",
            "logic": "AND",
            "conditions": [
                {
                    "type": "not",
                    "condition": {
                        "type": "event_count",
                        "event_type": "order_placed",
                        "operator": "gte",
                        "value": 1,
                    },
                }
            ],
        },
        {"cleo"},
    ),
}

# Each is a process of its own, so not all of them; previews have counted every one.
COMPUTED = ("spenders", "spenders-too", "carted-then-ordered", "not-for-a-week")


def days_ago(days: float) -> str:
    return (_NOW - timedelta(days=days)).isoformat()


def send_events(api: Api, key: str) -> None:
    """By the client for events: one by one, then in a batch of which one is bad."""
    url = api.url.removesuffix("/api")
    failures: list[BaseException] = []
    with segops.SegOpsClient(url, key, batch=False, on_error=failures.append) as single:
        single.track(
            user_id="ada", event_type="order_placed", occurred_at=days_ago(20), payload={"total": 30, "sku": "a-1"}
        )
    with segops.SegOpsClient(url, key, on_error=failures.append) as batching:
        order = {"user_id": "ada", "event_type": "order_placed"}
        batching.track({**order, "occurred_at": days_ago(1), "payload": {"total": 40, "sku": "b-2"}})
        batching.track(user_id="ben", event_type="cart_updated", occurred_at=days_ago(11))
        batching.track(
            user_id="ben", event_type="order_placed", occurred_at=days_ago(10), payload={"total": 50, "sku": "a-1"}
        )
        # The schema wants a total.
        batching.track(user_id="cleo", event_type="order_placed", occurred_at=days_ago(1), payload={"sku": "a-1"})
        batching.track(
            user_id="ada",
            event_type="context_identified",
            occurred_at=days_ago(30),
            payload={"city": "Oslo", "email": "ada@example.com"},
        )
        batching.identify(user_id="cleo", traits={"city": "Oslo"})
    assert failures == []


def computed(admin: SegOpsAdmin, segment_id: int) -> dict[str, Any]:
    """Compute a segment and wait for the end."""
    asked = admin.segments.recompute(segment_id)
    assert asked["status"] == "queued"
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        runs = admin.http.request("GET", f"/segments/{segment_id}/computations/")["results"]
        segment: dict[str, Any] = admin.segments.get(segment_id)
        mine = [run for run in runs if run["run_id"] == asked["run_id"]]
        if mine and mine[0]["status"] in ("succeeded", "failed") and segment["status"] != "computing":
            assert mine[0]["status"] == "succeeded", mine
            return segment
        time.sleep(0.1)
    raise AssertionError(f"{asked} has not ended")


def make_segments(admin: SegOpsAdmin) -> dict[str, int]:
    """A segment of each kind of condition; their ids by slug."""
    ids = {}
    for slug, (condition, _) in CONDITIONS.items():
        definition = {"logic": "AND", "conditions": [condition]}
        made = admin.segments.create({"name": slug, "slug": slug, "definition": definition})
        assert (made["slug"], made["status"]) == (slug, "draft")
        ids[slug] = made["id"]
    return ids


def members(admin: SegOpsAdmin, segment_id: int) -> set[str]:
    """All members, page by page."""
    found: set[str] = set()
    cursor = None
    while True:
        page = admin.segments.members(segment_id, {"limit": 1, "cursor": cursor})
        found |= {one["user_id"] for one in page["results"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def downloaded(tenant: Tenant, admin: SegOpsAdmin, segment_id: int, fmt: str) -> list[str]:
    """The user ids of an export."""
    export = waited(tenant, segment_id, admin.segments.export(segment_id, format=fmt)["export_id"])
    content = requests.get(export["download_url"], timeout=60).content
    if fmt == "csv":
        return [row["user_id"] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    users: list[str] = pyarrow.parquet.read_table(io.BytesIO(content)).column("user_id").to_pylist()
    return users


def test_the_published_clients_tell_the_whole_story(api: Api, tenant: Tenant) -> None:
    owner = account(api, tenant, "owner").caller()
    made = owner.post("auth/api-keys/", {"name": "story", "tenant_slug": tenant.slug}, status=201)
    admin = SegOpsAdmin(made["key"], base_url=api.url, max_retries=0)

    admin.schemas.create(
        {
            "event_type": "order_placed",
            "properties": [
                {"name": "total", "type": "number", "required": True},
                {"name": "sku", "type": "string", "required": False},
            ],
        }
    )
    assert admin.schemas.validate("order_placed", {"sku": "a-1"})["valid"] is False
    send_events(api, made["key"])

    ids = make_segments(admin)
    for slug, (condition, expected) in CONDITIONS.items():
        if slug == "spenders-too":
            continue
        preview = admin.segments.preview({"logic": "AND", "conditions": [condition]})
        assert (slug, preview["matched_users"]) == (slug, len(expected))
    for slug in COMPUTED:
        segment_id, expected = ids[slug], CONDITIONS[slug][1]
        assert computed(admin, segment_id)["member_count"] == len(expected), slug
        assert members(admin, segment_id) == expected, slug

    spenders = ids["spenders"]
    assert {one["slug"] for one in admin.segments.membership("ben")["segments"]} == {
        slug for slug in COMPUTED if "ben" in CONDITIONS[slug][1]
    }
    looks_at_versions(admin, spenders)
    explores(admin, spenders)
    assert downloaded(tenant, admin, spenders, "csv") == ["ada", "ben"]
    assert downloaded(tenant, admin, spenders, "parquet") == ["ada", "ben"]
    activates(admin, spenders)
    assert admin.analytics.overview()["segment_count"] == len(CONDITIONS)
    runs_a_team(api, tenant, owner)

    owner.call("DELETE", f"auth/api-keys/{made['id']}/", status=204)
    with pytest.raises(SegOpsApiError) as refused:
        admin.segments.list()
    assert refused.value.status == 401


def looks_at_versions(admin: SegOpsAdmin, segment_id: int) -> None:
    """A new definition is a new version; the first one comes back as the third."""
    first = admin.segments.get(segment_id)["definition"]
    condition = {**first["conditions"][0], "value": 60}
    admin.segments.update(segment_id, {"definition": {**first, "conditions": [condition]}})
    assert [one["version"] for one in admin.segments.versions(segment_id)] == [2, 1]
    admin.http.request("POST", f"/segments/{segment_id}/versions/1/restore/")
    assert admin.segments.get(segment_id)["definition"] == first
    assert [one["version"] for one in admin.segments.versions(segment_id)] == [3, 2, 1]


def explores(admin: SegOpsAdmin, segment_id: int) -> None:
    """Who is there, why they are in, and what one more event would do."""
    assert admin.users.search({"q": "ad"})["results"][0]["user_id"] == "ada"
    assert admin.users.get("ada")["properties"]["city"] == "Oslo"
    assert admin.users.events("ada", {"event_type": "order_placed"})
    [condition] = admin.users.explain("ben", segment_id)
    assert (condition["index"], condition["type"], condition["matches"]) == (0, "monetary", True)
    would = admin.users.publish_sandbox({"user_id": "cleo", "event_type": "order_placed", "payload": {"total": 70}})
    assert "spenders" in {one["name"] for one in would["entered"]}
    assert "cleo" not in members(admin, segment_id)


def activates(admin: SegOpsAdmin, segment_id: int) -> None:
    """A connector's secrets go in and never come out."""
    config = {"url": "https://example.com/hook", "secret": "a secret of the story"}
    activation = admin.activations.create({"segment": segment_id, "connector_type": "webhook", "config": config})
    assert activation["config"]["secret"] == "***"
    assert activation["status"] == "inactive"
    echoed = admin.activations.update(activation["id"], {"config": activation["config"]})
    assert echoed["config"] == {"url": "https://example.com/hook", "secret": "***"}
    assert "a secret of the story" not in str(admin.activations.list())


def runs_a_team(api: Api, tenant: Tenant, owner: Caller) -> None:
    """A viewer reads and changes nothing; as a member they do."""
    viewer = account(api, tenant, "viewer", "reader")
    caller = viewer.caller()
    caller.get("segments/")
    mine = {"name": "mine", "definition": {"logic": "AND", "conditions": [CONDITIONS["oslo"][0]]}}
    caller.post("segments/", mine, status=403)
    [place] = [one for one in owner.get("team/")["results"] if one["email"] == viewer.email]
    owner.call("PATCH", f"team/{place['id']}/", {"role": "member"})
    assert caller.post("segments/", mine, status=201)["status"] == "draft"
