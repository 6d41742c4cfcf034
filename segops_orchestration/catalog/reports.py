"""What the ledger says: each question is one query, whatever the number of segments or tenants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import segments, tenants
from segops_orchestration.catalog.records import (
    CommittedChange,
    CommittedSegment,
    Computation,
    SegmentComputation,
    SegmentStatus,
    TenantWatermark,
    UnfinishedSegment,
)
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow, SegmentRow, TenantRow


def unfinished(session: Session, tenant_slug: str) -> list[UnfinishedSegment]:
    """Planned and staged segments, oldest first: with the tenant's lease in hand, what a crash left.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    part, whole = SegmentComputationRow, ComputationRow
    # Staged segments of a computation that failed count too: their changes may be half applied.
    rows = session.execute(
        select(part, whole, SegmentRow.slug)
        .join(whole, whole.id == part.computation_id)
        .join(SegmentRow, SegmentRow.id == part.segment_id)
        .where(part.status.in_(("planned", "staged")), whole.tenant_id == tenant.id)
        .order_by(part.id)
    )
    return [
        UnfinishedSegment(
            computation_id=one.id,
            segment_id=row.segment_id,
            slug=slug,
            segment_version=row.segment_version,
            mode=row.mode,
            status=row.status,
            membership_version=one.membership_version,
            at=one.at,
            watermark_block=one.watermark_block,
            watermark_at=one.watermark_at,
            candidates=row.candidates,
            entered=row.entered,
            exited=row.exited,
        )
        for row, one, slug in rows
    ]


def committed_state(session: Session, tenant_slug: str) -> dict[int, CommittedSegment]:
    """The last committed computation of each segment that has one, by segment id; archived segments too.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    part, whole = SegmentComputationRow, ComputationRow
    rows = session.execute(
        select(part, whole)
        .join(SegmentRow, SegmentRow.committed_id == part.id)
        .join(whole, whole.id == part.computation_id)
        .where(SegmentRow.tenant_id == tenant.id)
        .order_by(SegmentRow.id)
    )
    return {
        row.segment_id: CommittedSegment(
            segment_id=row.segment_id,
            computation_id=one.id,
            segment_version=row.segment_version,
            mode=row.mode,
            at=one.at,
            watermark_block=one.watermark_block,
            watermark_at=one.watermark_at,
            members=row.members or 0,
            committed_at=row.committed_at or one.started_at,
        )
        for row, one in rows
    }


def watermarks(session: Session) -> dict[str, TenantWatermark]:
    """How far each active tenant is computed, by slug."""
    part, whole = SegmentComputationRow, ComputationRow
    outdated = or_(SegmentRow.committed_id.is_(None), part.segment_version != SegmentRow.version)
    rows = session.execute(
        select(
            TenantRow.slug,
            func.count(SegmentRow.id),
            func.min(whole.watermark_block),
            func.min(whole.watermark_at),
            func.min(whole.at),
            func.count(case((and_(SegmentRow.id.is_not(None), outdated), 1))),
        )
        .outerjoin(SegmentRow, and_(SegmentRow.tenant_id == TenantRow.id, SegmentRow.status == "active"))
        .outerjoin(part, part.id == SegmentRow.committed_id)
        .outerjoin(whole, whole.id == part.computation_id)
        .where(TenantRow.status == "active")
        .group_by(TenantRow.slug)
        .order_by(TenantRow.slug)
    )
    return {
        slug: TenantWatermark(slug, count, block, block_at, at, outdated_count > 0)
        for slug, count, block, block_at, at, outdated_count in rows
    }


def segment_status(session: Session, tenant_slug: str, *, include_archived: bool) -> list[SegmentStatus]:
    """What each segment of a tenant holds, by slug.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    part, whole = SegmentComputationRow, ComputationRow
    query = (
        select(SegmentRow, part, whole.at)
        .outerjoin(part, part.id == SegmentRow.committed_id)
        .outerjoin(whole, whole.id == part.computation_id)
        .where(SegmentRow.tenant_id == tenant.id)
        .order_by(SegmentRow.slug)
    )
    if not include_archived:
        query = query.where(SegmentRow.status == "active")
    return [
        SegmentStatus(
            segment_id=segment.id,
            slug=segment.slug,
            name=segment.name,
            status=segment.status,
            version=segment.version,
            members=row.members if row else None,
            computed_at=at,
            committed_at=row.committed_at if row else None,
            mode=row.mode if row else None,
            computed_version=row.segment_version if row else None,
            pending=row is None or row.segment_version != segment.version,
        )
        for segment, row, at in session.execute(query)
    ]


def list_computations(session: Session, tenant_slug: str, segment: int | str | None, limit: int) -> list[Computation]:
    """The newest computations first; with ``segment``, those that included it, showing that part alone.

    Raises:
        NotFound: no such tenant or segment.
    """
    tenant = tenants.get(session, tenant_slug)
    query = select(ComputationRow).where(ComputationRow.tenant_id == tenant.id)
    segment_id = None
    if segment is not None:
        segment_id = segments.find(session, tenant, segment)[0].id
        including = select(SegmentComputationRow.computation_id).where(SegmentComputationRow.segment_id == segment_id)
        query = query.where(ComputationRow.id.in_(including))
    rows = session.scalars(query.order_by(ComputationRow.id.desc()).limit(limit)).all()
    parts = _parts(session, [row.id for row in rows], segment_id)
    return [_record(row, tenant_slug, parts[row.id]) for row in rows]


def list_changes(
    session: Session,
    tenant_slug: str,
    segment: int | str | None,
    *,
    since: datetime | None,
    until: datetime | None,
    quiet: bool,
    computation: int | None,
    limit: int,
) -> list[CommittedChange]:
    """What committed computations did, newest first: one record a computation and segment.

    Args:
        since, until: bounds of the computations' instants, both included.
        quiet: also where nobody entered or exited.
        computation: only this one.

    Raises:
        NotFound: no such tenant or segment.
    """
    tenant = tenants.get(session, tenant_slug)
    query = committed_changes(tenant)
    part, whole = SegmentComputationRow, ComputationRow
    if segment is not None:
        query = query.where(part.segment_id == segments.find(session, tenant, segment)[0].id)
    if since is not None:
        query = query.where(whole.at >= since)
    if until is not None:
        query = query.where(whole.at <= until)
    if computation is not None:
        query = query.where(part.computation_id == computation)
    if not quiet:
        query = query.where(or_(part.entered > 0, part.exited > 0))
    query = query.order_by(part.computation_id.desc(), SegmentRow.slug).limit(limit)
    return [change_record(row, one, slug) for row, one, slug in session.execute(query)]


def change_as_of(session: Session, tenant_slug: str, segment: int | str, at: datetime) -> CommittedChange | None:
    """The committed computation of the segment with the latest instant up to ``at``; of several the last committed.

    Raises:
        NotFound: no such tenant or segment.
    """
    tenant = tenants.get(session, tenant_slug)
    part, whole = SegmentComputationRow, ComputationRow
    query = (
        committed_changes(tenant)
        .where(part.segment_id == segments.find(session, tenant, segment)[0].id, whole.at <= at)
        .order_by(whole.at.desc(), part.computation_id.desc())
        .limit(1)
    )
    for row, one, slug in session.execute(query):
        return change_record(row, one, slug)
    return None


def committed_changes(tenant: TenantRow) -> Select[SegmentComputationRow, ComputationRow, str]:
    """The rows of what ``change_record`` tells, of all segments of a tenant."""
    part, whole = SegmentComputationRow, ComputationRow
    return (
        select(part, whole, SegmentRow.slug)
        .join(whole, whole.id == part.computation_id)
        .join(SegmentRow, SegmentRow.id == part.segment_id)
        .where(whole.tenant_id == tenant.id, part.status == "committed")
    )


def change_record(row: SegmentComputationRow, one: ComputationRow, slug: str) -> CommittedChange:
    """The committed part of a computation as a frozen record."""
    return CommittedChange(
        computation_id=one.id,
        run_id=one.run_id,
        at=one.at,
        committed_at=row.committed_at or one.started_at,
        segment_id=row.segment_id,
        slug=slug,
        version=row.segment_version,
        mode=row.mode,
        reason=row.reason,
        entered=row.entered or 0,
        exited=row.exited or 0,
        members=row.members or 0,
    )


def member_history(session: Session, tenant_slug: str, segment_ids: Sequence[int], limit: int) -> dict[int, list[int]]:
    """The member counts of the last ``limit`` committed computations of each segment, oldest first.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    part = SegmentComputationRow
    newest_first = func.row_number().over(partition_by=part.segment_id, order_by=part.id.desc()).label("age")
    numbered = (
        select(part.id, part.segment_id, part.members, newest_first)
        .join(SegmentRow, SegmentRow.id == part.segment_id)
        .where(SegmentRow.tenant_id == tenant.id, part.segment_id.in_(segment_ids), part.status == "committed")
        .subquery()
    )
    rows = session.execute(
        select(numbered.c.segment_id, numbered.c.members).where(numbered.c.age <= limit).order_by(numbered.c.id)
    )
    history: dict[int, list[int]] = {segment_id: [] for segment_id in segment_ids}
    for segment_id, members in rows:
        history[segment_id].append(members or 0)
    return history


def computation_record(session: Session, row: ComputationRow) -> Computation:
    """A computation with all its segments, in the order they were planned."""
    slug = session.get_one(TenantRow, row.tenant_id).slug
    return _record(row, slug, _parts(session, [row.id], None)[row.id])


def _parts(
    session: Session, computation_ids: Sequence[int], segment_id: int | None
) -> dict[int, list[SegmentComputation]]:
    query = (
        select(SegmentComputationRow, SegmentRow.slug)
        .join(SegmentRow, SegmentRow.id == SegmentComputationRow.segment_id)
        .where(SegmentComputationRow.computation_id.in_(computation_ids))
        .order_by(SegmentComputationRow.id)
    )
    if segment_id is not None:
        query = query.where(SegmentComputationRow.segment_id == segment_id)
    result: defaultdict[int, list[SegmentComputation]] = defaultdict(list)
    for row, slug in session.execute(query):
        result[row.computation_id].append(
            SegmentComputation(
                computation_id=row.computation_id,
                segment_id=row.segment_id,
                slug=slug,
                segment_version=row.segment_version,
                mode=row.mode,
                reason=row.reason,
                status=row.status,
                candidates=row.candidates,
                members=row.members,
                entered=row.entered,
                exited=row.exited,
                rows_read=row.rows_read,
                milliseconds=row.milliseconds,
                committed_at=row.committed_at,
            )
        )
    return result


def _record(row: ComputationRow, tenant_slug: str, parts: Iterable[SegmentComputation]) -> Computation:
    return Computation(
        id=row.id,
        tenant=tenant_slug,
        run_id=row.run_id,
        owner=row.owner,
        mode=row.mode,
        at=row.at,
        watermark_block=row.watermark_block,
        watermark_at=row.watermark_at,
        membership_version=row.membership_version,
        status=row.status,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        segments=tuple(parts),
    )
