"""Members, membership, changes, previews and estimates: one number, however it is asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from segops_orchestration.proposals import preview as preview_module
from segops_orchestration_tests.api.calling import OPERATOR, Tenant
from segops_orchestration_tests.api.segment_shop import computed, give_orders, made, spent, within

_ORDERS = [(f"user-{number:03}", float(number)) for number in range(30)]


def test_preview_estimate_list_and_members_agree(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    segment = made(tenant, spent(10))
    caller = tenant.viewer_key
    previewed = caller.post("segments/preview/", {"definition": spent(10), "limit": 3})
    assert (previewed["matched_users"], previewed["sample_user_ids"]) == (20, ["user-010", "user-011", "user-012"])
    assert caller.post(f"segments/{segment['id']}/estimate/") == {"matched_users": 20, "sampled": False}
    assert caller.get(f"segments/{segment['id']}/members/") == {"results": [], "next_cursor": None}
    computed(tenant)
    assert caller.get("segments/")["results"][0]["member_count"] == 20
    assert len(caller.get(f"segments/{segment['id']}/members/")["results"]) == 20


def test_the_sql_of_a_preview_can_be_read_and_holds_values_safely(tenant: Tenant) -> None:
    definition = spent(12.5)
    definition["conditions"][0]["event_type"] = "it's"
    sql = tenant.viewer_key.post("segments/preview/", {"definition": definition})["sql"]
    assert r"'it\'s'" in sql
    assert "12.5" in sql
    assert "{" not in sql


def test_a_preview_evaluates_the_segments_that_it_refers_to(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    made(tenant, spent(25), "Base")
    assert tenant.viewer_key.post("segments/preview/", {"definition": within("base")})["matched_users"] == 5
    answer = tenant.viewer_key.post("segments/preview/", {"definition": within("bass")}, status=400)
    assert "base" in answer["definition.conditions[0].segment_id"][0]


def test_a_preview_stores_nothing(tenant: Tenant) -> None:
    tenant.viewer_key.post("segments/preview/", {"definition": spent(1)})
    assert tenant.viewer_key.get("segments/?is_active=all")["count"] == 0


def test_of_many_users_an_estimate_looks_at_a_part(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    give_orders(tenant, [(f"user-{number}", float(number % 2)) for number in range(4000)])
    segment = made(tenant, spent(1))
    monkeypatch.setattr(preview_module, "COUNTED_USERS", 1000)
    found = tenant.viewer_key.post(f"segments/{segment['id']}/estimate/")
    assert found["sampled"] is True
    assert found["matched_users"] == pytest.approx(2000, rel=0.15)


def test_a_preview_that_takes_too_long_is_refused_with_advice(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "SELECT sum(sleepEachRow(1)), [''] FROM numbers(3) SETTINGS max_block_size = 1 /* {sample} {members} */"
    monkeypatch.setattr(preview_module, "_COUNT", slow)
    monkeypatch.setattr(preview_module, "MAX_SECONDS", 1)
    answer = tenant.viewer_key.post("segments/preview/", {"definition": spent(1)}, status=400)
    assert "longer" in answer["detail"]


def test_all_parts_of_a_preview_together_have_that_time(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    part = "SELECT sum(sleepEachRow(0.3)), [''] FROM numbers(1) /* {sample} {members} */"
    monkeypatch.setattr(preview_module, "_COUNT", part)
    monkeypatch.setattr(preview_module, "first_buckets", lambda *_: 8)
    monkeypatch.setattr(preview_module, "MAX_SECONDS", 1)
    tenant.viewer_key.post("segments/preview/", {"definition": spent(1)}, status=400)


def test_members_come_page_by_page_each_once_in_order(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    path = f"segments/{made(tenant, spent(5))['id']}/members/"
    computed(tenant)
    seen: list[str] = []
    page = tenant.viewer_key.get(f"{path}?limit=10")
    while True:
        seen += [one["user_id"] for one in page["results"]]
        if page["next_cursor"] is None:
            break
        page = tenant.viewer_key.get(f"{path}?limit=10&cursor={quote(page['next_cursor'])}")
    assert seen == [user for user, total in _ORDERS if total >= 5]
    assert page["results"][-1]["computed_at"]


def test_a_cursor_is_good_for_its_own_list_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    for one in (tenant, other_tenant):
        give_orders(one, _ORDERS)
    segment, second = made(tenant, spent(1)), made(tenant, spent(2), "Second")
    foreign = made(other_tenant, spent(1))
    computed(tenant)
    cursor = tenant.viewer_key.get(f"segments/{segment['id']}/members/?limit=1")["next_cursor"]
    tampered = ("B" if cursor[30] == "A" else "A").join((cursor[:30], cursor[31:]))
    for caller, segment_id, sent in [
        (other_tenant.viewer_key, foreign["id"], cursor),
        (tenant.viewer_key, second["id"], cursor),
        (tenant.viewer_key, segment["id"], tampered),
        (tenant.viewer_key, segment["id"], "é"),
        (tenant.viewer_key, segment["id"], "x"),
    ]:
        answer = caller.get(f"segments/{segment_id}/members/?cursor={quote(sent)}", status=400)
        assert list(answer) == ["cursor"]


def test_membership_lists_the_users_segments_and_answers_for_one(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    low, high = made(tenant, spent(5), "Low"), made(tenant, spent(20), "High")
    computed(tenant)
    late = made(tenant, spent(1), "Late")
    caller = tenant.viewer_key
    found = caller.get("segments/membership/?user_id=user-025")
    assert [one["slug"] for one in found["segments"]] == ["high", "low"]
    assert set(found["segments"][0]) == {"id", "name", "slug", "computed_at"}
    assert caller.get(f"segments/membership/?user_id=user-010&segment_id={high['id']}")["is_member"] is False
    assert caller.get(f"segments/membership/?user_id=user-010&segment_id={low['id']}")["is_member"] is True
    unknown = caller.get(f"segments/membership/?user_id=user-010&segment_id={late['id']}")
    assert (unknown["is_member"], unknown["is_computed"]) == (False, False)
    assert caller.get("segments/membership/?user_id=nobody")["segments"] == []
    caller.get("segments/membership/?user_id=user-010&segment_id=2000000000", status=404)
    caller.get("segments/membership/", status=400)


def test_an_archived_segment_is_in_no_membership(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    segment = made(tenant, spent(5))
    computed(tenant)
    tenant.member_key.call("DELETE", f"segments/{segment['id']}/", status=204)
    assert tenant.viewer_key.get("segments/membership/?user_id=user-010")["segments"] == []


def test_changes_tell_who_came_and_went_by_computation(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    path = f"segments/{made(tenant, spent(20))['id']}/"
    computed(tenant)
    tenant.member_key.call("PATCH", path, {"definition": spent(25)})
    computed(tenant)
    computed(tenant)
    found = tenant.viewer_key.get(f"{path}changes/")
    assert [(one["entered"], one["exited"], one["members"]) for one in found["results"]] == [(0, 5, 5), (10, 0, 10)]
    assert found["count"] == 2
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert tenant.viewer_key.get(f"{path}changes/?since={quote(later)}")["count"] == 0
    tenant.viewer_key.get(f"{path}changes/?since=0001-01-01T00:00:00%2B14:00", status=400)


def _remembered(tenant: Tenant, user: str) -> None:
    """Ask until memory answers."""
    deadline = time.monotonic() + 30
    checks = tenant.api.catalog.service.checks
    while tenant.api.services.members.of(tenant.slug, checks.state(tenant.slug, ()), 0) is None:
        assert time.monotonic() < deadline, "it is not remembered"
        tenant.viewer_key.get("segments/membership/", params={"user_id": user})


@pytest.mark.parametrize("user", ["ada", "o'hara \\ Ünï/x%2F\n", "x" * 512])
def test_what_is_asked_often_is_answered_from_memory_as_before(tenant: Tenant, user: str) -> None:
    give_orders(tenant, [(user, 5.0), ("ben", 1.0)])
    made(tenant, spent(5))
    computed(tenant)
    params = {"user_id": user}
    before = tenant.viewer_key.get("segments/membership/", params=params)
    assert [one["slug"] for one in before["segments"]] == ["big-spenders"]
    _remembered(tenant, user)
    assert tenant.viewer_key.get("segments/membership/", params=params) == before
    assert tenant.viewer_key.get("segments/membership/?user_id=ben")["segments"] == []
    give_orders(tenant, [("ben", 9.0)])
    computed(tenant)
    _remembered(tenant, user)
    assert [one["slug"] for one in tenant.viewer_key.get("segments/membership/?user_id=ben")["segments"]] == [
        "big-spenders"
    ]


def test_a_key_that_is_revoked_reads_nothing_from_memory(tenant: Tenant) -> None:
    give_orders(tenant, _ORDERS)
    made(tenant, spent(10))
    computed(tenant)
    _remembered(tenant, "user-020")
    caller = tenant.viewer_key
    (key,) = [one for one in tenant.api.catalog.people.keys(tenant.slug) if one.role == "viewer"]
    tenant.api.catalog.people.revoke_key(tenant.slug, key.id, OPERATOR)
    caller.get("segments/membership/?user_id=user-020", status=401)
