"""What the catalogue says of people, teams and keys. Frozen, and without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

PersonStatus = Literal["active", "disabled"]
Role = Literal["owner", "admin", "member", "viewer"]
KeyKind = Literal["secret", "public"]
ActorKind = Literal["person", "key", "operator"]

# What each role may do, the next one may do too.
ROLES: tuple[Role, ...] = ("viewer", "member", "admin", "owner")


def role_at_least(role: Role, least: Role) -> bool:
    """Whether a role may do what ``least`` may do."""
    return ROLES.index(role) >= ROLES.index(least)


@dataclass(frozen=True)
class Person:
    """Somebody who can log in."""

    id: int
    email: str
    name: str
    status: PersonStatus
    has_password: bool
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True)
class TeamMember:
    """A person in a tenant. ``id`` is the membership's own."""

    id: int
    tenant: str
    person: Person
    role: Role
    created_at: datetime


@dataclass(frozen=True)
class ApiKey:
    """A key of a tenant, without the key itself. ``hint`` is its beginning."""

    id: int
    tenant: str
    kind: KeyKind
    name: str
    role: Role
    hint: str
    allowed_origins: tuple[str, ...]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Actor:
    """Who does something: a person's email, ``key 3 (importer)``, or an operator at the command line."""

    kind: ActorKind
    name: str


@dataclass(frozen=True)
class AuditEntry:
    """One change and who made it."""

    id: int
    tenant: str | None
    at: datetime
    actor: Actor
    action: str
    target: str
    details: Mapping[str, Any]
