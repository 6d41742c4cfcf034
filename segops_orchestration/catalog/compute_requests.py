"""Computations that somebody asked for. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, cast, func, null, or_, select, true, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog import audit, segments, tenants
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.service_records import ComputeRequest, ComputeRequestStatus, Launcher
from segops_orchestration.catalog.service_tables import ComputeRequestRow
from segops_orchestration.catalog.tables import BigId, ComputationRow, SegmentComputationRow, TenantRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import Conflict

UNFINISHED: tuple[ComputeRequestStatus, ...] = ("queued", "running")


class Underway(Conflict):
    """A computation of the segment that somebody asked for has not ended; ``run_id`` says which."""

    def __init__(self, request: ComputeRequest) -> None:
        super().__init__(f"segment {request.segment_id} is being computed: run {request.run_id} is {request.status}")
        self.run_id = request.run_id
        self.request_id = request.id


@dataclass(frozen=True)
class SegmentRun:
    """A computation of one segment: asked for over the API, under way, or done, whoever began it.

    Counts are None until they are known; ``computation_id``, ``at`` and ``version`` are, until it begins.
    """

    run_id: str | None
    computation_id: int | None
    status: ComputeRequestStatus
    requested_by: str | None
    launcher: Launcher | None
    mode: str | None
    reason: str | None
    version: int | None
    at: datetime | None
    members: int | None
    entered: int | None
    exited: int | None
    candidates: int | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None


class ComputeRequests:
    """Computations that somebody asked for; ``Catalog.service.computations``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def begin(self, tenant: str, segment_id: int, run_id: str, launcher: Launcher, actor: Actor) -> ComputeRequest:
        """Write a request down, as queued, unless one of the segment has not ended.

        Raises:
            NotFound: no such tenant or segment.
            Conflict: it is archived; ``Underway``: one has not ended.
        """
        while True:
            try:
                with self._transactions.write() as (session, now):
                    return _begin(session, tenant, segment_id, run_id, launcher, actor, now)
            except IntegrityError:
                # Somebody was faster. If theirs has ended by now, ours can begin.
                continue

    def launched(self, request_id: int, run_id: str, launcher: Launcher) -> bool:
        """Another run id and launcher than the request began with; False when it has ended meanwhile."""
        with self._transactions.write() as (session, now):
            row = session.get(ComputeRequestRow, request_id, with_for_update=True)
            if row is None or row.status not in UNFINISHED:
                return False
            row.run_id, row.launcher, row.updated_at = run_id, launcher, now
            return True

    def running(self, run_id: str) -> bool:
        """Queued -> running, and the sign of life of one that runs; False when it has ended."""
        return self._update(run_id, status="running")

    def alive(self, run_ids: Sequence[str]) -> None:
        """The sign of life of whoever waits with requests."""
        with self._transactions.write() as (session, now):
            session.execute(
                update(ComputeRequestRow)
                .where(ComputeRequestRow.run_id.in_(run_ids), ComputeRequestRow.status.in_(UNFINISHED))
                .values(updated_at=now)
            )

    def finish(self, run_id: str, status: ComputeRequestStatus, error: str | None = None) -> bool:
        """End a request; one that has ended keeps its first outcome."""
        return self._update(run_id, status=status, error=error)

    def get(self, run_id: str) -> ComputeRequest | None:
        """The request of a run."""
        return self._one(ComputeRequestRow.run_id == run_id)

    def by_id(self, request_id: int) -> ComputeRequest | None:
        """One request."""
        return self._one(ComputeRequestRow.id == request_id)

    def _one(self, which: ColumnElement[bool]) -> ComputeRequest | None:
        with self._transactions.read() as session:
            row = session.execute(_requests().where(which)).one_or_none()
            return None if row is None else _record(row[0], row[1])

    def unfinished(self) -> list[ComputeRequest]:
        """All that have not ended, oldest first."""
        with self._transactions.read() as session:
            rows = session.execute(
                _requests().where(ComputeRequestRow.status.in_(UNFINISHED)).order_by(ComputeRequestRow.id)
            )
            return [_record(row, slug) for row, slug in rows]

    def settle_by_ledger(self) -> int:
        """End the requests whose computation the ledger knows to have ended; returns how many."""
        with self._transactions.write() as (session, now):
            rows = session.execute(
                select(ComputeRequestRow, ComputationRow.status, SegmentComputationRow.status)
                .join(
                    ComputationRow,
                    and_(
                        ComputationRow.run_id == ComputeRequestRow.run_id,
                        ComputationRow.tenant_id == ComputeRequestRow.tenant_id,
                    ),
                )
                .join(
                    SegmentComputationRow,
                    and_(
                        SegmentComputationRow.computation_id == ComputationRow.id,
                        SegmentComputationRow.segment_id == ComputeRequestRow.segment_id,
                    ),
                )
                .where(ComputeRequestRow.status.in_(UNFINISHED))
                .order_by(ComputationRow.id)
            ).all()
            settled = 0
            for row, whole, part in rows:
                if part == "committed":
                    row.status, row.finished_at, row.updated_at = "succeeded", now, now
                    settled += 1
                elif whole == "running" and row.status == "queued":
                    row.status, row.updated_at = "running", now
            return settled

    def give_up(
        self, silent_for: timedelta, error: str, *, launchers: Sequence[Launcher], prefix: str = ""
    ) -> list[str]:
        """Fail the requests that gave no sign of life for so long; returns their runs.

        Args:
            launchers: only requests of these.
            prefix: only those whose run id begins so.
        """
        with self._transactions.write() as (session, now):
            query = select(ComputeRequestRow).where(
                ComputeRequestRow.status.in_(UNFINISHED),
                ComputeRequestRow.launcher.in_(launchers),
                ComputeRequestRow.run_id.startswith(prefix, autoescape=True),
                ComputeRequestRow.updated_at < now - silent_for,
            )
            rows = session.scalars(query).all()
            for row in rows:
                row.status, row.error, row.finished_at = "failed", error, now
            return [row.run_id for row in rows]

    def runs(
        self, tenant: str, segment_id: int, *, run_id: str | None, offset: int, limit: int
    ) -> tuple[list[SegmentRun], int]:
        """Computations of a segment, the newest first: those of the ledger, and requests that are not there (yet).

        With ``run_id``, only those of that run.

        Raises:
            NotFound: no such tenant or segment.
        """
        with self._transactions.read() as session:
            found, _ = segments.find(session, tenants.get(session, tenant), segment_id)
            return _runs(session, found.id, run_id, offset, limit)

    def _update(self, run_id: str, **values: object) -> bool:
        """Change a request that has not ended; False when it has."""
        with self._transactions.write() as (session, now):
            query = select(ComputeRequestRow).where(ComputeRequestRow.run_id == run_id).with_for_update()
            row = session.scalar(query)
            if row is None or row.status not in UNFINISHED:
                return False
            for name, value in values.items():
                setattr(row, name, value)
            row.updated_at = now
            if row.status not in UNFINISHED:
                row.finished_at = now
            return True


def _begin(
    session: Session, tenant: str, segment_id: int, run_id: str, launcher: Launcher, actor: Actor, now: datetime
) -> ComputeRequest:
    owner = tenants.lock_active(session, tenant)
    segment, _ = segments.find(session, owner, segment_id)
    if segment.status == "archived":
        raise Conflict(f"segment {segment.id} is archived, so it is computed no more; PATCH is_active takes it back")
    current = session.scalar(
        select(ComputeRequestRow).where(
            ComputeRequestRow.segment_id == segment.id, ComputeRequestRow.status.in_(UNFINISHED)
        )
    )
    if current is not None:
        raise Underway(_record(current, tenant))
    row = ComputeRequestRow(
        tenant_id=owner.id,
        segment_id=segment.id,
        run_id=run_id,
        launcher=launcher,
        status="queued",
        requested_by=actor.name,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    audit.note(session, owner.id, actor, "segment.compute", f"{segment.id} ({segment.slug})", now, {"run_id": run_id})
    return _record(row, tenant)


def _requests() -> Select[ComputeRequestRow, str]:
    return select(ComputeRequestRow, TenantRow.slug).join(TenantRow, TenantRow.id == ComputeRequestRow.tenant_id)


def _runs(
    session: Session, segment_id: int, run_id: str | None, offset: int, limit: int
) -> tuple[list[SegmentRun], int]:
    part, whole, request = SegmentComputationRow, ComputationRow, ComputeRequestRow
    in_ledger = (
        select(whole.id)
        .join(part, and_(part.computation_id == whole.id, part.segment_id == segment_id))
        .where(whole.run_id == request.run_id)
        .exists()
    )
    # True of everything where no run is asked for.
    of_run = whole.run_id == run_id if run_id is not None else true()
    asked_for = request.run_id == run_id if run_id is not None else true()
    listed = union_all(
        select(part.id.label("part"), cast(null(), BigId).label("request"), whole.started_at.label("at"))
        .join(whole, whole.id == part.computation_id)
        .where(part.segment_id == segment_id, of_run),
        select(cast(null(), BigId).label("part"), request.id.label("request"), request.created_at.label("at")).where(
            request.segment_id == segment_id, ~in_ledger, asked_for
        ),
    ).subquery()
    count = session.scalar(select(func.count()).select_from(listed)) or 0
    asked = and_(request.segment_id == segment_id, or_(request.id == listed.c.request, request.run_id == whole.run_id))
    rows = session.execute(
        select(part, whole, request)
        .select_from(listed)
        .outerjoin(part, part.id == listed.c.part)
        .outerjoin(whole, whole.id == part.computation_id)
        .outerjoin(request, asked)
        .order_by(listed.c.at.desc(), listed.c.part.desc(), listed.c.request.desc())
        .offset(offset)
        .limit(limit)
    )
    return [_run(*row) for row in rows], count


def _run(
    part: SegmentComputationRow | None, whole: ComputationRow | None, request: ComputeRequestRow | None
) -> SegmentRun:
    if part is None or whole is None:
        assert request is not None
        return SegmentRun(
            run_id=request.run_id,
            computation_id=None,
            status=request.status,
            requested_by=request.requested_by,
            launcher=request.launcher,
            mode=None,
            reason=None,
            version=None,
            at=None,
            members=None,
            entered=None,
            exited=None,
            candidates=None,
            started_at=request.created_at,
            finished_at=request.finished_at,
            error=request.error,
        )
    status = _status(part, whole)
    return SegmentRun(
        run_id=whole.run_id,
        computation_id=whole.id,
        status=status,
        requested_by=request.requested_by if request else None,
        launcher=request.launcher if request else None,
        mode=part.mode,
        reason=part.reason or None,
        version=part.segment_version,
        at=whole.at,
        members=part.members,
        entered=part.entered,
        exited=part.exited,
        candidates=part.candidates,
        started_at=whole.started_at,
        finished_at=part.committed_at or whole.finished_at,
        error=_error(status, request),
    )


def _status(part: SegmentComputationRow, whole: ComputationRow) -> ComputeRequestStatus:
    if part.status == "committed":
        return "succeeded"
    return "running" if whole.status == "running" and part.status != "abandoned" else "failed"


def _error(status: ComputeRequestStatus, request: ComputeRequestRow | None) -> str | None:
    """The ledger's own words speak of hosts and statements: they are for operators."""
    if status != "failed":
        return None
    return (request.error if request else None) or "the computation failed or broke off; the service's log says why"


def _record(row: ComputeRequestRow, tenant: str) -> ComputeRequest:
    return ComputeRequest(
        id=row.id,
        tenant=tenant,
        segment_id=row.segment_id,
        run_id=row.run_id,
        launcher=row.launcher,
        status=row.status,
        error=row.error,
        requested_by=row.requested_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
