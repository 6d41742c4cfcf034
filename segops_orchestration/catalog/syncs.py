"""The sync log of connectors, and the jobs that platforms go on working on.

Every function works inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog import connectors
from segops_orchestration.catalog.connector_records import (
    Connector,
    ConnectorJob,
    Sync,
    SyncCounts,
    SyncKind,
)
from segops_orchestration.catalog.connector_tables import ConnectorRow, JobRow, SyncRow
from segops_orchestration.catalog.tables import SegmentComputationRow, SegmentRow
from segops_orchestration.errors import NotFound

EndedSync = Literal["succeeded", "failed", "held", "abandoned"]
EndedJob = Literal["succeeded", "failed", "lost"]

# Those that change an audience; the others only look.
SENDING: tuple[SyncKind, ...] = ("sync", "repair", "empty")

MAX_ERROR = 4_000


def begin(
    session: Session, connector: Connector, kind: SyncKind, run_id: str | None, alone: bool, now: datetime
) -> Sync:
    """Write down a sync before any of it happens.

    ``alone``: the caller holds the connector's lease, so syncs still called running are of processes that died.
    """
    if alone:
        _close_leftovers(session, connector.id, now)
    before = _before(session, connector.id)
    row = SyncRow(
        connector_id=connector.id,
        run_id=run_id,
        kind=kind,
        status="running",
        segment_version=connector.segment_version,
        computation_id=_committed_computation(session, connector.segment_id),
        started_at=now,
        added=0,
        removed=0,
        rejected=0,
        pending=0,
        requests=0,
        retries=0,
        refused=0,
        # Until it has said that nothing is left.
        unfinished=1 + (before.unfinished if before is not None else 0),
        unfinished_since=before.unfinished_since if before is not None and before.unfinished else now,
    )
    session.add(row)
    session.flush()
    return record(row, connector.slug)


def finish(
    session: Session, sync_id: int, status: EndedSync, counts: SyncCounts, error: str | None, now: datetime
) -> Sync:
    """End a sync; one that has ended keeps its first outcome, unless that was ``abandoned`` and it lives after all.

    Raises:
        NotFound: no such sync.
    """
    connector_id = session.scalar(select(SyncRow.connector_id).where(SyncRow.id == sync_id))
    if connector_id is None:
        raise NotFound(f"no sync {sync_id}")
    # The connector first, as everybody locks: two transactions that wait for one another would both be lost.
    connector = session.get_one(ConnectorRow, connector_id, with_for_update=True)
    row = session.get_one(SyncRow, sync_id, with_for_update=True)
    if row.status in ("running", "abandoned"):
        row.status, row.finished_at = status, now
        row.error = error[:MAX_ERROR] if error is not None else None
        row.milliseconds = _milliseconds(row.started_at, now)
        row.added, row.removed, row.rejected, row.pending = (
            counts.added,
            counts.removed,
            counts.rejected,
            counts.pending,
        )
        row.requests, row.retries, row.audience = counts.requests, counts.retries, counts.audience
        row.refused, row.next_try_at = counts.refused, counts.next_try_at
        # What is held waits for a person, not for another sync.
        if status == "held" or (status == "succeeded" and counts.pending == 0):
            row.unfinished, row.unfinished_since = 0, None
        if connector.status == "active" and connector.updated_at > row.started_at:
            # Edited, or members of its segment erased, while the sync ran: it may have seen what was before.
            connector.updated_at = now + timedelta(milliseconds=1)
        session.flush()
    return record(row, connector.slug)


def every(
    session: Session, tenant_slug: str, slug: str | None, *, kinds: Sequence[SyncKind] | None, limit: int
) -> list[Sync]:
    """The newest syncs first, of one connector or of all of a tenant.

    Raises:
        NotFound: no such tenant or connector.
    """
    if slug is not None:
        ids = {connector.id: connector.slug for connector in [connectors.get(session, tenant_slug, slug)]}
    else:
        ids = {connector.id: connector.slug for connector in connectors.every(session, tenant_slug)}
    query = select(SyncRow).where(SyncRow.connector_id.in_(ids)).order_by(SyncRow.id.desc()).limit(limit)
    if kinds is not None:
        query = query.where(SyncRow.kind.in_(kinds))
    return [record(row, ids[row.connector_id]) for row in session.scalars(query)]


def open_job(session: Session, sync_id: int, batch_id: str, job: str, now: datetime) -> ConnectorJob:
    """Write down a job that the platform has accepted; writing it down twice is once.

    Raises:
        NotFound: no such sync.
    """
    sync = session.get(SyncRow, sync_id)
    if sync is None:
        raise NotFound(f"no sync {sync_id}")
    row = session.scalar(select(JobRow).where(JobRow.connector_id == sync.connector_id, JobRow.job == job))
    if row is None:
        row = JobRow(
            connector_id=sync.connector_id,
            sync_id=sync_id,
            batch_id=batch_id,
            job=job,
            status="open",
            submitted_at=now,
        )
        session.add(row)
        session.flush()
    return _job_record(row)


def finish_job(session: Session, job_id: int, status: EndedJob, now: datetime) -> ConnectorJob:
    """End a job; one that has ended keeps its first outcome.

    Raises:
        NotFound: no such job.
    """
    row = session.get(JobRow, job_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no job {job_id}")
    if row.status == "open":
        row.status, row.finished_at = status, now
        session.flush()
    return _job_record(row)


def open_jobs(session: Session, connector_id: int) -> list[ConnectorJob]:
    """The jobs of a connector that have not ended, oldest first."""
    query = select(JobRow).where(JobRow.connector_id == connector_id, JobRow.status == "open").order_by(JobRow.id)
    return [_job_record(row) for row in session.scalars(query)]


def _close_leftovers(session: Session, connector_id: int, now: datetime) -> None:
    session.execute(
        update(SyncRow)
        .where(SyncRow.connector_id == connector_id, SyncRow.status == "running")
        .values(status="abandoned", finished_at=now, error="its process ended without a word; a later sync went on")
    )


def _before(session: Session, connector_id: int) -> SyncRow | None:
    """The connector's last sync that was to change its audience."""
    mine = SyncRow.connector_id == connector_id, SyncRow.kind.in_(SENDING)
    return session.scalar(select(SyncRow).where(*mine).order_by(SyncRow.id.desc()).limit(1))


def _committed_computation(session: Session, segment_id: int) -> int | None:
    return session.scalar(
        select(SegmentComputationRow.computation_id)
        .join(SegmentRow, SegmentRow.committed_id == SegmentComputationRow.id)
        .where(SegmentRow.id == segment_id)
    )


def _milliseconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() * 1000)


def record(row: SyncRow, connector: str) -> Sync:
    """The row as a record; ``connector`` is the slug."""
    return Sync(
        id=row.id,
        connector_id=row.connector_id,
        connector=connector,
        run_id=row.run_id,
        kind=row.kind,
        status=row.status,
        segment_version=row.segment_version,
        computation_id=row.computation_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=SyncCounts(
            added=row.added,
            removed=row.removed,
            rejected=row.rejected,
            pending=row.pending,
            requests=row.requests,
            retries=row.retries,
            audience=row.audience,
            refused=row.refused,
            next_try_at=row.next_try_at,
        ),
        milliseconds=row.milliseconds,
        error=row.error,
        unfinished=row.unfinished,
        unfinished_since=row.unfinished_since,
    )


def _job_record(row: JobRow) -> ConnectorJob:
    return ConnectorJob(
        id=row.id,
        connector_id=row.connector_id,
        sync_id=row.sync_id,
        batch_id=row.batch_id,
        job=row.job,
        status=row.status,
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
    )
