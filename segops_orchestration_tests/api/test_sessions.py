"""Public keys and the sessions that they mint, as the published client asks for them; which web pages may."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import segops
from fastapi import Request
from segops import UserContext, sign_user_id
from segops._handshake import SessionManager
from segops._transport import default_transport

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.gate import Sender, resolve_sender
from segops_orchestration.catalog.people_catalog import NewApiKey
from segops_orchestration_tests.api.calling import OPERATOR, Api, Caller, Tenant
from segops_orchestration_tests.api.people import bare_tenant

SHOP = "https://shop.example"
PATH = "auth/session/"


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return bare_tenant(api)


@pytest.fixture
def other_tenant(api: Api) -> Tenant:
    return bare_tenant(api)


def public_key(tenant: Tenant, *origins: str) -> NewApiKey:
    return tenant.api.catalog.people.create_key(tenant.slug, "web", "public", "member", origins, OPERATOR)


def holder(api: Api, key: NewApiKey) -> Caller:
    return Caller(api.url, {"Authorization": f"ApiKey {key.key}"})


def signed(key: NewApiKey, user_id: str, ts: int | None = None) -> dict[str, Any]:
    return dict(sign_user_id(str(key.hmac_secret), user_id, ts))


def passed(api: Api, headers: dict[str, str]) -> Sender:
    """Who the gate of ingestion takes a request with these headers for."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    class App:
        class state:
            services = api.services

    scope = {"type": "http", "headers": raw, "query_string": b"", "client": ("192.0.2.1", 1), "app": App, "state": {}}
    return resolve_sender(Request(scope))


def test_a_signed_user_gets_a_session_of_15_minutes(api: Api, tenant: Tenant) -> None:
    key = public_key(tenant)

    answer = holder(api, key).post(PATH, signed(key, "u-1"))

    assert set(answer) == {"token", "expires_at", "uid"}
    assert answer["uid"] == "u-1"
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert 890 < left.total_seconds() <= 900


def test_the_published_client_mints_a_session_and_sends_with_it(api: Api, tenant: Tenant) -> None:
    key = public_key(tenant)
    user = UserContext(**signed(key, "u-1"))
    manager = SessionManager(
        api_url=api.url.removesuffix("/api"), api_key=key.key, get_user=lambda: user, transport=default_transport()
    )

    sender = passed(api, {"Authorization": f"Bearer {manager.get_valid_token()}"})

    assert (sender.uid, sender.scope.tenant) == ("u-1", tenant.slug)
    assert segops.SegOpsClient(api.url, key.key, batch=False)._session is not None


def test_somebody_anonymous_needs_no_signature(api: Api, tenant: Tenant) -> None:
    assert holder(api, public_key(tenant)).post(PATH, {"anonymous_id": "a-1"})["uid"] == "a-1"


def test_a_signed_user_goes_before_the_anonymous_id(api: Api, tenant: Tenant) -> None:
    key = public_key(tenant)
    assert holder(api, key).post(PATH, {**signed(key, "u-1"), "anonymous_id": "a-1"})["uid"] == "u-1"


def test_nobody_at_all_is_refused(api: Api, tenant: Tenant) -> None:
    answer = holder(api, public_key(tenant)).post(PATH, {}, status=400)
    assert answer == {"user_id": ["missing; send user_id with its signature, or anonymous_id"]}


def test_an_unsigned_user_is_refused(api: Api, tenant: Tenant) -> None:
    answer = holder(api, public_key(tenant)).post(PATH, {"user_id": "u-1"}, status=400)
    assert set(answer) == {"user_id_sig", "user_id_ts"}


@pytest.mark.parametrize("signature", ["0" * 64, "", "é" * 64, "zz"])
def test_a_wrong_signature_is_refused(api: Api, tenant: Tenant, signature: str) -> None:
    key = public_key(tenant)
    holder(api, key).post(PATH, {**signed(key, "u-1"), "user_id_sig": signature}, status=401)


def test_a_signature_for_another_user_or_by_another_key_is_refused(api: Api, tenant: Tenant) -> None:
    key, other = public_key(tenant), public_key(tenant)
    holder(api, key).post(PATH, {**signed(key, "u-1"), "user_id": "u-2"}, status=401)
    holder(api, key).post(PATH, signed(other, "u-1"), status=401)


@pytest.mark.parametrize(("seconds", "status"), [(-290, 200), (290, 200), (-310, 401), (310, 401)])
def test_a_signature_is_good_for_five_minutes(api: Api, tenant: Tenant, seconds: int, status: int) -> None:
    key = public_key(tenant)
    holder(api, key).post(PATH, signed(key, "u-1", int(time.time()) + seconds), status=status)


def test_only_public_keys_mint_sessions(api: Api, tenant: Tenant) -> None:
    tenant.admin_key.post(PATH, {"anonymous_id": "a-1"}, status=403)
    Caller(api.url, {"Authorization": "ApiKey pk_unknown"}).post(PATH, {"anonymous_id": "a-1"}, status=401)
    Caller(api.url, {}).post(PATH, {"anonymous_id": "a-1"}, status=401)


def test_a_session_opens_nothing_but_sending_events(api: Api, tenant: Tenant) -> None:
    token = holder(api, public_key(tenant)).post(PATH, {"anonymous_id": "a-1"})["token"]
    Caller(api.url, {"Authorization": f"Bearer {token}"}).get("team/", status=401)


def test_revoking_the_key_ends_its_sessions_at_once(api: Api, tenant: Tenant) -> None:
    key = public_key(tenant)
    token = holder(api, key).post(PATH, {"anonymous_id": "a-1"})["token"]

    api.catalog.people.revoke_key(tenant.slug, key.record.id, OPERATOR)

    holder(api, key).post(PATH, {"anonymous_id": "a-1"}, status=401)
    with pytest.raises(ApiError) as refused:
        passed(api, {"Authorization": f"Bearer {token}"})
    assert refused.value.status == 401


def test_secret_keys_send_any_users_events_but_viewers_none(api: Api, tenant: Tenant) -> None:
    assert passed(api, dict(tenant.member_key.headers)).uid is None
    with pytest.raises(ApiError) as refused:
        passed(api, dict(tenant.viewer_key.headers))
    assert refused.value.status == 403


# Origins


def test_a_page_of_an_allowed_origin_may_read_the_answer(api: Api, tenant: Tenant) -> None:
    page = holder(api, public_key(tenant, SHOP))
    response = page.send("POST", PATH, {"anonymous_id": "a-1"}, headers={"Origin": SHOP})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "https://shop.example:444", "null"])
def test_a_page_of_another_origin_is_refused_and_reads_nothing(api: Api, tenant: Tenant, origin: str) -> None:
    page = holder(api, public_key(tenant, SHOP))
    response = page.send("POST", PATH, {"anonymous_id": "a-1"}, headers={"Origin": origin})
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response.headers


def test_another_keys_origin_does_not_help(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    public_key(other_tenant, "https://other.example")
    page = holder(api, public_key(tenant, SHOP))
    response = page.send("POST", PATH, {"anonymous_id": "a-1"}, headers={"Origin": "https://other.example"})
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_session_is_bound_to_the_keys_origins(api: Api, tenant: Tenant) -> None:
    token = holder(api, public_key(tenant, SHOP)).post(PATH, {"anonymous_id": "a-1"})["token"]
    assert passed(api, {"Authorization": f"Bearer {token}", "Origin": SHOP}).uid == "a-1"
    with pytest.raises(ApiError) as refused:
        passed(api, {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"})
    assert refused.value.status == 403


def test_a_star_allows_every_origin(api: Api, tenant: Tenant) -> None:
    page = holder(api, public_key(tenant, "*"))
    response = page.send("POST", PATH, {"anonymous_id": "a-1"}, headers={"Origin": "https://any.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://any.example"


def preflight(api: Api, path: str, origin: str) -> requests.Response:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return requests.options(f"{api.url}/{path}", headers=asks, timeout=60)


@pytest.mark.parametrize("path", [PATH, "ingestion/track/", "ingestion/track/batch/"])
def test_a_preflight_lets_known_origins_try(api: Api, tenant: Tenant, path: str) -> None:
    origin = f"https://{tenant.slug.replace('_', '-')}.example"
    public_key(tenant, origin)
    api.services.origins._until = 0.0

    known, unknown = preflight(api, path, origin), preflight(api, path, "https://unknown.example")

    assert known.status_code == 204
    assert known.headers["Access-Control-Allow-Origin"] == origin
    assert "authorization" in known.headers["Access-Control-Allow-Headers"]
    assert unknown.status_code == 403 or tenant_allows_all(api)
    assert known.headers["X-Request-Id"]


def tenant_allows_all(api: Api) -> bool:
    """Whether a key of another test, in the same catalogue, allows every page."""
    return "*" in api.catalog.people.public_origins()


def test_no_other_route_speaks_to_pages(api: Api, tenant: Tenant) -> None:
    public_key(tenant, SHOP)
    response = tenant.admin_key.send("GET", "team/", headers={"Origin": SHOP})
    assert response.status_code == 200
    assert not any(name.lower().startswith("access-control") for name in response.headers)
    assert preflight(api, "team/", SHOP).status_code == 405


def test_a_page_sees_that_its_session_has_expired(api: Api, tenant: Tenant) -> None:
    public_key(tenant, SHOP)
    api.services.origins._until = 0.0
    response = requests.post(
        f"{api.url}/ingestion/track/",
        json={"user_id": "u-1", "event_type": "seen"},
        headers={"Origin": SHOP, "Authorization": "Bearer expired"},
        timeout=60,
    )
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (401, SHOP)


def test_a_page_never_reads_answers_to_a_secret_key(api: Api, tenant: Tenant) -> None:
    public_key(tenant, SHOP)
    api.services.origins._until = 0.0
    response = tenant.member_key.send("POST", "ingestion/track/", {}, headers={"Origin": SHOP})
    assert response.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers


def test_half_a_surrogate_pair_is_nobodys_id(api: Api, tenant: Tenant) -> None:
    made = tenant.api.catalog.people.create_key(tenant.slug, "web", "public", "member", ["*"], OPERATOR)
    public = Caller(api.url, {"Authorization": f"ApiKey {made.key}"})
    assert "anonymous_id" in public.post("auth/session/", {"anonymous_id": "\ud800"}, status=400)
