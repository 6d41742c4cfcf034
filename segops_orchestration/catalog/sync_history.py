"""Forgetting the sync log of long ago. Every function works inside its caller's transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog.connector_tables import HoldRow, JobRow, SyncRow

# So many at once: the catalogue is locked meanwhile.
_AT_ONCE = 1_000


def forget(session: Session, before: datetime) -> int:
    """Delete some syncs that ended before then, with their jobs and holds; how many, 0 when none is left.

    Of each connector the newest sync of each kind and outcome stays, and those with an open job or an undecided hold.
    """
    newest = select(func.max(SyncRow.id)).group_by(SyncRow.connector_id, SyncRow.kind, SyncRow.status)
    open_jobs = select(JobRow.sync_id).where(JobRow.status == "open")
    undecided = select(HoldRow.sync_id).where(HoldRow.status.in_(("held", "approved", "approved_adds")))
    wanted = (
        select(SyncRow.id)
        .where(SyncRow.finished_at < before, *(SyncRow.id.not_in(kept) for kept in (newest, open_jobs, undecided)))
        .order_by(SyncRow.id)
        .limit(_AT_ONCE)
    )
    ids = list(session.scalars(wanted))
    if ids:
        session.execute(delete(JobRow).where(JobRow.sync_id.in_(ids)))
        session.execute(delete(HoldRow).where(HoldRow.sync_id.in_(ids)))
        session.execute(delete(SyncRow).where(SyncRow.id.in_(ids)))
    return len(ids)
