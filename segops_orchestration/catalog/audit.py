"""Who changed what. Entries are written in the transaction of the change, so neither is without the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_records import Actor, AuditEntry
from segops_orchestration.catalog.people_tables import AuditEntryRow
from segops_orchestration.catalog.tables import TenantRow


def note(
    session: Session,
    tenant_id: int | None,
    actor: Actor,
    action: str,
    target: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry. ``action`` is a noun and a verb (``key.revoke``); ``details`` never hold a secret."""
    session.add(
        AuditEntryRow(
            tenant_id=tenant_id,
            at=now,
            actor_kind=actor.kind,
            actor=actor.name,
            action=action,
            target=target,
            details=json.dumps(details or {}, sort_keys=True),
        )
    )


def entries(
    session: Session, tenant_id: int | None, *, before: int | None, limit: int, offset: int = 0
) -> list[AuditEntry]:
    """A tenant's newest entries (None: of no tenant), newest first; ``before``, an entry's id, goes on from there."""
    query = (
        select(AuditEntryRow, TenantRow.slug)
        .outerjoin(TenantRow, TenantRow.id == AuditEntryRow.tenant_id)
        .where(_of(tenant_id))
        .order_by(AuditEntryRow.id.desc())
        .limit(limit)
        .offset(offset)
    )
    if before is not None:
        query = query.where(AuditEntryRow.id < before)
    return [_record(row, slug) for row, slug in session.execute(query)]


def count(session: Session, tenant_id: int | None) -> int:
    """How many entries there are."""
    return session.scalar(select(func.count()).select_from(AuditEntryRow).where(_of(tenant_id))) or 0


def _of(tenant_id: int | None) -> ColumnElement[bool]:
    return AuditEntryRow.tenant_id.is_(None) if tenant_id is None else AuditEntryRow.tenant_id == tenant_id


def _record(row: AuditEntryRow, slug: str | None) -> AuditEntry:
    actor = Actor(row.actor_kind, row.actor)
    return AuditEntry(row.id, slug, row.at, actor, row.action, row.target, json.loads(row.details))
