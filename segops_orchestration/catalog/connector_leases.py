"""Leases of connectors: one sync per connector at a time, whoever started it.

As the leases of tenants, but of shorter work: the token is checked before every request to the platform and in the
transaction of everything that is written down. Every function works inside its caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import connectors, tenants
from segops_orchestration.catalog.connector_records import ConnectorLease
from segops_orchestration.catalog.connector_tables import ConnectorLeaseRow, ConnectorRow
from segops_orchestration.catalog.lease_rows import give_back, prolong, take
from segops_orchestration.errors import ConnectorBusy, SegOpsError


class ConnectorLeaseLost(SegOpsError):
    """The lease expired and another sync took the connector over, or it was released."""

    def __init__(self, lease: ConnectorLease) -> None:
        super().__init__(
            f"the lease on connector {lease.connector!r} of tenant {lease.tenant!r} held by {lease.owner} is lost: it "
            "was not renewed in time and another sync took over; what this one had sent and recorded stays, the other "
            "goes on from there"
        )
        self.lease = lease


def acquire(
    session: Session,
    tenant_slug: str,
    slug: str,
    owner: str,
    run_id: str | None,
    ttl_seconds: float,
    now: datetime,
) -> ConnectorLease:
    """Take the connector's lease, or that of a holder who let it expire.

    Raises:
        NotFound, Conflict: no such tenant or connector, or the tenant is archived.
        ConnectorBusy: somebody holds it.
    """
    tenants.require_active(tenants.get(session, tenant_slug))
    connector = connectors.lock(session, tenant_slug, slug)
    # Locked as well: its holder renews without the connector's lock.
    row = session.get(ConnectorLeaseRow, connector.id, with_for_update=True)
    if row is not None and row.expires_at > now:
        raise ConnectorBusy(tenant_slug, slug, row.owner)
    if row is None:
        row = ConnectorLeaseRow(connector_id=connector.id)
        session.add(row)
    take(row, owner, run_id, ttl_seconds, now)
    session.flush()
    return _record(row, tenant_slug, slug, ttl_seconds)


def renew(session: Session, lease: ConnectorLease, now: datetime) -> ConnectorLease:
    """Hold the lease for another time to live from now, also one that expired and that nobody has taken.

    Raises:
        ConnectorLeaseLost: it is somebody else's by now.
    """
    if not prolong(session, _ours(lease), ConnectorLeaseRow, lease.ttl_seconds, now):
        raise ConnectorLeaseLost(lease)
    row = session.get_one(ConnectorLeaseRow, lease.connector_id)
    return _record(row, lease.tenant, lease.connector, lease.ttl_seconds)


def release(session: Session, lease: ConnectorLease) -> bool:
    """Give the lease back. False when it was no longer ours; nobody else's is touched."""
    return give_back(session, _ours(lease), ConnectorLeaseRow)


def check(session: Session, lease: ConnectorLease) -> None:
    """Refuse to go on without the lease; somebody may take it the moment after.

    Raises:
        ConnectorLeaseLost: it is somebody else's by now.
    """
    token = session.scalar(select(ConnectorLeaseRow.token).where(ConnectorLeaseRow.connector_id == lease.connector_id))
    if token != lease.token:
        raise ConnectorLeaseLost(lease)


def require(session: Session, lease: ConnectorLease) -> ConnectorRow:
    """``check``, and nobody can take it before the transaction ends. The connector's row, locked.

    Raises:
        ConnectorLeaseLost: it is somebody else's by now, or the connector is gone.
    """
    # The connector's row is what ``acquire`` locks too, and first: one order, no deadlock.
    query = select(ConnectorRow).where(ConnectorRow.id == lease.connector_id)
    row = session.scalar(query.with_for_update(key_share=True))
    if row is None:
        raise ConnectorLeaseLost(lease)
    check(session, lease)
    return row


def holder(session: Session, tenant_slug: str, slug: str, now: datetime) -> ConnectorLease | None:
    """The lease in force on a connector, if any.

    Raises:
        NotFound: no such tenant or connector.
    """
    connector = connectors.get(session, tenant_slug, slug)
    row = session.get(ConnectorLeaseRow, connector.id)
    if row is None or row.expires_at <= now:
        return None
    return _record(row, tenant_slug, slug, (row.expires_at - row.heartbeat_at).total_seconds())


def _ours(lease: ConnectorLease) -> ColumnElement[bool]:
    return and_(ConnectorLeaseRow.connector_id == lease.connector_id, ConnectorLeaseRow.token == lease.token)


def _record(row: ConnectorLeaseRow, tenant_slug: str, slug: str, ttl_seconds: float) -> ConnectorLease:
    return ConnectorLease(
        tenant=tenant_slug,
        connector=slug,
        connector_id=row.connector_id,
        owner=row.owner,
        run_id=row.run_id,
        token=row.token,
        ttl_seconds=ttl_seconds,
        acquired_at=row.acquired_at,
        heartbeat_at=row.heartbeat_at,
        expires_at=row.expires_at,
    )
