"""How often callers may ask, and that the use of a key is noted."""

from __future__ import annotations

import time

import pytest

from segops_orchestration.api.limits import CallerLimits
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.api.calling import OPERATOR, Api, Tenant
from segops_orchestration_tests.api.people import account, bare_tenant


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return bare_tenant(api)


def test_a_caller_that_asks_too_often_is_told_when_to_come_back_and_others_go_on(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, other, person = tenant.viewer_key, tenant.key("viewer"), account(api, tenant).caller()
    monkeypatch.setattr(api.services, "limits", CallerLimits(0.1))

    for caller in (program, other, person):
        caller.get("team/")
        response = caller.send("GET", "team/")
        assert response.status_code == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 10
        assert "more than 0.1 requests a second" in response.json()["detail"]


def test_tokens_of_one_person_are_one_caller(api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    person = account(api, tenant)
    first, second = person.caller(), person.caller()
    monkeypatch.setattr(api.services, "limits", CallerLimits(0.1))
    first.get("team/")
    second.get("team/", status=429)


def test_without_a_limit_nothing_is_counted() -> None:
    limits = CallerLimits(0)
    for _ in range(10_000):
        limits.spend("anybody")


def test_a_request_is_counted_in_microseconds() -> None:
    limits = CallerLimits(2000)
    began = time.perf_counter()
    for number in range(20_000):
        limits.spend(f"key {number}")
    assert (time.perf_counter() - began) / 20_000 < 0.0002


@pytest.mark.parametrize(("text", "rate"), [("", 2000.0), ("0", 0.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_the_rate_is_a_setting(text: str, rate: float) -> None:
    assert Settings.from_env({"SEGOPS_API_RATE": text}).api_rate == rate


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf", "1e9"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SegOpsError, match="SEGOPS_API_RATE"):
        Settings.from_env({"SEGOPS_API_RATE": text})


def test_the_use_of_a_key_is_noted_beside_the_request(api: Api, tenant: Tenant) -> None:
    program = tenant.viewer_key
    program.get("team/")
    deadline = time.monotonic() + 30
    while api.catalog.people.keys(tenant.slug)[0].last_used_at is None:
        assert time.monotonic() < deadline, "the use of the key was not noted"
        time.sleep(0.02)


def test_a_made_key_is_in_the_audit_log_without_the_key(api: Api, tenant: Tenant) -> None:
    made = api.catalog.people.create_key(tenant.slug, "importer", "secret", "member", [], OPERATOR)
    assert made.key not in str(api.catalog.people.audit_entries(tenant.slug))
    assert made.key not in repr(made)
