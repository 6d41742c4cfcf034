"""API keys of tenants. Every function works inside its caller's transaction; the keys themselves are never stored."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_records import ApiKey, KeyKind, Role
from segops_orchestration.catalog.people_tables import ApiKeyRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.errors import NotFound

PREFIXES: dict[KeyKind, str] = {"secret": "sk_", "public": "pk_"}
_HINT_CHARACTERS = 9


def new_key(kind: KeyKind) -> str:
    """A key of 256 random bits."""
    return PREFIXES[kind] + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """What is stored in place of a key. A fast hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    session: Session,
    tenant: TenantRow,
    key: str,
    kind: KeyKind,
    name: str,
    role: Role,
    hmac_secret: str | None,
    allowed_origins: Sequence[str],
    created_by: str,
    now: datetime,
) -> ApiKey:
    """Store a key; ``hmac_secret`` is encrypted."""
    row = ApiKeyRow(
        tenant_id=tenant.id,
        kind=kind,
        name=name,
        role=role,
        hint=key[:_HINT_CHARACTERS],
        key_hash=key_hash(key),
        hmac_secret=hmac_secret,
        allowed_origins=json.dumps(list(allowed_origins)),
        created_by=created_by,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return record(row, tenant.slug)


def by_key(session: Session, key: str) -> ApiKey | None:
    """The record of a key that works: known, not revoked, its tenant active."""
    query = (
        select(ApiKeyRow, TenantRow.slug)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.key_hash == key_hash(key), ApiKeyRow.revoked_at.is_(None), TenantRow.status == "active")
    )
    found = session.execute(query).first()
    return None if found is None else record(found[0], found[1])


def of_tenant(session: Session, tenant: TenantRow, *, include_revoked: bool = False) -> list[ApiKey]:
    """A tenant's keys, oldest first."""
    query = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant.id).order_by(ApiKeyRow.id)
    if not include_revoked:
        query = query.where(ApiKeyRow.revoked_at.is_(None))
    return [record(row, tenant.slug) for row in session.scalars(query)]


def find(session: Session, tenant: TenantRow, key_id: int) -> ApiKeyRow:
    """One key of this tenant that works.

    Raises:
        NotFound: this tenant has none such, or it is revoked.
    """
    row = session.get(ApiKeyRow, key_id)
    if row is None or row.tenant_id != tenant.id or row.revoked_at is not None:
        raise NotFound(f"no API key {key_id}")
    return row


def record(row: ApiKeyRow, tenant: str) -> ApiKey:
    """The row as a frozen record."""
    return ApiKey(
        row.id,
        tenant,
        row.kind,
        row.name,
        row.role,
        row.hint,
        tuple(json.loads(row.allowed_origins)),
        row.created_by,
        row.created_at,
        row.last_used_at,
        row.revoked_at,
    )
