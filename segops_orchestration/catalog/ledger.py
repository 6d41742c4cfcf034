"""The ledger: what each computation set out to do, and how far each segment came.

A segment's part of a computation goes ``planned`` -> ``staged`` (its changes are worked out in ClickHouse) ->
``committed`` (they are applied), or ends ``abandoned``. Whoever finds it ``staged`` after a crash applies the
same changes again, which is harmless, and commits. Every function works inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.records import (
    CommittedCounts,
    Computation,
    Mode,
    PlannedSegment,
    StagedCounts,
)
from segops_orchestration.catalog.reports import computation_record
from segops_orchestration.catalog.tables import (
    ComputationRow,
    SegmentComputationRow,
    SegmentRow,
    to_milliseconds,
)
from segops_orchestration.errors import Conflict, NotFound

Ended = Literal["succeeded", "failed", "abandoned"]

OPEN = ("planned", "staged")


@dataclass(frozen=True)
class Plan:
    """What a computation is to be: see ``records.Computation``."""

    tenant: str
    mode: Mode
    at: datetime
    watermark_block: int
    watermark_at: datetime | None
    owner: str
    run_id: str | None
    segments: Sequence[PlannedSegment]


def begin(session: Session, plan: Plan, now: datetime) -> Computation:
    """Write down a computation before any of it happens, and fix its membership version.

    Earlier computations of the tenant that have nothing left to do, but whose process died before it said so,
    are closed.

    Raises:
        NotFound, Conflict: no such tenant or segment, or the tenant is archived.
    """
    tenant = tenants.lock_active(session, plan.tenant)
    _check_segments(session, tenant.id, plan)
    _close_leftovers(session, tenant.id, now)
    row = ComputationRow(
        tenant_id=tenant.id,
        run_id=plan.run_id,
        owner=plan.owner,
        mode=plan.mode,
        at=to_milliseconds(plan.at),
        watermark_block=plan.watermark_block,
        watermark_at=None if plan.watermark_at is None else to_milliseconds(plan.watermark_at),
        membership_version=_next_membership_version(session, tenant.id, now),
        status="running",
        started_at=now,
    )
    session.add(row)
    session.flush()
    session.add_all(
        SegmentComputationRow(
            computation_id=row.id,
            segment_id=segment.segment_id,
            segment_version=segment.segment_version,
            mode=segment.mode,
            reason=segment.reason,
            status="planned",
        )
        for segment in plan.segments
    )
    session.flush()
    return computation_record(session, row)


def stage(session: Session, computation_id: int, segments: Sequence[StagedCounts]) -> None:
    """Planned -> staged, with the counts of the changes worked out; staging again replaces them.

    Raises:
        NotFound, Conflict: no such part of a computation, or it is committed or abandoned.
    """
    parts = _parts(session, computation_id, [counts.segment_id for counts in segments])
    for counts in segments:
        row = parts[counts.segment_id]
        _expect(row, "staged", OPEN)
        row.status = "staged"
        row.candidates, row.entered, row.exited = counts.candidates, counts.entered, counts.exited
        row.rows_read = counts.rows_read


def commit(session: Session, computation_id: int, segments: Sequence[CommittedCounts], now: datetime) -> None:
    """Staged -> committed: from here on the segments' members are those of this computation.

    Raises:
        NotFound, Conflict: no such part of a computation, it is not staged, or a later one has committed.
    """
    ids = [counts.segment_id for counts in segments]
    parts = _parts(session, computation_id, ids)
    holders = _holders(session, ids)
    for counts in segments:
        row = parts[counts.segment_id]
        _expect(row, "committed", ("staged",))
        segment, latest = holders[counts.segment_id]
        if latest is not None and latest > computation_id:
            raise Conflict(
                f"segment {segment.id} holds the members of computation {latest}: the earlier "
                f"{computation_id} can no longer be committed"
            )
        row.status = "committed"
        row.members, row.milliseconds, row.committed_at = counts.members, counts.milliseconds, now
        segment.committed_id = row.id


def abandon(session: Session, computation_id: int, segment_id: int) -> None:
    """Planned or staged -> abandoned: its changes will never be applied. Abandoning twice is once.

    Raises:
        NotFound, Conflict: no such part of a computation, or it is committed.
    """
    row = _part(session, computation_id, segment_id)
    _expect(row, "abandoned", (*OPEN, "abandoned"))
    row.status = "abandoned"


def finish(session: Session, computation_id: int, status: Ended, error: str | None, now: datetime) -> Computation:
    """End a computation; one that has ended keeps its first outcome.

    With ``failed`` or ``abandoned``, planned segments become abandoned; staged ones stay for recovery to
    find.

    Raises:
        NotFound: no such computation.
        Conflict: ``succeeded``, while segments are neither committed nor abandoned.
    """
    row = session.get(ComputationRow, computation_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no computation {computation_id}")
    if row.status != "running":
        return computation_record(session, row)
    parts = select(SegmentComputationRow.segment_id).where(
        SegmentComputationRow.computation_id == computation_id, SegmentComputationRow.status.in_(OPEN)
    )
    left = session.scalars(parts.order_by(SegmentComputationRow.id)).all()
    if status == "succeeded" and left:
        raise Conflict(
            f"computation {computation_id} cannot succeed: segments {', '.join(map(str, left))} are not committed"
        )
    session.execute(
        update(SegmentComputationRow)
        .where(SegmentComputationRow.computation_id == computation_id, SegmentComputationRow.status == "planned")
        .values(status="abandoned")
    )
    row.status, row.error, row.finished_at = status, error, now
    session.flush()
    return computation_record(session, row)


def _part(session: Session, computation_id: int, segment_id: int) -> SegmentComputationRow:
    return _parts(session, computation_id, [segment_id])[segment_id]


def _parts(session: Session, computation_id: int, segment_ids: Sequence[int]) -> dict[int, SegmentComputationRow]:
    """A computation's parts by segment, locked."""
    rows = session.scalars(
        select(SegmentComputationRow)
        .where(
            SegmentComputationRow.computation_id == computation_id,
            SegmentComputationRow.segment_id.in_(segment_ids),
        )
        .order_by(SegmentComputationRow.id)
        .with_for_update()
    )
    found = {row.segment_id: row for row in rows}
    for segment_id in segment_ids:
        if segment_id not in found:
            raise NotFound(f"computation {computation_id} has no segment {segment_id}")
    return found


def _holders(session: Session, segment_ids: Sequence[int]) -> dict[int, tuple[SegmentRow, int | None]]:
    """Segments, locked, each with the computation whose members it holds."""
    rows = session.execute(
        select(SegmentRow, SegmentComputationRow.computation_id)
        .outerjoin(SegmentComputationRow, SegmentComputationRow.id == SegmentRow.committed_id)
        .where(SegmentRow.id.in_(segment_ids))
        .order_by(SegmentRow.id)
        .with_for_update(of=SegmentRow)
    )
    return {segment.id: (segment, computation_id) for segment, computation_id in rows}


def _expect(row: SegmentComputationRow, wanted: str, allowed: Sequence[str]) -> None:
    if row.status not in allowed:
        raise Conflict(
            f"segment {row.segment_id} of computation {row.computation_id} is {row.status} and cannot become "
            f"{wanted}; it would have to be {' or '.join(allowed)}"
        )


def _check_segments(session: Session, tenant_id: int, plan: Plan) -> None:
    """A foreign key would refuse an unknown id, but not the segment of another tenant."""
    ids = [segment.segment_id for segment in plan.segments]
    if len(set(ids)) < len(ids):
        raise Conflict("a computation computes each segment once; the plan names one twice")
    known = set(session.scalars(select(SegmentRow.id).where(SegmentRow.tenant_id == tenant_id)))
    for segment_id in ids:
        if segment_id not in known:
            raise NotFound(f"no segment {segment_id} in tenant {plan.tenant!r}")


def _close_leftovers(session: Session, tenant_id: int, now: datetime) -> None:
    rows = session.scalars(
        select(ComputationRow).where(ComputationRow.tenant_id == tenant_id, ComputationRow.status == "running")
    )
    for row in rows.all():
        states = set(
            session.scalars(select(SegmentComputationRow.status).where(SegmentComputationRow.computation_id == row.id))
        )
        if states.isdisjoint(OPEN):
            row.status = "abandoned" if "abandoned" in states else "succeeded"
            row.finished_at = now
    session.flush()


def _next_membership_version(session: Session, tenant_id: int, now: datetime) -> int:
    """Unix milliseconds, moved past every earlier one: a clock that steps back must not undo memberships."""
    latest = session.scalar(
        select(func.max(ComputationRow.membership_version)).where(ComputationRow.tenant_id == tenant_id)
    )
    milliseconds = round(now.timestamp() * 1000)
    return milliseconds if latest is None else max(milliseconds, latest + 1)
