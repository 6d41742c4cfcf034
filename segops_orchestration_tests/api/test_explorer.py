"""The explorer: users found, looked at and explained, through the published client and over HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest
from segops_admin import SegOpsAdmin
from segops_admin._types import QueryValue

from segops_orchestration.api.slots import user_looks
from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.explored import NOW, client, event, orders, story

STRANGE_IDS = (
    "a/b",
    "a/segments",
    "a/events",
    "a/segments/1/explain",
    "/",
    "//",
    ".",
    "..",
    "a%2Fb",
    "100%",
    "a b+c?d#e&f=g",
    "ünïcødé 🦄",
    "tab\tline\nquote'\"\\",
    "\x00nul",
    "segments",
    "x" * 512,
)


@pytest.fixture
def admin(tenant: Tenant) -> SegOpsAdmin:
    return client(tenant)


def found(admin: SegOpsAdmin, **params: QueryValue) -> list[str]:
    return [user["user_id"] for user in admin.users.search(params)["results"]]


def test_users_are_listed_by_id_with_their_events_and_times(tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(tenant).ingest(
        [event("ben", ago=timedelta(days=3)), event("ada", ago=timedelta(days=2)), event("ben", "page_viewed")]
    )
    answer = admin.users.search()
    assert answer["count"] == 2
    assert [(user["user_id"], user["event_count"]) for user in answer["results"]] == [("ada", 1), ("ben", 2)]
    ben = answer["results"][1]
    assert ben["first_seen"] == (NOW - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ben["last_seen"] == (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_part_of_the_id_finds_those_beginning_with_it_first_and_the_id_itself_before_all(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    story(tenant).ingest([event(user) for user in ("joanna", "ann", "anna", "ANNIE", "bob")])
    assert found(admin, q="ann") == ["ann", "ANNIE", "anna", "joanna"]
    assert admin.users.search({"q": "ann", "limit": 2})["count"] == 4
    assert found(admin, q="ann", limit=2) == ["ann", "ANNIE"]


def test_signs_of_patterns_and_of_sql_are_looked_for_as_they_are(tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(tenant).ingest([event(user) for user in ("100%", "a_b", "axb", "it's", "c\\d")])
    assert found(admin, q="%") == ["100%"]
    assert found(admin, q="_") == ["a_b"]
    assert found(admin, q="'") == ["it's"]
    assert found(admin, q="\\") == ["c\\d"]


def test_a_redelivered_event_counts_once(tenant: Tenant, admin: SegOpsAdmin) -> None:
    twice = event("ada", payload={"n": 1}, name="once")
    story(tenant).ingest([twice])
    story(tenant).ingest([twice])
    assert admin.users.search()["results"][0]["event_count"] == 1
    assert admin.users.get("ada")["event_count"] == 1
    answer = admin.users.events("ada")
    assert (answer["count"], len(answer["results"])) == (1, 1)


def test_a_user_has_counts_by_type_and_the_properties_last_identified(tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(tenant).ingest(
        [
            event("ada"),
            event("ada"),
            event("ada", "context_identified", {"country": "FR"}, ago=timedelta(days=9)),
            event("ada", "context_identified", {"country": "DE", "tags": ["x"]}),
        ]
    )
    ada = admin.users.get("ada")
    assert (ada["event_count"], ada["event_type_count"]) == (4, 2)
    assert ada["event_types"] == {"context_identified": 2, "order_placed": 2}
    assert ada["properties"] == {"country": "DE", "tags": ["x"]}


def test_nobody_is_404_everywhere(tenant: Tenant) -> None:
    story(tenant).define({"buyers": orders(1)})
    segment = tenant.api.catalog.get_segment(tenant.slug, "buyers").id
    for path in ("", "events/", "segments/", f"segments/{segment}/explain/"):
        assert tenant.viewer_key.get(f"explorer/users/nobody/{path}", status=404)["detail"]


def test_any_id_that_events_may_have_is_found_by_each_route(tenant: Tenant, admin: SegOpsAdmin) -> None:
    told = story(tenant)
    told.define({"buyers": orders(1)})
    told.ingest([event(user) for user in STRANGE_IDS])
    told.compute()
    segment = tenant.api.catalog.get_segment(tenant.slug, "buyers").id
    for user in STRANGE_IDS:
        assert admin.users.get(user)["user_id"] == user
        assert admin.users.events(user)["count"] == 1
        assert [one["segment_id"] for one in admin.users.segments(user)] == [segment]
        assert admin.users.explain(user, segment)[0]["matches"] is True
        assert found(admin, q=user)[0] == user


def test_a_slash_that_was_not_quoted_is_taken_as_part_of_the_id(tenant: Tenant) -> None:
    story(tenant).ingest([event("a/b")])
    assert tenant.viewer_key.get("explorer/users/a/b/")["user_id"] == "a/b"
    assert tenant.viewer_key.get("explorer/users/a/b/events/")["count"] == 1


def test_events_come_newest_first_and_can_be_narrowed(tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(tenant).ingest(
        [event("ada", payload={"n": days}, ago=timedelta(days=days)) for days in (3, 1, 2)]
        + [event("ada", "page_viewed", ago=timedelta(days=4))]
    )

    def numbers(**params: QueryValue) -> list[int | None]:
        return [one["payload"].get("n") for one in admin.users.events("ada", params)["results"]]

    assert numbers() == [1, 2, 3, None]
    assert numbers(event_type="order_placed", limit=2) == [1, 2]
    assert numbers(event_type="no_such_event") == []
    assert numbers(since=(NOW - timedelta(days=2)).isoformat()) == [1, 2]
    assert numbers(since=(NOW - timedelta(days=2)).date().isoformat()) == [1, 2]


def test_a_time_that_is_none_is_refused_by_name(tenant: Tenant) -> None:
    for since in ("yesterday", "2026-13-01", "", "٢٠٢٦-01-01x", "0001-01-01T00:00:00+14:00"):
        answer = tenant.viewer_key.get("explorer/users/ada/events/", params={"since": since}, status=400)
        assert "since" in answer


def test_the_ends_of_the_calendar_are_times(tenant: Tenant) -> None:
    story(tenant).ingest([event("ada")])
    for since, count in (("0001-01-01", 1), ("9999-12-31T23:59:59Z", 0)):
        assert tenant.viewer_key.get("explorer/users/ada/events/", params={"since": since})["count"] == count


def test_a_page_of_large_events_is_cut_short_and_still_has_one(tenant: Tenant, admin: SegOpsAdmin) -> None:
    large = {"text": "x" * 250_000}
    story(tenant).ingest([event("ada", payload=large, ago=timedelta(hours=hours)) for hours in range(1, 31)])
    answer = admin.users.events("ada", {"limit": 200})
    assert answer["count"] == 30
    assert 1 <= len(answer["results"]) < 20


def test_segments_of_a_user_say_how_many_are_in_and_since_when(tenant: Tenant, admin: SegOpsAdmin) -> None:
    told = story(tenant)
    told.define({"buyers": orders(1), "regulars": orders(2), "never-computed": orders(1)})
    told.ingest([event("ada"), event("ada"), event("ben")])
    told.compute(segments=["buyers", "regulars"])
    segments = admin.users.segments("ada")
    assert [(one["segment_name"], one["member_count"]) for one in segments] == [("buyers", 2), ("regulars", 1)]
    assert all(one["computed_at"] for one in segments)
    assert [one["segment_name"] for one in admin.users.segments("ben")] == ["buyers"]


def test_every_condition_of_a_nested_definition_is_explained_in_document_order(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    told = story(tenant)
    told.define(
        {
            "nested": {
                "logic": "AND",
                "conditions": [
                    orders(2)["conditions"][0],
                    {
                        "type": "group",
                        "logic": "OR",
                        "conditions": [
                            {"type": "not", "condition": orders(1)["conditions"][0]},
                            {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 30},
                        ],
                    },
                    {"type": "user_property", "property": "country", "operator": "eq", "value": "DE"},
                ],
            }
        }
    )
    told.ingest([event("ada"), event("ada"), event("ada", "context_identified", {"country": "FR"})])
    segment = tenant.api.catalog.get_segment(tenant.slug, "nested").id
    rows = admin.users.explain("ada", segment)
    assert [row["index"] for row in rows] == list(range(6))
    assert [
        (row["type"], row["actual_value"], row["threshold"], row["matches"]) for row in rows if row["type"] != "recency"
    ] == [
        ("event_count", 2, 2, True),
        ("group", None, None, True),
        ("not", None, None, False),
        ("event_count", 2, 1, True),
        ("user_property", "FR", "DE", False),
    ]
    recency = rows[4]
    assert (recency["threshold"], recency["matches"]) == (30, True)
    assert 1 <= recency["actual_value"] < 1.1
    assert recency["flips_at"]
    assert recency["decided_by"][0]["event_type"] == "order_placed"
    assert rows[0]["label"] == "at least 2 order_placed"


def test_conditions_of_a_referenced_segment_are_explained_too(tenant: Tenant, admin: SegOpsAdmin) -> None:
    told = story(tenant)
    told.define({"buyers": orders(1)})
    told.define(
        {
            "not-buyers": {
                "logic": "AND",
                "conditions": [{"type": "segment_membership", "segment_id": "buyers", "operator": "not_in"}],
            }
        }
    )
    told.ingest([event("ada")])
    rows = admin.users.explain("ada", tenant.api.catalog.get_segment(tenant.slug, "not-buyers").id)
    assert [(row["type"], row["actual_value"], row["threshold"], row["matches"]) for row in rows] == [
        ("segment_membership", True, False, False),
        ("event_count", 1, 1, True),
    ]


def test_users_of_another_tenant_are_nobody_here(tenant: Tenant, other_tenant: Tenant) -> None:
    story(other_tenant).ingest([event("ada")])
    for path in ("explorer/users/ada/", "explorer/users/ada/segments/", "explorer/users/ada/events/"):
        tenant.viewer_key.get(path, status=404)
        other_tenant.viewer_key.get(path)


def test_a_segment_of_another_tenant_is_404(tenant: Tenant, other_tenant: Tenant) -> None:
    story(tenant).ingest([event("ada")])
    story(other_tenant).define({"buyers": orders(1)})
    theirs = other_tenant.api.catalog.get_segment(other_tenant.slug, "buyers").id
    tenant.viewer_key.get(f"explorer/users/ada/segments/{theirs}/explain/", status=404)


def test_numbers_that_are_none_are_refused_by_name(tenant: Tenant) -> None:
    for number in ("0", "-1", str(2**31), str(2**200), "x", "1.5"):
        assert "segment_id" in tenant.viewer_key.get(f"explorer/users/ada/segments/{number}/explain/", status=400)
    for limit in ("0", "201", "x", str(2**70)):
        assert "limit" in tenant.viewer_key.get("explorer/users/", params={"limit": limit}, status=400)


def test_a_tenant_looks_at_so_many_users_at_once(tenant: Tenant, other_tenant: Tenant) -> None:
    with ExitStack() as under_way:
        for _ in range(4):
            under_way.enter_context(user_looks.taken(tenant.slug))
        refused = tenant.viewer_key.send("GET", "explorer/users/?q=a")
        assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
        tried = {"user_id": "ada", "event_type": "order_placed", "payload": {}}
        tenant.viewer_key.post("explorer/sandbox/publish/", tried, status=429)
        other_tenant.viewer_key.get("explorer/users/?q=a")
    tenant.viewer_key.get("explorer/users/?q=a")
