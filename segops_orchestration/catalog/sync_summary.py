"""The sync log in short: of many connectors at once, and page by page. Each works inside its caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog.connector_records import Connector, Sync
from segops_orchestration.catalog.connector_tables import ConnectorRow, SyncRow
from segops_orchestration.catalog.syncs import SENDING, record


@dataclass(frozen=True)
class SyncSummary:
    """One connector: when it last sent all it had to, and its newest ended syncs, the newest first."""

    last_synced_at: datetime | None
    newest: tuple[Sync, ...]


def every(session: Session, tenant_id: int, newest: int) -> dict[int, SyncSummary]:
    """By connector, of those that have synced at all: two queries, however many there are."""
    ended = (
        select(SyncRow)
        .join(ConnectorRow, ConnectorRow.id == SyncRow.connector_id)
        .where(ConnectorRow.tenant_id == tenant_id, SyncRow.kind.in_(SENDING), SyncRow.status != "running")
    )
    last = session.execute(
        ended.with_only_columns(SyncRow.connector_id, func.max(SyncRow.finished_at))
        .where(SyncRow.status == "succeeded")
        .group_by(SyncRow.connector_id)
    )
    last_by_connector = {connector_id: at for connector_id, at in last}
    place = func.row_number().over(partition_by=SyncRow.connector_id, order_by=SyncRow.id.desc())
    numbered = ended.with_only_columns(SyncRow.id, place.label("place")).subquery()
    rows = session.execute(
        select(SyncRow, ConnectorRow.slug)
        .join(numbered, numbered.c.id == SyncRow.id)
        .join(ConnectorRow, ConnectorRow.id == SyncRow.connector_id)
        .where(numbered.c.place <= newest)
        .order_by(SyncRow.connector_id, SyncRow.id.desc())
    )
    found: dict[int, list[Sync]] = {}
    for row, slug in rows:
        found.setdefault(row.connector_id, []).append(record(row, slug))
    return {one: SyncSummary(last_by_connector.get(one), tuple(syncs)) for one, syncs in found.items()}


def count(session: Session, connector_id: int) -> int:
    """How many lines the connector's sync log has."""
    found = session.scalar(select(func.count()).select_from(SyncRow).where(SyncRow.connector_id == connector_id))
    return int(found or 0)


def page(session: Session, connector: Connector, limit: int, offset: int) -> list[Sync]:
    """A part of the connector's sync log, the newest first."""
    query = select(SyncRow).where(SyncRow.connector_id == connector.id).order_by(SyncRow.id.desc())
    return [record(row, connector.slug) for row in session.scalars(query.limit(limit).offset(offset))]
