"""Leases: one computation per tenant at a time, whoever started it.

A lease is a row that expires unless its holder renews it, so a holder that was killed blocks its tenant for
one time to live at most. The holder's token proves possession: work that must not happen twice passes its
lease to the ledger, which checks the token in the same transaction.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import Session

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.lease_rows import give_back, prolong, take
from segops_orchestration.catalog.records import Lease
from segops_orchestration.catalog.tables import LeaseRow
from segops_orchestration.errors import SegOpsError, TenantBusy


class LeaseLost(SegOpsError):
    """The lease expired and somebody else took the tenant over, or it was released."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(
            f"the lease on tenant {lease.tenant!r} held by {lease.owner} is lost: it was not renewed in time "
            "and another computation took over; what this one had committed stays, the rest is computed again"
        )
        self.lease = lease


def acquire(
    session: Session, tenant_slug: str, owner: str, run_id: str | None, ttl_seconds: float, now: datetime
) -> Lease:
    """Take the tenant's lease, or that of a holder who let it expire.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        TenantBusy: somebody holds it.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    # Locked as well: its holder renews without the tenant's lock.
    row = session.get(LeaseRow, tenant.id, with_for_update=True)
    if row is not None and row.expires_at > now:
        raise TenantBusy(tenant_slug, row.owner)
    if row is None:
        row = LeaseRow(tenant_id=tenant.id)
        session.add(row)
    take(row, owner, run_id, ttl_seconds, now)
    session.flush()
    return _record(row, tenant_slug, ttl_seconds)


def renew(session: Session, lease: Lease, now: datetime) -> Lease:
    """Hold the lease for another time to live from now, also one that expired and that nobody has taken.

    Raises:
        LeaseLost: it is somebody else's by now.
    """
    if not prolong(session, _ours(lease), LeaseRow, lease.ttl_seconds, now):
        raise LeaseLost(lease)
    row = session.get_one(LeaseRow, lease.tenant_id)
    return _record(row, lease.tenant, lease.ttl_seconds)


def release(session: Session, lease: Lease) -> bool:
    """Give the lease back. False when it was no longer ours; nobody else's is touched."""
    return give_back(session, _ours(lease), LeaseRow)


def require(session: Session, lease: Lease) -> None:
    """Refuse to go on without the lease; nobody can take it before the transaction ends.

    Raises:
        LeaseLost: it is somebody else's by now.
    """
    # The tenant's row is what ``acquire`` locks too, and first: one order, no deadlock.
    tenants.lock(session, lease.tenant)
    row = session.get(LeaseRow, lease.tenant_id)
    if row is None or row.token != lease.token:
        raise LeaseLost(lease)


def holder(session: Session, tenant_slug: str, now: datetime) -> Lease | None:
    """The lease in force on a tenant, if any.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    row = session.get(LeaseRow, tenant.id)
    if row is None or row.expires_at <= now:
        return None
    return _record(row, tenant_slug, (row.expires_at - row.heartbeat_at).total_seconds())


def _ours(lease: Lease) -> ColumnElement[bool]:
    return and_(LeaseRow.tenant_id == lease.tenant_id, LeaseRow.token == lease.token)


def _record(row: LeaseRow, tenant_slug: str, ttl_seconds: float) -> Lease:
    return Lease(
        tenant=tenant_slug,
        tenant_id=row.tenant_id,
        owner=row.owner,
        run_id=row.run_id,
        token=row.token,
        ttl_seconds=ttl_seconds,
        acquired_at=row.acquired_at,
        heartbeat_at=row.heartbeat_at,
        expires_at=row.expires_at,
    )
