"""The door to people, teams and keys: each method is one transaction and answers with frozen records."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from segops_orchestration.catalog import api_keys, audit, passwords, people, sessions, teams, tenants
from segops_orchestration.catalog.people_records import (
    Actor,
    ApiKey,
    AuditEntry,
    KeyKind,
    Person,
    PersonStatus,
    Role,
    TeamMember,
)
from segops_orchestration.catalog.secret_box import SecretBox, SecretKeyError
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import Conflict


@dataclass(frozen=True, repr=False)
class NewApiKey:
    """A key that was just made: ``key``, and for public ones ``hmac_secret`` (hex), are shown this once."""

    record: ApiKey
    key: str
    hmac_secret: str | None


@dataclass(frozen=True)
class Added:
    """Somebody who was added to a team. ``invitation``, for who has yet to choose a password, is shown this once."""

    member: TeamMember
    created: bool
    invitation: str | None = field(repr=False)
    invitation_expires_at: datetime | None


class PeopleCatalog:
    """People, their roles in tenants, API keys, and the audit log; ``Catalog.people``.

    Any method raises ``NotFound`` for a tenant, person or key that does not exist. What changes something takes the
    ``Actor`` who does it, for the audit log.
    """

    def __init__(self, transactions: Transactions, secret_box: SecretBox | None) -> None:
        self._transactions = transactions
        self._secrets = secret_box

    # People

    def create(
        self,
        email: str,
        name: str,
        password: str | None,
        actor: Actor,
        *,
        tenant: str | None = None,
        role: Role = "member",
    ) -> Person:
        """Add a person, and put them into a tenant if one is named: both or neither. Raises InvalidDocument, Conflict.

        Without a password they cannot log in until they have chosen one (``Catalog.sessions.invite``).
        """
        address = people.normal_email(email)
        if password is not None:
            passwords.check_password(password, address)
        password_hash = None if password is None else passwords.hash_password(password)
        with self._transactions.write() as (session, now):
            home = None if tenant is None else tenants.lock_active(session, tenant)
            row = people.create(session, address, name, password_hash, now)
            audit.note(session, None, actor, "person.create", row.email, now)
            if home is not None:
                teams.join(session, home, row, role, None, now)
                audit.note(session, home.id, actor, "team.add", row.email, now, {"role": role})
            return people.record(row)

    def every(self) -> list[Person]:
        """Everybody, by email."""
        with self._transactions.read() as session:
            return people.every(session)

    def get(self, email: str) -> Person:
        """The person with an address. Raises InvalidDocument."""
        with self._transactions.read() as session:
            return people.record(people.by_email(session, email))

    def set_status(self, email: str, status: PersonStatus, actor: Actor) -> Person:
        """Lock a person out, which ends their sessions at once, or let them in again."""
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, people.by_email(session, email).id)
            assert row is not None, "people are never deleted"
            if row.status != status:
                row.status = status
                sessions.end_all(session, row, now)
                verb = "disable" if status == "disabled" else "enable"
                audit.note(session, None, actor, f"person.{verb}", row.email, now)
            return people.record(row)

    def teams_of(self, person_id: int) -> list[TeamMember]:
        """The active tenants that a person is in, by slug."""
        with self._transactions.read() as session:
            return teams.of_person(session, person_id)

    # Teams. ``by`` is the person who changes something, None an operator: ``teams.py`` says what they may do,
    # and raises Forbidden and Conflict.

    def team(self, tenant: str) -> list[TeamMember]:
        """Everybody in a tenant, by email."""
        with self._transactions.read() as session:
            return teams.of_tenant(session, tenants.get(session, tenant).id)

    def add_member(
        self, tenant: str, email: str, name: str, role: Role, actor: Actor, *, by: int | None = None
    ) -> Added:
        """Put a person into a tenant, who is created if nobody has that address. Raises InvalidDocument.

        Whoever has no password yet gets an invitation, unless another tenant invited them: who holds that tenant's
        invitation would then be in this one, so Conflict.
        """
        address = people.normal_email(email)
        with self._transactions.write() as (session, now):
            row = tenants.lock_active(session, tenant)
            person, created = people.find_or_create(session, address, name, now)
            if created:
                audit.note(session, None, actor, "person.create", person.email, now)
            locked = sessions.lock(session, person.id)
            assert locked is not None, "people are never deleted"
            if person.status != "active":
                raise Conflict(f"{person.email} is locked out")
            if person.password_hash is None and teams.in_others(session, row, person):
                raise Conflict(
                    f"{person.email} is invited, and has no password yet; add them when they have chosen one"
                )
            member = teams.join(session, row, person, role, by, now)
            audit.note(session, row.id, actor, "team.add", member.person.email, now, {"role": role})
            if person.password_hash is not None:
                return Added(member, created, None, None)
            return Added(member, created, *sessions.invite(session, person, actor.name, now))

    def change_role(
        self, tenant: str, member: int | str, role: Role, actor: Actor, *, by: int | None = None
    ) -> TeamMember:
        """Give a member, by id or email, another role; the owner's is transferred."""
        with self._transactions.write() as (session, now):
            row = tenants.lock_active(session, tenant)
            found, person = teams.find(session, row, member)
            before = found.role
            changed = teams.change_role(session, row, found, person, role, by)
            if before != role:
                audit.note(session, row.id, actor, "team.role", person.email, now, {"from": before, "to": role})
            return changed

    def remove_member(self, tenant: str, member: int | str, actor: Actor, *, by: int | None = None) -> TeamMember:
        """Take a member, by id or email, out of a tenant. The person and their other tenants stay."""
        with self._transactions.write() as (session, now):
            row = tenants.lock(session, tenant)
            gone = teams.remove(session, row, *teams.find(session, row, member), by)
            audit.note(session, row.id, actor, "team.remove", gone.person.email, now, {"role": gone.role})
            return gone

    def transfer_ownership(self, tenant: str, member: int | str, actor: Actor, *, by: int | None = None) -> TeamMember:
        """Make a member, by id or email, the owner; the owner so far becomes admin."""
        with self._transactions.write() as (session, now):
            row = tenants.lock_active(session, tenant)
            owner, former = teams.transfer(session, row, *teams.find(session, row, member), by)
            audit.note(session, row.id, actor, "team.transfer", owner.person.email, now, {"from": former})
            return owner

    # Keys

    def create_key(
        self, tenant: str, name: str, kind: KeyKind, role: Role, allowed_origins: Sequence[str], actor: Actor
    ) -> NewApiKey:
        """Make a key. Raises InvalidDocument, SecretKeyError when a public key's secret cannot be encrypted."""
        api_keys.check_origins(kind, allowed_origins)
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

    def key_by_id(self, key_id: int) -> ApiKey | None:
        """The record of a key that works."""
        with self._transactions.read() as session:
            return api_keys.by_id(session, key_id)

    def session_key(self, key: str) -> tuple[ApiKey, str] | None:
        """The record of a public key that works and its hmac secret (hex), by the key itself."""
        with self._transactions.read() as session:
            found = api_keys.public_key(session, key)
        if found is None:
            return None
        record, sealed = found
        return record, self._box().open(sealed, api_keys.what(record.id))

    def public_origins(self) -> frozenset[str]:
        """The origins that any public key allows."""
        with self._transactions.read() as session:
            return api_keys.public_origins(session)

    def note_key_use(self, key_id: int) -> None:
        """The key was used just now; written once a minute at most."""
        with self._transactions.write() as (session, now):
            api_keys.note_use(session, key_id, now)

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

    def audit_page(self, tenant: str, offset: int, limit: int) -> tuple[list[AuditEntry], int]:
        """Some of a tenant's entries, newest first, and how many there are in all."""
        with self._transactions.read() as session:
            tenant_id = tenants.get(session, tenant).id
            found = audit.entries(session, tenant_id, before=None, limit=limit, offset=offset)
            return found, audit.count(session, tenant_id)

    def _box(self) -> SecretBox:
        if self._secrets is None:
            raise SecretKeyError("this catalogue was opened without a key for secrets: open it with Catalog.open")
        return self._secrets


def _named(key: ApiKey) -> str:
    return f"{key.id} ({key.name})"
