"""Segments over HTTP: made, changed, versioned, archived."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from segops_orchestration_tests.api.calling import Api, Tenant
from segops_orchestration_tests.api.segment_shop import computed, give_orders, made, spent, within


@pytest.fixture
def tenant(api: Api) -> Iterator[Tenant]:
    """A tenant whose database is made when it is first used: most of this is the catalogue's alone."""
    slug = f"t_{secrets.token_hex(6)}"
    api.catalog.create_tenant(slug)
    yield Tenant(api, slug)
    api.services.warehouse.tenant(slug).drop()


_KEYS = {
    *("id", "name", "slug", "description", "definition", "segment_type"),
    *("is_active", "status", "member_count", "last_computed_at"),
}


def test_a_new_segment_has_the_contracts_keys_and_is_a_draft(tenant: Tenant) -> None:
    segment = made(tenant, spent(100))
    assert set(segment) >= _KEYS
    assert segment["status"] == "draft"
    assert (segment["member_count"], segment["last_computed_at"]) == (0, None)
    assert segment["definition"] == spent(100)
    assert tenant.viewer_key.get(f"segments/{segment['id']}/") == segment


def test_the_slug_is_made_from_the_name_and_numbered_when_it_is_taken(tenant: Tenant) -> None:
    slugs = [made(tenant, spent(1), "Große Körbe (DE)")["slug"] for _ in range(3)]
    assert slugs == ["groe-korbe-de", "groe-korbe-de-2", "groe-korbe-de-3"]


def test_a_slug_that_is_sent_and_taken_is_refused(tenant: Tenant) -> None:
    body = {"name": "VIP", "slug": "vip", "definition": spent(1)}
    tenant.member_key.post("segments/", body, status=201)
    assert "vip" in tenant.member_key.post("segments/", body, status=409)["detail"]


def test_viewers_read_and_do_not_change(tenant: Tenant) -> None:
    path = f"segments/{made(tenant, spent(1))['id']}/"
    viewer = tenant.viewer_key
    viewer.post("segments/", {"name": "x", "definition": spent(1)}, status=403)
    viewer.call("PATCH", path, {"name": "x"}, status=403)
    viewer.call("DELETE", path, status=403)
    viewer.get(f"{path}versions/")


def test_what_is_wrong_is_told_by_the_path_of_its_field(tenant: Tenant) -> None:
    definition = spent(1)
    definition["conditions"] += [spent(2)["conditions"][0], {**spent(3)["conditions"][0], "operator": "is"}]
    answer = tenant.member_key.post("segments/", {"name": "x", "definition": definition}, status=400)
    assert list(answer) == ["definition.conditions[2].operator"]
    answer = tenant.member_key.post("segments/", {"name": "x", "definition": within("nobody")}, status=400)
    assert list(answer) == ["definition.conditions[0].segment_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", 5), ("slug", "No Slug"), ("definition", []), ("shape", "round"), ("description", "a\0b")],
)
def test_a_field_of_the_wrong_kind_is_told(tenant: Tenant, field: str, value: object) -> None:
    body = {"name": "x", "definition": spent(1), field: value}
    assert list(tenant.member_key.post("segments/", body, status=400)) == [field]


def test_patch_changes_what_it_names_and_versions_only_definitions(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    path = f"segments/{segment['id']}/"
    renamed = tenant.member_key.call("PATCH", path, {"name": "Spenders"})
    assert (renamed["name"], renamed["version"], renamed["definition"]) == ("Spenders", 1, spent(1))
    edited = tenant.member_key.call("PATCH", path, {"definition": spent(2)})
    assert (edited["name"], edited["version"], edited["definition"]) == ("Spenders", 2, spent(2))
    same = tenant.member_key.call("PATCH", path, {"definition": spent(2.0)})
    assert same["version"] == 2


def test_what_was_read_can_be_put_back(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    put = tenant.member_key.call("PUT", f"segments/{segment['id']}/", {**segment, "name": "Spenders"})
    assert {**put, "name": 0, "updated_at": 0} == {**segment, "name": 0, "updated_at": 0}


def test_the_slug_cannot_be_changed(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    answer = tenant.member_key.call("PATCH", f"segments/{segment['id']}/", {"slug": "other"}, status=400)
    assert list(answer) == ["slug"]


def test_versions_say_who_made_them_and_can_be_restored(tenant: Tenant) -> None:
    path = f"segments/{made(tenant, spent(1))['id']}/"
    tenant.admin_key.call("PATCH", path, {"definition": spent(2)})
    newest, oldest = tenant.viewer_key.get(f"{path}versions/")
    assert (newest["version"], newest["definition"]) == (2, spent(2))
    assert newest["created_by"].startswith("admin key")
    assert oldest["created_by"].startswith("member key")
    restored = tenant.member_key.post(f"{path}versions/1/restore/")
    assert (restored["version"], restored["definition"]) == (3, spent(1))
    assert [one["version"] for one in tenant.viewer_key.get(f"{path}versions/?limit=2&before=3")] == [2, 1]
    tenant.member_key.post(f"{path}versions/9/restore/", status=404)


def test_delete_archives_and_patch_takes_back(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    path = f"segments/{segment['id']}/"
    tenant.member_key.call("DELETE", path, status=204)
    assert tenant.viewer_key.get(path)["is_active"] is False
    assert tenant.viewer_key.get("segments/")["count"] == 0
    assert tenant.viewer_key.get("segments/?is_active=all")["count"] == 1
    tenant.member_key.call("DELETE", path, status=204)
    edited = tenant.member_key.call("PATCH", path, {"definition": spent(5), "name": "Later"})
    assert (edited["is_active"], edited["version"], edited["name"]) == (False, 2, "Later")
    back = tenant.member_key.call("PATCH", path, {"is_active": True})
    assert (back["is_active"], back["definition"]) == (True, spent(5))


def test_a_segment_that_others_refer_to_is_not_archived(tenant: Tenant) -> None:
    base = made(tenant, spent(1), "Base")
    made(tenant, within(base["id"]), "Inner circle")
    path = f"segments/{base['id']}/"
    assert "inner-circle" in tenant.member_key.call("DELETE", path, status=409)["detail"]
    assert "inner-circle" in tenant.member_key.call("PATCH", path, {"is_active": False}, status=409)["detail"]
    assert tenant.viewer_key.get(path)["is_active"] is True


def test_a_circle_of_references_is_refused_and_nothing_is_saved(tenant: Tenant) -> None:
    base = made(tenant, spent(1), "Base")
    inner = made(tenant, within("base"), "Inner")
    path = f"segments/{base['id']}/"
    answer = tenant.member_key.call("PATCH", path, {"definition": within("inner"), "name": "Round"}, status=400)
    assert "cycle" in answer["definition.conditions[0].segment_id"][0]
    assert tenant.viewer_key.get(path)["name"] == "Base"
    assert tenant.viewer_key.get(f"segments/{inner['id']}/")["version"] == 1


def test_edits_at_once_lose_nothing(tenant: Tenant) -> None:
    path = f"segments/{made(tenant, spent(1000))['id']}/"
    bodies: list[dict[str, Any]] = [{"definition": spent(one)} for one in range(1, 9)]
    bodies += [{"description": "told"}, {"name": "Named"}]
    caller = tenant.member_key
    with ThreadPoolExecutor(5) as workers:
        answers = list(workers.map(lambda body: caller.send("PATCH", path, body).status_code, bodies))
    assert answers == [200] * 10
    segment = caller.get(path)
    assert (segment["version"], segment["description"], segment["name"]) == (9, "told", "Named")
    values = [one["definition"]["conditions"][0]["value"] for one in caller.get(f"{path}versions/")]
    assert sorted(values) == [*range(1, 9), 1000]


def test_the_list_is_paged(tenant: Tenant) -> None:
    names = [made(tenant, spent(1), f"Segment {number}")["name"] for number in range(5)]
    first = tenant.viewer_key.get("segments/?page_size=2")
    assert (first["count"], first["previous"], [one["name"] for one in first["results"]]) == (5, None, names[:2])
    last = tenant.viewer_key.get("segments/?page_size=2&page=3")
    assert (last["next"], [one["name"] for one in last["results"]]) == (None, names[4:])
    assert first["next"].startswith(tenant.api.url)


def test_the_status_follows_definitions_and_computations(tenant: Tenant) -> None:
    give_orders(tenant, [("ada", 5), ("ben", 50)])
    path = f"segments/{made(tenant, spent(10))['id']}/"
    computed(tenant)
    segment = tenant.viewer_key.get(path)
    assert (segment["status"], segment["member_count"]) == ("computed", 1)
    assert segment["last_computed_at"] is not None
    edited = tenant.member_key.call("PATCH", path, {"definition": spent(1)})
    assert (edited["status"], edited["member_count"]) == ("draft", 1)


def test_edits_are_in_the_audit_log(tenant: Tenant) -> None:
    path = f"segments/{made(tenant, spent(1))['id']}/"
    tenant.member_key.call("PATCH", path, {"definition": spent(2)})
    tenant.member_key.call("DELETE", path, status=204)
    entries = tenant.api.catalog.people.audit_entries(tenant.slug, limit=3)
    assert [one.action for one in entries] == ["segment.archive", "segment.update", "segment.create"]
    assert entries[0].actor.name.startswith("member key")


def test_another_tenants_segment_is_not_found_and_stays(tenant: Tenant, other_tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    path, stranger = f"segments/{segment['id']}/", other_tenant.admin_key
    for method, below, body in [
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("PUT", "", {"name": "mine", "definition": spent(2)}),
        ("DELETE", "", None),
        ("GET", "versions/", None),
        ("POST", "versions/1/restore/", None),
        ("POST", "estimate/", None),
        ("POST", "compute/", None),
        ("POST", "export/", None),
        ("GET", "export/?export_id=1", None),
        ("GET", "computations/", None),
        ("GET", "members/", None),
        ("GET", "changes/", None),
    ]:
        stranger.call(method, path + below, body, status=404)
    assert tenant.viewer_key.get(path) == segment
    stranger.post("segments/", {"name": "x", "definition": within(segment["id"])}, status=400)


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999999", "x", "1.5"])
def test_what_is_no_id_is_refused(tenant: Tenant, number: str) -> None:
    assert tenant.viewer_key.send("GET", f"segments/{number}/").status_code == 400


def test_a_repeatable_request_nested_too_deeply_is_refused(tenant: Tenant) -> None:
    definition: dict[str, Any] = {}
    for _ in range(300):
        definition = {"logic": definition}
    body = {"name": "Deep", "definition": definition}
    tenant.member_key.post("segments/", body, status=400)
    answer = tenant.member_key.post("segments/", body, status=400, headers={"Idempotency-Key": "deep"})
    assert "nested" in answer["detail"]


def test_whether_archived_ones_are_listed_may_be_said_as_clients_in_python_do(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    assert [one["id"] for one in tenant.viewer_key.get("segments/?is_active=True")["results"]] == [segment["id"]]
    assert tenant.viewer_key.get("segments/?is_active=False")["count"] == 0
