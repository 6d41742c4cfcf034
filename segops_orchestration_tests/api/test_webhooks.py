"""Webhooks: their secret is shown once, and changes are seen at once."""

from __future__ import annotations

from typing import Any

from segops_orchestration_tests.api.calling import Tenant

URL = "https://example.com/hooks/segops"
SECRET = "a secret of sixteen characters or more"


def test_a_new_webhook_shows_its_secret_once_and_seals_it(tenant: Tenant) -> None:
    made = tenant.member_key.post("webhooks/", {"url": URL}, status=201)
    assert made["secret"].startswith("whsec_")
    assert tenant.api.catalog.webhooks.secret(tenant.slug, made["id"]) == made["secret"]
    shown = tenant.viewer_key.get(f"webhooks/{made['id']}/")
    assert shown == {**made, "secret": "***"}
    assert tenant.viewer_key.get("webhooks/")["results"] == [shown]
    assert (shown["status"], shown["event_types"], shown["pending"]) == ("active", ["segment.recomputed"], 0)


def test_a_repeated_request_makes_one_and_its_answer_keeps_no_secret(tenant: Tenant) -> None:
    again = {"headers": {"Idempotency-Key": "same"}}
    first = tenant.member_key.post("webhooks/", {"url": URL, "secret": SECRET}, status=201, **again)
    second = tenant.member_key.post("webhooks/", {"url": URL, "secret": SECRET}, status=201, **again)
    assert (first["secret"], second["secret"]) == (SECRET, "***")
    assert tenant.viewer_key.get("webhooks/")["count"] == 1


def test_a_change_keeps_what_it_does_not_name_and_a_masked_secret(tenant: Tenant) -> None:
    made = tenant.member_key.post("webhooks/", {"url": URL, "secret": SECRET}, status=201)
    path = f"webhooks/{made['id']}/"
    changed = tenant.member_key.call("PATCH", path, {"url": URL + "/new", "secret": "***"})
    assert (changed["url"], changed["secret"]) == (URL + "/new", "***")
    assert tenant.api.catalog.webhooks.secret(tenant.slug, made["id"]) == SECRET
    tenant.member_key.call("PATCH", path, {"secret": SECRET * 2})
    assert tenant.api.catalog.webhooks.secret(tenant.slug, made["id"]) == SECRET * 2
    assert tenant.member_key.call("PATCH", path, {"status": "disabled"})["status"] == "disabled"
    assert tenant.member_key.call("PATCH", path, {"status": "active"})["status"] == "active"


def test_the_query_of_a_url_is_not_shown_and_an_echo_keeps_it(tenant: Tenant) -> None:
    made = tenant.member_key.post("webhooks/", {"url": f"{URL}?token=abc"}, status=201)
    path = f"webhooks/{made['id']}/"
    shown = [made, tenant.viewer_key.get(path), *tenant.viewer_key.get("webhooks/")["results"]]
    assert [one["url"] for one in shown] == [f"{URL}?***"] * 3
    tenant.member_key.call("PATCH", path, {"url": f"{URL}?***", "status": "disabled"})
    assert tenant.api.catalog.webhooks.get(tenant.slug, made["id"]).url == f"{URL}?token=abc"
    refused = tenant.member_key.call("PATCH", path, {"url": f"{URL}/other?***"}, status=400)
    assert "give the query itself" in refused["url"][0]


def test_one_url_is_told_once(tenant: Tenant) -> None:
    tenant.member_key.post("webhooks/", {"url": URL}, status=201)
    other = tenant.member_key.post("webhooks/", {"url": URL + "/2"}, status=201)
    tenant.member_key.post("webhooks/", {"url": URL}, status=409)
    tenant.member_key.call("PATCH", f"webhooks/{other['id']}/", {"url": URL}, status=409)


def test_what_is_wrong_is_said_by_its_path(tenant: Tenant) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://127.0.0.1:8080/"}, "url"),
        ({"url": "http://[::1]/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://exa\ud800mple.com"}, "url"),
        ({"secret": "short"}, "secret"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["segment.deleted"]}, "event_types[0]"),
        ({"more": 1}, "more"),
    ]
    for body, path in wrong:
        assert path in tenant.member_key.post("webhooks/", {"url": URL, **body}, status=400)
    assert tenant.viewer_key.get("webhooks/")["count"] == 0


def test_viewers_look_and_another_tenant_finds_nothing(tenant: Tenant, other_tenant: Tenant) -> None:
    made = tenant.member_key.post("webhooks/", {"url": URL}, status=201)["id"]
    tenant.viewer_key.post("webhooks/", {"url": URL + "/2"}, status=403)
    tenant.viewer_key.call("PATCH", f"webhooks/{made}/", {"status": "disabled"}, status=403)
    tenant.viewer_key.call("DELETE", f"webhooks/{made}/", status=403)
    stranger = other_tenant.admin_key
    stranger.get(f"webhooks/{made}/", status=404)
    stranger.call("PATCH", f"webhooks/{made}/", {"status": "disabled"}, status=404)
    stranger.call("DELETE", f"webhooks/{made}/", status=404)
    assert tenant.viewer_key.get(f"webhooks/{made}/")["status"] == "active"


def test_a_deleted_one_is_gone_and_the_audit_log_knows(tenant: Tenant) -> None:
    made = tenant.member_key.post("webhooks/", {"url": URL}, status=201)["id"]
    tenant.member_key.call("DELETE", f"webhooks/{made}/", status=204)
    tenant.member_key.get(f"webhooks/{made}/", status=404)
    entries = tenant.api.catalog.people.audit_entries(tenant.slug)
    actions = [one.action for one in entries if one.action.startswith("webhook.")]
    assert actions == ["webhook.delete", "webhook.create"]
