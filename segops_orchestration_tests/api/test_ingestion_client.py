"""The published client ``segops``, unmodified, against our ingestion."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import segops

from segops_orchestration_tests.api.calling import OPERATOR, Tenant
from segops_orchestration_tests.api.test_tracking import letters, stored


@pytest.fixture
def failures() -> list[str]:
    """What the client told its ``on_error``."""
    return []


@pytest.fixture
def client(tenant: Tenant, failures: list[str]) -> Callable[..., segops.SegOpsClient]:
    """Makes clients of the tenant."""

    def make(key: str | None = None, **options: Any) -> segops.SegOpsClient:
        def failed(error: BaseException) -> None:
            failures.append(str(error))

        return segops.SegOpsClient(
            tenant.api.url.removesuffix("/api"), key or tenant.secret_key(), on_error=failed, **options
        )

    return make


def test_single_events(tenant: Tenant, client: Callable[..., segops.SegOpsClient], failures: list[str]) -> None:
    with client(batch=False) as sender:
        sender.track(user_id="u-1", event_type="page_viewed", payload={"path": "/é"})
        sender.track(segops.Event(user_id="u-2", event_type="page_viewed", occurred_at="2026-01-01T00:00:00Z"))
    assert failures == []
    assert [(user, kind) for user, kind, _, _ in stored(tenant)] == [("u-1", "page_viewed"), ("u-2", "page_viewed")]


def test_batches_and_what_is_left_at_the_end(
    tenant: Tenant, client: Callable[..., segops.SegOpsClient], failures: list[str]
) -> None:
    with client(batch_size=20) as sender:
        for number in range(45):
            sender.track(user_id=f"u-{number}", event_type="page_viewed")
    assert failures == []
    assert len(stored(tenant)) == 45


def test_a_bad_event_does_not_take_its_batch_with_it(
    tenant: Tenant, client: Callable[..., segops.SegOpsClient], failures: list[str]
) -> None:
    with client() as sender:
        sender.track(user_id="u-1", event_type="page_viewed", payload={"price": float("nan")})
        sender.track(user_id="u-2", event_type="page_viewed")
    assert failures == []
    assert [user for (user,) in stored(tenant, "user_id")] == ["u-2"]
    assert [name for _, name, _, _ in letters(tenant)] == ["payload"]


def test_identify_is_an_event_with_the_traits(tenant: Tenant, client: Callable[..., segops.SegOpsClient]) -> None:
    with client() as sender:
        sender.identify(user_id="u-1", traits={"plan": "pro"})
    ((properties,),) = tenant.database.query("SELECT properties FROM user_properties").result_rows
    assert json.loads(properties) == {"plan": "pro"}


def test_a_refusal_reaches_the_callers_handler(client: Callable[..., segops.SegOpsClient], failures: list[str]) -> None:
    with client(batch=False) as sender:
        sender.track(user_id="u-1", event_type="Not Snake")
    assert "400" in failures[0]
    assert "not_snake" in failures[0]


def test_a_session_of_a_public_key_sends_events_of_its_user_alone(
    tenant: Tenant, client: Callable[..., segops.SegOpsClient], failures: list[str]
) -> None:
    made = tenant.api.catalog.people.create_key(tenant.slug, "web", "public", "member", ["*"], OPERATOR)
    assert made.hmac_secret is not None
    signed: dict[str, Any] = segops.sign_user_id(made.hmac_secret, "u-1")
    with client(made.key, batch=False, get_user=lambda: segops.UserContext(**signed)) as sender:
        sender.track(user_id="somebody-else", event_type="page_viewed")
    assert failures == []
    assert [user for (user,) in stored(tenant, "user_id")] == ["u-1"]


def test_a_revoked_public_key_ends_its_sessions(
    tenant: Tenant, client: Callable[..., segops.SegOpsClient], failures: list[str]
) -> None:
    made = tenant.api.catalog.people.create_key(tenant.slug, "web", "public", "member", ["*"], OPERATOR)
    with client(made.key, batch=False, get_user=lambda: segops.UserContext(anonymous_id="a-1")) as sender:
        sender.track(user_id="x", event_type="page_viewed")
        tenant.api.catalog.people.revoke_key(tenant.slug, made.record.id, OPERATOR)
        sender.track(user_id="x", event_type="page_viewed")
    assert "401" in failures[0]
    assert len(stored(tenant)) == 1
