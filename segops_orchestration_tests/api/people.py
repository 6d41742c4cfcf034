"""People of a test: created in the catalogue, logged in over HTTP."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from segops_orchestration.catalog.people_records import Role
from segops_orchestration_tests.api.calling import OPERATOR, Api, Caller, Tenant

PASSWORD = "a pass phrase to look for"


@dataclass(frozen=True)
class Account:
    """A person with a password."""

    api: Api
    id: int
    email: str

    def log_in(self, password: str = PASSWORD) -> dict[str, str]:
        """Their tokens."""
        tokens: dict[str, str] = Caller(self.api.url, {}).post(
            "auth/token/", {"email": self.email, "password": password}
        )
        return tokens

    def caller(self, password: str = PASSWORD) -> Caller:
        """They, logged in."""
        return bearer(self.api, self.log_in(password)["access"])


def account(api: Api, tenant: Tenant | None = None, role: Role = "member", name: str = "person") -> Account:
    """A new person, in a tenant if one is given."""
    email = f"{name}-{secrets.token_hex(6)}@example.com"
    slug = None if tenant is None else tenant.slug
    person = api.catalog.people.create(email, name, PASSWORD, OPERATOR, tenant=slug, role=role)
    return Account(api, person.id, email)


def bare_tenant(api: Api) -> Tenant:
    """A tenant in the catalogue alone, for tests that no event is about: its database takes the longest to make."""
    return Tenant(api, api.catalog.create_tenant(f"p_{secrets.token_hex(6)}").slug)


def stranger(api: Api) -> Caller:
    """Somebody without credentials."""
    return Caller(api.url, {})


def bearer(api: Api, token: str) -> Caller:
    """Whoever has this token."""
    return Caller(api.url, {"Authorization": f"Bearer {token}"})


def membership_id(tenant: Tenant, who: Account) -> int:
    """The id of somebody's place in the team."""
    [found] = [one.id for one in tenant.api.catalog.people.team(tenant.slug) if one.person.id == who.id]
    return found
