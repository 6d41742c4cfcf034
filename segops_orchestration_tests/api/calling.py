"""Callers of the API: each sends its own credentials, and a call says what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import requests

from segops_orchestration.api.services import Services
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_records import Actor, Role
from segops_orchestration.warehouse.client import TenantWarehouse

OPERATOR = Actor("operator", "tests")


@dataclass(frozen=True)
class Api:
    """A served API: ``url`` ends in /api."""

    url: str
    services: Services

    @property
    def catalog(self) -> Catalog:
        """The catalogue behind it."""
        return self.services.catalog


@dataclass
class Caller:
    """Somebody with credentials. ``call`` answers the body after checking the status."""

    url: str
    headers: Mapping[str, str]
    session: requests.Session = field(default_factory=requests.Session)

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """The response to ``path``, which begins behind /api/."""
        headers = {**self.headers, **more.pop("headers", {})}
        return self.session.request(
            method, f"{self.url}/{path}", json=body, headers=headers, timeout=60, allow_redirects=False, **more
        )

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """The body of the response, which must have this status."""
        response = self.send(method, path, body, **more)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def get(self, path: str, *, status: int = 200, **more: Any) -> Any:
        """GET."""
        return self.call("GET", path, status=status, **more)

    def post(self, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """POST."""
        return self.call("POST", path, body, status=status, **more)


@dataclass(frozen=True)
class Tenant:
    """A tenant of one test: callers by role are made when they are used."""

    api: Api
    slug: str

    @property
    def database(self) -> TenantWarehouse:
        """Its database."""
        return self.api.services.database(self.slug)

    @cached_property
    def admin_key(self) -> Caller:
        """A program with a key of role admin."""
        return self.key("admin")

    @cached_property
    def member_key(self) -> Caller:
        """A program with a key of role member."""
        return self.key("member")

    @cached_property
    def viewer_key(self) -> Caller:
        """A program with a key of role viewer."""
        return self.key("viewer")

    def secret_key(self, role: Role = "member") -> str:
        """A new secret key."""
        return self.api.catalog.people.create_key(self.slug, f"{role} key", "secret", role, [], OPERATOR).key

    def key(self, role: Role) -> Caller:
        """A program with a new key."""
        return Caller(self.api.url, {"Authorization": f"ApiKey {self.secret_key(role)}"})


def new_tenant(api: Api, slug: str) -> Tenant:
    """A tenant in the catalogue. Whoever touches its database first makes it, as in production."""
    api.catalog.create_tenant(slug)
    return Tenant(api, slug)
