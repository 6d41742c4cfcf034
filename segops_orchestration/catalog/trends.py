"""How the member counts of segments went, day by day. Functions work inside their caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow

Trend = Sequence[tuple[date, int]]


def member_trends(
    session: Session, tenant_slug: str, segment_ids: Sequence[int], days: int, now: datetime
) -> Mapping[int, Trend]:
    """By segment: the members at the end of each of the last ``days`` days in UTC, today included.

    A day without a computation has the count of the day before it; days before the first computation are left out.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    start = datetime.combine(first, time(), UTC)
    # Computations of a tenant follow each other, so their ids are in the order of their commits. One that was begun
    # before the first day may have been committed in it.
    low = session.scalar(
        select(func.min(ComputationRow.id)).where(
            ComputationRow.tenant_id == tenant.id, ComputationRow.started_at >= start - timedelta(days=1)
        )
    )
    found: dict[int, dict[date, int]] = {}
    if low is not None:
        for segment_id, day, members in _last_of_days(session, segment_ids, low):
            found.setdefault(segment_id, {})[day] = members
    trends = {}
    for segment_id in segment_ids:
        counts = found.get(segment_id, {})
        earlier = [day for day in counts if day < first]
        known = counts[max(earlier)] if earlier else _before(session, segment_id, low)
        trends[segment_id] = _filled(counts, first, today, known)
    return trends


def _last_of_days(session: Session, segment_ids: Sequence[int], low: int) -> list[tuple[int, date, int]]:
    part = SegmentComputationRow
    newest = (
        select(func.max(part.id).label("id"), _day(session).label("day"))
        .where(part.segment_id.in_(segment_ids), part.computation_id >= low, part.status == "committed")
        .group_by(part.segment_id, _day(session))
        .subquery()
    )
    rows = session.execute(select(part.segment_id, newest.c.day, part.members).join(newest, newest.c.id == part.id))
    return [(segment_id, _date(day), members or 0) for segment_id, day, members in rows]


def _before(session: Session, segment_id: int, low: int | None) -> int | None:
    """The members that the last computation before those of the time in question left; None when there was none."""
    part = SegmentComputationRow
    query = select(part.members).where(part.segment_id == segment_id, part.status == "committed")
    if low is not None:
        query = query.where(part.computation_id < low)
    return session.scalar(query.order_by(part.computation_id.desc()).limit(1))


def _filled(counts: Mapping[date, int], first: date, today: date, known: int | None) -> Trend:
    trend = []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        known = counts.get(day, known)
        if known is not None:
            trend.append((day, known))
    return trend


def _day(session: Session) -> ColumnElement[object]:
    """The day of a commit in UTC, whatever the session's time zone."""
    column = SegmentComputationRow.committed_at
    if session.get_bind().dialect.name == "postgresql":
        return func.date(func.timezone("UTC", column))
    return func.date(column)


def _date(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
