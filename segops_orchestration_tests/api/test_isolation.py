"""Every route, called by another tenant with this tenant's ids: nothing is told, and nothing is changed.

The routes are read from the OpenAPI document, so a new one is walked from its first day; if it has a parameter that no
victim's value is known for, the test says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from segops_orchestration.catalog.tables import Base
from segops_orchestration_tests.api.calling import Api, Caller, Tenant
from segops_orchestration_tests.api.people import account
from segops_orchestration_tests.api.possessions import MARK, Possessions, acquire

# What answers without a tenant, or about the caller alone.
TENANTLESS = (
    "/api/auth/me/",
    "/api/auth/password/change/",
    "/api/health/",
    "/api/ready/",
    "/api/metrics/",
    "/api/auth/token/",
    "/api/auth/token/refresh/",
    "/api/auth/session/",
    "/api/auth/password/",
)
REFUSED = {400, 401, 403, 404, 405, 409}


@dataclass(frozen=True)
class Route:
    """One operation of the document."""

    method: str
    path: str
    parameters: tuple[str, ...]
    query: tuple[str, ...]
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture(scope="module")
def routes(api: Api) -> list[Route]:
    return list(_routes(Caller(api.url, {}).get("openapi.json")))


def _routes(document: Mapping[str, Any]) -> Iterator[Route]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in TENANTLESS:
                continue
            parameters = operation.get("parameters", [])
            yield Route(
                method.upper(),
                path,
                tuple(one["name"] for one in parameters if one["in"] == "path"),
                tuple(one["name"] for one in parameters if one["in"] == "query"),
                _fields(document, operation),
            )


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[str, ...]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return tuple(document["components"]["schemas"].get(reference, {}).get("properties", {}))


@pytest.fixture
def victim(tenant: Tenant) -> Possessions:
    return acquire(tenant)


def test_another_tenants_callers_reach_nothing_and_change_nothing(
    api: Api, routes: list[Route], victim: Possessions, other_tenant: Tenant
) -> None:
    before = state_of(api, victim.tenant)
    told: list[str] = []
    for stranger in (other_tenant.admin_key, owner_of(api, other_tenant)):
        for route in routes:
            response = _send(stranger, route, victim, {})
            # Ids of two tenants' things are of one row of numbers, so by luck 404 is all that tells them apart.
            reached = bool(route.parameters) and response.status_code not in REFUSED and not _of_anybody(route)
            text = _without_echo(response.text, victim)
            if reached or MARK in text or victim.tenant.slug in text:
                told.append(f"{route}: {response.status_code} {response.text[:200]}")
    assert not told
    assert state_of(api, victim.tenant) == before


def test_the_same_calls_reach_everything_when_they_are_the_tenants_own(
    api: Api, routes: list[Route], victim: Possessions
) -> None:
    """So it is the gate that keeps strangers out, not a mistake in what is sent."""
    own = victim.owner
    of_ids = [route for route in routes if route.parameters and not _by_link(route)]
    answers = {
        str(route): _send(own, route, victim, {}).status_code
        for route in sorted(of_ids, key=lambda route: (route.method == "DELETE", str(route)))
    }
    assert {route: status for route, status in answers.items() if status in (400, 401, 403, 404)} == {}


def test_naming_another_tenant_is_answered_as_if_there_were_none(
    api: Api, routes: list[Route], victim: Possessions, other_tenant: Tenant
) -> None:
    named = {"X-SegOps-Tenant": victim.tenant.slug}
    for stranger in (other_tenant.admin_key, owner_of(api, other_tenant)):
        answers = {
            str(route): _send(stranger, route, victim, named).status_code for route in routes if not _by_link(route)
        }
        assert {route: status for route, status in answers.items() if status not in (403, 404)} == {}


def owner_of(api: Api, tenant: Tenant) -> Caller:
    """The person who may do everything there."""
    return account(api, tenant, "owner").caller()


def _of_anybody(route: Route) -> bool:
    """Whether the path's parameter may be anything: a user of the caller's own tenant, who may be nobody."""
    return set(route.parameters) <= {"user_id"} or "{token}" in route.path


def _by_link(route: Route) -> bool:
    """Whether a signed link opens it, whoever follows it."""
    return "token" in route.query


def _without_echo(text: str, victim: Possessions) -> str:
    """The answer without what the caller itself had sent."""
    for sent in sorted({str(value) for value in victim.values.values()}, key=len, reverse=True):
        text = text.replace(sent, "") if MARK in sent or sent == victim.tenant.slug else text
    return text


def _send(stranger: Caller, route: Route, victim: Possessions, headers: Mapping[str, str]) -> Any:
    missing = [name for name in route.parameters if name not in victim.values]
    assert not missing, f"{route}: possessions.py does not say what this tenant has for {missing}"
    path = route.path.removeprefix("/api/")
    for name in route.parameters:
        for placeholder in (f"{{{name}}}", f"{{{name}:path}}"):
            path = path.replace(placeholder, quote(str(victim.values[name]), safe=""))
    # Words for a status are not the same everywhere.
    if "webhook_id" in route.parameters:
        victim = replace(victim, values={**victim.values, "status": "active"})
    query = {name: victim.values[name] for name in route.query if name in victim.values}
    body = {name: victim.values[name] for name in route.fields if name in victim.values}
    return stranger.send(route.method, path, body if route.fields else None, params=query, headers=dict(headers))


def state_of(api: Api, tenant: Tenant) -> dict[str, str]:
    """All that the two stores hold of a tenant, by table."""
    record = api.catalog.get_tenant(tenant.slug)
    state: dict[str, str] = {}
    with api.catalog._transactions.read() as session:
        for table in Base.metadata.sorted_tables:
            if "tenant_id" in table.c:
                rows = session.execute(select(table).where(table.c.tenant_id == record.id)).all()
                # When a key was used last is no change of the tenant's.
                seen = [{**row._mapping, "last_used_at": None} for row in rows]
                state[table.name] = json.dumps(sorted(map(str, seen)))
    database = tenant.database
    for (name,) in database.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows:
        count = database.query(f"SELECT count() FROM {name}").result_rows
        state[f"warehouse {name}"] = str(count)
    return state
