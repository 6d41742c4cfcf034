"""Segments as callers see them: with what the last computation left, and how things stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import leases, segments, tenants
from segops_orchestration.catalog.records import CommittedChange, Segment
from segops_orchestration.catalog.reports import change_record, committed_changes
from segops_orchestration.catalog.service_tables import ComputeRequestRow
from segops_orchestration.catalog.tables import (
    ComputationRow,
    SegmentComputationRow,
    SegmentRow,
    SegmentVersionRow,
    TenantRow,
)
from segops_orchestration.catalog.transactions import Transactions

SegmentState = Literal["draft", "computing", "computed", "failed"]


@dataclass(frozen=True)
class SegmentView:
    """A segment and its members' number.

    Attributes:
        state: ``draft``: the current definition was never computed. ``failed``: the last attempt to compute it failed.
        members, computed_at: of the last committed computation, whatever version that was of.
    """

    segment: Segment
    state: SegmentState
    members: int
    computed_at: datetime | None


class SegmentViews:
    """``Catalog.service.segment_views``. Any method raises ``NotFound`` for an unknown tenant or segment."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def one(self, tenant: str, segment_id: int) -> SegmentView:
        """One segment, archived or not."""
        with self._transactions.read() as session:
            row = tenants.get(session, tenant)
            found, text = segments.find(session, row, segment_id)
            return self._views(session, row, [(found, text)])[0]

    def page(self, tenant: str, *, active: bool | None, offset: int, limit: int) -> tuple[list[SegmentView], int]:
        """Segments by id, and how many there are; ``active`` None: archived ones too."""
        with self._transactions.read() as session:
            row = tenants.get(session, tenant)
            wanted = [SegmentRow.tenant_id == row.id]
            if active is not None:
                wanted.append(SegmentRow.status == ("active" if active else "archived"))
            count = session.scalar(select(func.count()).select_from(SegmentRow).where(*wanted)) or 0
            current = and_(
                SegmentVersionRow.segment_id == SegmentRow.id, SegmentVersionRow.version == SegmentRow.version
            )
            found = session.execute(
                select(SegmentRow, SegmentVersionRow.definition)
                .join(SegmentVersionRow, current)
                .where(*wanted)
                .order_by(SegmentRow.id)
                .offset(offset)
                .limit(limit)
            )
            return self._views(session, row, [(one, text) for one, text in found]), count

    def changes(
        self, tenant: str, segment_id: int, *, since: datetime | None, offset: int, limit: int
    ) -> tuple[list[CommittedChange], int]:
        """What committed computations did to a segment where somebody entered or left, newest first; and how many."""
        part, whole = SegmentComputationRow, ComputationRow
        with self._transactions.read() as session:
            row = tenants.get(session, tenant)
            found, _ = segments.find(session, row, segment_id)
            query = committed_changes(row).where(part.segment_id == found.id, part.entered + part.exited > 0)
            if since is not None:
                query = query.where(whole.at >= since)
            count = session.scalar(select(func.count()).select_from(query.with_only_columns(part.id).subquery())) or 0
            page = query.order_by(part.computation_id.desc()).offset(offset).limit(limit)
            return [change_record(one, of, slug) for one, of, slug in session.execute(page)], count

    def _views(self, session: Session, tenant: TenantRow, found: Sequence[tuple[SegmentRow, str]]) -> list[SegmentView]:
        ids = [row.id for row, _ in found]
        committed = _committed(session, ids)
        latest = _latest_parts(session, ids)
        requests = _latest_requests(session, ids)
        lease = leases.holder(session, tenant.slug, self._transactions.now(session))
        owner = lease.owner if lease is not None else None
        views = []
        for row, text in found:
            part = committed.get(row.id)
            members, at = (part[0].members or 0, part[1]) if part else (0, None)
            state = _state(row, part and part[0], latest.get(row.id), requests.get(row.id), owner)
            views.append(SegmentView(segments.record(row, text, tenant.slug), state, members, at))
        return views


def _state(
    row: SegmentRow,
    committed: SegmentComputationRow | None,
    latest: tuple[SegmentComputationRow, ComputationRow] | None,
    request: ComputeRequestRow | None,
    owner: str | None,
) -> SegmentState:
    if request is not None and request.status in ("queued", "running"):
        return "computing"
    if latest is not None:
        part, whole = latest
        if part.status in ("planned", "staged") and whole.status == "running" and whole.owner == owner:
            return "computing"
        if part.status != "committed" and part.segment_version == row.version:
            return "failed"
    if _request_failed(row, committed, request):
        return "failed"
    return "computed" if committed is not None and committed.segment_version == row.version else "draft"


def _request_failed(
    row: SegmentRow, committed: SegmentComputationRow | None, request: ComputeRequestRow | None
) -> bool:
    """Whether somebody's computation failed, and neither an edit nor a computation has come after it."""
    if request is None or request.status != "failed" or request.finished_at is None:
        return False
    if request.finished_at < row.updated_at:
        return False
    return committed is None or committed.committed_at is None or committed.committed_at < request.finished_at


def _committed(session: Session, ids: Sequence[int]) -> Mapping[int, tuple[SegmentComputationRow, datetime]]:
    part, whole = SegmentComputationRow, ComputationRow
    rows = session.execute(
        select(part, whole.at)
        .join(SegmentRow, SegmentRow.committed_id == part.id)
        .join(whole, whole.id == part.computation_id)
        .where(SegmentRow.id.in_(ids))
    )
    return {row.segment_id: (row, at) for row, at in rows}


def _latest_parts(session: Session, ids: Sequence[int]) -> Mapping[int, tuple[SegmentComputationRow, ComputationRow]]:
    part, whole = SegmentComputationRow, ComputationRow
    newest = select(func.max(part.id)).where(part.segment_id.in_(ids)).group_by(part.segment_id)
    rows = session.execute(select(part, whole).join(whole, whole.id == part.computation_id).where(part.id.in_(newest)))
    return {row.segment_id: (row, one) for row, one in rows}


def _latest_requests(session: Session, ids: Sequence[int]) -> Mapping[int, ComputeRequestRow]:
    newest = (
        select(func.max(ComputeRequestRow.id))
        .where(ComputeRequestRow.segment_id.in_(ids))
        .group_by(ComputeRequestRow.segment_id)
    )
    rows = session.scalars(select(ComputeRequestRow).where(ComputeRequestRow.id.in_(newest)))
    return {row.segment_id: row for row in rows}
