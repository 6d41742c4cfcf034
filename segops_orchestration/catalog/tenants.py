"""Tenants in the catalogue. Every function works inside its caller's transaction."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog.records import Status, Tenant
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.dsl.wording import did_you_mean, found
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

_SLUG = re.compile(r"[a-z][a-z0-9_]{1,38}")


def check_slug(slug: str) -> None:
    """Refuse a slug that cannot name a tenant's ClickHouse database.

    Raises:
        InvalidDocument: what was found and what is allowed.
    """
    if not _SLUG.fullmatch(slug):
        rule = "2 to 39 characters: a lower-case letter, then lower-case letters, digits or underscores"
        raise InvalidDocument([Problem("tenant slug", f"{found(slug)} is not allowed; {rule}")])


def create(session: Session, slug: str, name: str | None, now: datetime) -> Tenant:
    """Insert a tenant.

    Raises:
        InvalidDocument: the slug is not allowed.
        Conflict: the slug is in use, by an archived tenant too.
    """
    require_free_slug(session, slug)
    row = TenantRow(slug=slug, name=name or slug, status="active", created_at=now)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        # On Postgres two may look at once; the unique slug lets one of them through.
        raise Conflict(_exists(slug)) from error
    return record(row)


def require_free_slug(session: Session, slug: str) -> None:
    """Refuse a slug that no new tenant can have.

    Raises:
        InvalidDocument: it is not allowed.
        Conflict: it is in use, by an archived tenant too.
    """
    check_slug(slug)
    taken = _find(session, slug)
    if taken is None:
        return
    if taken.status == "archived":
        raise Conflict(f"tenant {slug!r} is archived; segops tenants restore {slug} takes it back")
    raise Conflict(_exists(slug))


def every(session: Session, *, include_archived: bool) -> list[Tenant]:
    """Tenants by slug."""
    query = select(TenantRow).order_by(TenantRow.slug)
    if not include_archived:
        query = query.where(TenantRow.status == "active")
    return [record(row) for row in session.scalars(query)]


def set_status(session: Session, slug: str, status: Status) -> Tenant:
    """Archive a tenant or take it back; nothing of it is deleted.

    Raises:
        NotFound: no such tenant.
    """
    row = lock(session, slug)
    row.status = status
    session.flush()
    return record(row)


def get(session: Session, slug: str) -> TenantRow:
    """The tenant's row, archived or not.

    Raises:
        NotFound: no such tenant; names the nearest spelling.
    """
    row = _find(session, slug)
    if row is None:
        raise _not_found(session, slug)
    return row


def lock(session: Session, slug: str) -> TenantRow:
    """``get``, and until the transaction ends no other transaction passes here for the same tenant.

    On SQLite the whole database is locked by then; Postgres locks the tenant's row.
    """
    query = select(TenantRow).where(TenantRow.slug == slug)
    # key_share: rows that refer to the tenant may still be inserted by whoever does not pass here.
    row = session.scalar(query.with_for_update(key_share=True))
    if row is None:
        raise _not_found(session, slug)
    return row


def lock_active(session: Session, slug: str) -> TenantRow:
    """``lock`` for work that an archived tenant no longer takes part in.

    Raises:
        NotFound: no such tenant.
        Conflict: the tenant is archived.
    """
    return require_active(lock(session, slug))


def require_active(row: TenantRow) -> TenantRow:
    """The row itself.

    Raises:
        Conflict: the tenant is archived.
    """
    if row.status == "archived":
        raise Conflict(
            f"tenant {row.slug!r} is archived and takes no changes or computations; "
            f"segops tenants restore {row.slug} takes it back"
        )
    return row


def record(row: TenantRow) -> Tenant:
    """The row as a frozen record."""
    return Tenant(row.id, row.slug, row.name, row.status, row.created_at)


def _find(session: Session, slug: str) -> TenantRow | None:
    return session.scalar(select(TenantRow).where(TenantRow.slug == slug))


def _exists(slug: str) -> str:
    return f"tenant {slug!r} exists already"


def _not_found(session: Session, slug: str) -> NotFound:
    known = session.scalars(select(TenantRow.slug).order_by(TenantRow.slug)).all()
    if not known:
        return NotFound(
            f"no tenant {found(slug)}; there are none yet in this catalogue (SEGOPS_HOME, default .segops in the"
            " working directory, says which): segops tenants create SLUG"
        )
    return NotFound(f"no tenant {found(slug)}{did_you_mean(slug, known)}")
