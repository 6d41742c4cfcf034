"""The door to people, teams and keys: each method is one transaction and answers with frozen records."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from segops_orchestration.catalog import api_keys, audit, people, tenants
from segops_orchestration.catalog.people_records import Actor, ApiKey, AuditEntry, KeyKind, Person, Role, TeamMember
from segops_orchestration.catalog.secret_box import SecretBox, SecretKeyError
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import NotFound


@dataclass(frozen=True, repr=False)
class NewApiKey:
    """A key that was just made: ``key``, and for public ones ``hmac_secret`` (hex), are shown this once."""

    record: ApiKey
    key: str
    hmac_secret: str | None


class PeopleCatalog:
    """People, their roles in tenants, API keys, and the audit log; ``Catalog.people``.

    Any method raises ``NotFound`` for a tenant, person or key that does not exist. What changes something takes the
    ``Actor`` who does it, for the audit log.
    """

    def __init__(self, transactions: Transactions, secret_box: SecretBox | None) -> None:
        self._transactions = transactions
        self._secrets = secret_box

    # People

    def create(self, email: str, name: str, password_hash: str | None, actor: Actor) -> Person:
        """Add a person, in no tenant yet. Raises InvalidDocument, Conflict."""
        with self._transactions.write() as (session, now):
            row = people.create(session, email, name, password_hash, now)
            audit.note(session, None, actor, "person.create", row.email, now)
            return people.record(row)

    def every(self) -> list[Person]:
        """Everybody, by email."""
        with self._transactions.read() as session:
            return people.every(session)

    def active_person(self, person_id: int) -> Person | None:
        """Somebody who may log in; None if there is no such person or they are locked out."""
        with self._transactions.read() as session:
            try:
                row = people.by_id(session, person_id)
            except NotFound:
                return None
            return people.record(row) if row.status == "active" else None

    def teams_of(self, person_id: int) -> list[TeamMember]:
        """The active tenants that a person is in, by slug."""
        with self._transactions.read() as session:
            return people.teams_of(session, person_id)

    # Teams

    def team(self, tenant: str) -> list[TeamMember]:
        """Everybody in a tenant, by email."""
        with self._transactions.read() as session:
            return people.team(session, tenants.get(session, tenant).id)

    def join(self, tenant: str, email: str, role: Role, actor: Actor) -> TeamMember:
        """Put a person into a tenant. Raises InvalidDocument, Conflict."""
        with self._transactions.write() as (session, now):
            row = tenants.lock_active(session, tenant)
            member = people.join(session, row, people.by_email(session, email), role, now)
            audit.note(session, row.id, actor, "team.add", member.person.email, now, {"role": role})
            return member

    # Keys

    def create_key(
        self, tenant: str, name: str, kind: KeyKind, role: Role, allowed_origins: Sequence[str], actor: Actor
    ) -> NewApiKey:
        """Make a key. Raises SecretKeyError when a public key's secret cannot be encrypted."""
        key = api_keys.new_key(kind)
        hmac_secret = secrets.token_hex(32) if kind == "public" else None
        sealed = None if hmac_secret is None else self._box().seal(hmac_secret)
        with self._transactions.write() as (session, now):
            row = tenants.lock_active(session, tenant)
            made = api_keys.create(session, row, key, kind, name, role, sealed, allowed_origins, actor.name, now)
            audit.note(session, row.id, actor, "key.create", _named(made), now, {"kind": kind, "role": role})
        return NewApiKey(made, key, hmac_secret)

    def keys(self, tenant: str, *, include_revoked: bool = False) -> list[ApiKey]:
        """A tenant's keys, oldest first."""
        with self._transactions.read() as session:
            return api_keys.of_tenant(session, tenants.get(session, tenant), include_revoked=include_revoked)

    def key(self, key: str) -> ApiKey | None:
        """The record of a key that works, by the key itself."""
        with self._transactions.read() as session:
            return api_keys.by_key(session, key)

    def revoke_key(self, tenant: str, key_id: int, actor: Actor) -> ApiKey:
        """From now on the key opens nothing."""
        with self._transactions.write() as (session, now):
            row = tenants.lock(session, tenant)
            found = api_keys.find(session, row, key_id)
            found.revoked_at = now
            revoked = api_keys.record(found, row.slug)
            audit.note(session, row.id, actor, "key.revoke", _named(revoked), now)
            return revoked

    # Audit

    def audit_entries(self, tenant: str | None, *, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """The newest changes in a tenant (None: to what belongs to none), newest first."""
        with self._transactions.read() as session:
            tenant_id = None if tenant is None else tenants.get(session, tenant).id
            return audit.entries(session, tenant_id, before=before, limit=limit)

    def _box(self) -> SecretBox:
        if self._secrets is None:
            raise SecretKeyError("this catalogue was opened without a key for secrets: open it with Catalog.open")
        return self._secrets


def _named(key: ApiKey) -> str:
    return f"{key.id} ({key.name})"
