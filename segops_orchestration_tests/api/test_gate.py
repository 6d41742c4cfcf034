"""Who passes the gate."""

from __future__ import annotations

import pytest
import requests

from segops_orchestration_tests.api.calling import OPERATOR, Api, Caller, Tenant


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer x.y.z", "ApiKey sk_unknown", "ApiKey"])
def test_without_valid_credentials_the_answer_is_401_and_says_how(api: Api, header: str) -> None:
    stranger = Caller(api.url, {"Authorization": header} if header else {})
    response = stranger.send("GET", "auth/api-keys/")
    assert response.status_code == 401
    assert response.json()["detail"]
    assert "ApiKey" in response.headers["WWW-Authenticate"]


def test_a_revoked_key_opens_nothing_from_then_on(api: Api, tenant: Tenant) -> None:
    made = api.catalog.people.create_key(tenant.slug, "short-lived", "secret", "member", [], OPERATOR)
    program = Caller(api.url, {"Authorization": f"ApiKey {made.key}"})
    program.get("auth/api-keys/", status=403)
    api.catalog.people.revoke_key(tenant.slug, made.record.id, OPERATOR)
    program.get("auth/api-keys/", status=401)


def test_a_public_key_opens_nothing_but_sessions(api: Api, tenant: Tenant) -> None:
    made = api.catalog.people.create_key(tenant.slug, "web", "public", "member", [], OPERATOR)
    Caller(api.url, {"Authorization": f"ApiKey {made.key}"}).get("auth/api-keys/", status=403)


def test_a_key_of_an_archived_tenant_opens_nothing(api: Api, tenant: Tenant) -> None:
    program = tenant.member_key
    api.catalog.archive_tenant(tenant.slug)
    program.get("auth/api-keys/", status=401)


@pytest.mark.parametrize("path", ["", "/api/"])
def test_who_comes_without_a_path_is_led_to_the_documentation(api: Api, path: str) -> None:
    response = requests.get(api.url.removesuffix("/api") + path, timeout=60)
    assert (response.status_code, response.url) == (200, f"{api.url}/docs")


def test_every_answer_has_a_request_id_and_security_headers(tenant: Tenant) -> None:
    response = tenant.viewer_key.send("GET", "no/such/route/", headers={"X-Request-Id": "mine-1"})
    assert response.status_code == 404
    assert response.headers["X-Request-Id"] == "mine-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_a_body_over_the_limit_is_refused_before_it_is_read(tenant: Tenant) -> None:
    response = tenant.admin_key.session.post(
        f"{tenant.api.url}/auth/api-keys/", data=b" " * (9 << 20), headers=dict(tenant.admin_key.headers), timeout=60
    )
    assert response.status_code == 413
    assert "bytes allowed" in response.json()["detail"]
