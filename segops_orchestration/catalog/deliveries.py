"""How far connectors are delivered, by the catalogue alone: a handful of queries, however many connectors there are.

Every function works inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from segops_orchestration.catalog import connectors, syncs
from segops_orchestration.catalog.connector_records import Connector, Delivery
from segops_orchestration.catalog.connector_tables import ConnectorLeaseRow, ConnectorRow, HoldRow, SyncRow
from segops_orchestration.catalog.tables import SegmentComputationRow, SegmentRow

# A paused connector, or one with an error, is not delivered whatever has changed, and may stay so for long.
_LOOKED_AT = ("active", "held")


@dataclass(frozen=True)
class _Changes:
    since: datetime | None
    up_to: int
    users: int


def every(session: Session, tenant_slug: str | None, now: datetime) -> list[Delivery]:
    """The connectors of one tenant, or of all active ones, by tenant and slug.

    Raises:
        NotFound: no such tenant.
    """
    found = connectors.every(session, tenant_slug)
    if not found:
        return []
    ids = [one.id for one in found] if tenant_slug is not None else None
    last = _last_syncs(session, ids)
    changes = _changes(session, ids)
    holders = _holders(session, ids, now)
    approved = _approved(session, ids)
    archived = _archived_at(session, ids)
    return [
        _delivery(one, last.get(one.id), changes.get(one.id), holders.get(one.id), one.id in approved, archived)
        for one in found
    ]


def _delivery(
    connector: Connector,
    last: SyncRow | None,
    changes: _Changes | None,
    holder: str | None,
    approved: bool,
    archived: dict[int, datetime],
) -> Delivery:
    return Delivery(
        connector=connector,
        last=syncs.record(last, connector.slug) if last is not None else None,
        changed_since=changes.since if changes else None,
        changed_up_to=changes.up_to if changes else 0,
        changes=changes.users if changes else 0,
        approved=approved,
        holder=holder,
        archived_at=archived.get(connector.id),
    )


def _last_syncs(session: Session, ids: Sequence[int] | None) -> dict[int, SyncRow]:
    """The last sync of each connector that was to change its audience."""
    row = aliased(SyncRow)
    newest = (
        select(row.id)
        .where(row.connector_id == ConnectorRow.id, row.kind.in_(syncs.SENDING))
        .order_by(row.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(SyncRow).join(ConnectorRow, SyncRow.id == newest)
    if ids is not None:
        query = query.where(ConnectorRow.id.in_(ids))
    return {one.connector_id: one for one in session.scalars(query)}


def _changes(session: Session, ids: Sequence[int] | None) -> dict[int, _Changes]:
    """Of each connector: since when, up to which computation, and how many users its segment has changed unsent."""
    part, sync = SegmentComputationRow, aliased(SyncRow)
    sent = (
        select(sync.computation_id)
        .where(sync.connector_id == ConnectorRow.id, sync.kind.in_(syncs.SENDING))
        .order_by(sync.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    those = select(ConnectorRow.id, ConnectorRow.segment_id, func.coalesce(sent, 0).label("sent"))
    those = those.where(ConnectorRow.status.in_(_LOOKED_AT))
    if ids is not None:
        those = those.where(ConnectorRow.id.in_(ids))
    # Worked out once a connector, so that it bounds the range of an index; merged into the join, once a computation.
    seen = those.cte("seen").prefix_with("MATERIALIZED")
    query = (
        select(
            seen.c.id,
            func.min(part.committed_at),
            func.max(part.computation_id),
            func.sum(func.coalesce(part.entered, 0) + func.coalesce(part.exited, 0)),
        )
        .join(part, and_(part.segment_id == seen.c.segment_id, part.computation_id > seen.c.sent))
        .where(part.status == "committed", or_(part.entered > 0, part.exited > 0))
        .group_by(seen.c.id)
    )
    return {connector_id: _Changes(since, up_to, users) for connector_id, since, up_to, users in session.execute(query)}


def _holders(session: Session, ids: Sequence[int] | None, now: datetime) -> dict[int, str]:
    """Who syncs what at this moment."""
    lease = ConnectorLeaseRow
    query = select(lease.connector_id, lease.owner).where(lease.expires_at > now)
    if ids is not None:
        query = query.where(lease.connector_id.in_(ids))
    return {connector_id: owner for connector_id, owner in session.execute(query)}


def _approved(session: Session, ids: Sequence[int] | None) -> set[int]:
    """Connectors with a difference that somebody has let go and that was not sent yet."""
    query = select(HoldRow.connector_id).where(HoldRow.status.in_(("approved", "approved_adds")))
    if ids is not None:
        query = query.where(HoldRow.connector_id.in_(ids))
    return set(session.scalars(query))


def _archived_at(session: Session, ids: Sequence[int] | None) -> dict[int, datetime]:
    query = (
        select(ConnectorRow.id, SegmentRow.updated_at)
        .join(SegmentRow, SegmentRow.id == ConnectorRow.segment_id)
        .where(SegmentRow.status == "archived")
    )
    if ids is not None:
        query = query.where(ConnectorRow.id.in_(ids))
    return {connector_id: at for connector_id, at in session.execute(query)}
