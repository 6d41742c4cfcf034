"""API keys of tenants. Every function works inside its caller's transaction; the keys themselves are never stored."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_records import ApiKey, KeyKind, Role
from segops_orchestration.catalog.people_tables import ApiKeyRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.dsl.wording import found
from segops_orchestration.errors import InvalidDocument, NotFound, Problem

PREFIXES: dict[KeyKind, str] = {"secret": "sk_", "public": "pk_"}
ANY_ORIGIN = "*"
USE_NOTED_EVERY = timedelta(minutes=1)
_HINT_CHARACTERS = 9
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def new_key(kind: KeyKind) -> str:
    """A key of 256 random bits."""
    return PREFIXES[kind] + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """What is stored in place of a key. A fast hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


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
    row = session.execute(_working().where(ApiKeyRow.key_hash == key_hash(key))).first()
    return None if row is None else record(row[0], row[1])


def by_id(session: Session, key_id: int) -> ApiKey | None:
    """The record of a key that works, as ``by_key``."""
    row = session.execute(_working().where(ApiKeyRow.id == key_id)).first()
    return None if row is None else record(row[0], row[1])


def public_key(session: Session, key: str) -> tuple[ApiKey, str] | None:
    """The record of a public key that works, and its encrypted hmac secret."""
    row = session.execute(_working().where(ApiKeyRow.key_hash == key_hash(key), ApiKeyRow.kind == "public")).first()
    if row is None or row[0].hmac_secret is None:
        return None
    return record(row[0], row[1]), row[0].hmac_secret


def public_origins(session: Session) -> frozenset[str]:
    """The origins that any public key allows."""
    query = _working().where(ApiKeyRow.kind == "public").with_only_columns(ApiKeyRow.allowed_origins).distinct()
    return frozenset(origin for origins in session.scalars(query) for origin in json.loads(origins))


def note_use(session: Session, key_id: int, now: datetime) -> None:
    """Write down that a key was used, unless that was written less than a minute ago."""
    session.execute(
        update(ApiKeyRow)
        .where(
            ApiKeyRow.id == key_id,
            or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= now - USE_NOTED_EVERY),
        )
        .values(last_used_at=now)
    )


def seal_again(session: Session, seal: Callable[[str, str], str]) -> int:
    """Replace the secret of every public key by what ``seal`` makes of it and of its name; how many there are."""
    query = select(ApiKeyRow).where(ApiKeyRow.hmac_secret.is_not(None)).order_by(ApiKeyRow.id).with_for_update()
    rows = session.scalars(query).all()
    for row in rows:
        row.hmac_secret = seal(row.hmac_secret or "", what(row.id))
    return len(rows)


def what(key_id: int) -> str:
    """What a public key's secret is called in errors."""
    return f"the hmac secret of API key {key_id}"


def check_origins(kind: KeyKind, origins: Sequence[str]) -> None:
    """Refuse what browsers never send as an origin.

    Raises:
        InvalidDocument: what was found and what is allowed.
    """
    if kind == "secret" and origins:
        raise InvalidDocument([Problem("allowed_origins", "only public keys have them; secret keys are for servers")])
    problems = [
        Problem(
            f"allowed_origins[{index}]",
            f"{found(origin)} is not an origin; write scheme://host or scheme://host:port in lower case, as in "
            "https://shop.example, or * for all",
        )
        for index, origin in enumerate(origins)
        if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin)
    ]
    if problems:
        raise InvalidDocument(problems)


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


def _working() -> Select[ApiKeyRow, str]:
    return (
        select(ApiKeyRow, TenantRow.slug)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.revoked_at.is_(None), TenantRow.status == "active")
    )


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
