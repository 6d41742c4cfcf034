"""Endpoints of a tenant's notices. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow, TenantRow
from segops_orchestration.catalog.webhook_records import EVENT_TYPES, Endpoint, EndpointStatus
from segops_orchestration.catalog.webhook_tables import EndpointRow, MessageRow
from segops_orchestration.dsl.wording import did_you_mean, found, listed
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

MAX_REASON = 2_000
_OPEN = ("planned", "staged")


def create(
    session: Session, tenant_slug: str, url: str, sealed: str, event_types: Sequence[str], now: datetime
) -> Endpoint:
    """Insert an endpoint; it hears of what is committed from now on.

    Raises:
        NotFound, Conflict: no such tenant, it is archived, or has an endpoint of this URL.
        InvalidDocument: there is no such event type.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    _check(event_types)
    if session.scalar(select(EndpointRow.id).where(EndpointRow.tenant_id == tenant.id, EndpointRow.url == url)):
        raise Conflict(f"tenant {tenant_slug!r} has an endpoint of this URL already; segops webhooks list shows it")
    row = EndpointRow(
        tenant_id=tenant.id,
        url=url,
        secret=sealed,
        event_types=json.dumps(list(event_types)),
        status="active",
        status_reason="",
        written_up_to=settled(session, tenant.id),
        written_since=now,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return get(session, tenant_slug, row.id)


def every(session: Session, tenant_slug: str) -> list[Endpoint]:
    """A tenant's endpoints, oldest first.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    rows = session.scalars(select(EndpointRow).where(EndpointRow.tenant_id == tenant.id).order_by(EndpointRow.id)).all()
    counts = _counts(session, [row.id for row in rows])
    return [_record(row, tenant_slug, counts.get(row.id, (0, 0, None))) for row in rows]


def get(session: Session, tenant_slug: str, endpoint_id: int) -> Endpoint:
    """One endpoint.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    row = find(session, tenant_slug, endpoint_id)
    return _record(row, tenant_slug, _counts(session, [row.id]).get(row.id, (0, 0, None)))


def find(session: Session, tenant_slug: str, endpoint_id: int, *, lock: bool = False) -> EndpointRow:
    """The endpoint's row; with ``lock``, nobody else changes it until the transaction ends.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    tenant = tenants.get(session, tenant_slug)
    query = select(EndpointRow).where(EndpointRow.tenant_id == tenant.id, EndpointRow.id == endpoint_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        known = session.scalars(select(EndpointRow.id).where(EndpointRow.tenant_id == tenant.id)).all()
        has = f"it has {listed(map(str, sorted(known)))}" if known else "it has none: segops webhooks create"
        raise NotFound(f"no endpoint {endpoint_id} in tenant {tenant_slug!r}; {has}")
    return row


def active_tenants(session: Session) -> list[str]:
    """Slugs of the active tenants with an active endpoint."""
    return list(
        session.scalars(
            select(TenantRow.slug)
            .join(EndpointRow, EndpointRow.tenant_id == TenantRow.id)
            .where(TenantRow.status == "active", EndpointRow.status == "active")
            .distinct()
            .order_by(TenantRow.slug)
        )
    )


def enable(session: Session, tenant_slug: str, endpoint_id: int, now: datetime) -> Endpoint:
    """Take up a disabled endpoint: what is pending goes on, what was committed meanwhile is not made up for.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    row = find(session, tenant_slug, endpoint_id, lock=True)
    if row.status != "active":
        row.written_up_to, row.written_since = settled(session, row.tenant_id), now
        put_status(row, "active", "", now)
        session.flush()
    return get(session, tenant_slug, endpoint_id)


def change(
    session: Session,
    tenant_slug: str,
    endpoint_id: int,
    *,
    url: str | None,
    sealed: str | None,
    event_types: Sequence[str] | None,
    now: datetime,
) -> Endpoint:
    """Give an endpoint another address, secret or choice of events; None leaves each as it is.

    Raises:
        NotFound: no such tenant or endpoint.
        Conflict: another endpoint of the tenant has this URL.
        InvalidDocument: there is no such event type.
    """
    row = find(session, tenant_slug, endpoint_id, lock=True)
    if event_types is not None:
        _check(event_types)
        row.event_types = json.dumps(list(event_types))
    if url is not None and url != row.url:
        taken = select(EndpointRow.id).where(EndpointRow.tenant_id == row.tenant_id, EndpointRow.url == url)
        if session.scalar(taken):
            raise Conflict(f"tenant {tenant_slug!r} has another endpoint of this URL")
        row.url = url
    if sealed is not None:
        row.secret = sealed
    row.updated_at = now
    session.flush()
    return get(session, tenant_slug, endpoint_id)


def disable(session: Session, tenant_slug: str, endpoint_id: int, reason: str, now: datetime) -> Endpoint:
    """Send nothing more to an endpoint until it is enabled; what is pending waits.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    row = find(session, tenant_slug, endpoint_id, lock=True)
    if row.status != "disabled":
        put_status(row, "disabled", reason, now)
        session.flush()
    return get(session, tenant_slug, endpoint_id)


def put_status(row: EndpointRow, status: EndpointStatus, reason: str, now: datetime) -> None:
    """Give a row a status and say why."""
    row.status, row.status_reason, row.updated_at = status, reason[:MAX_REASON], now


def remove(session: Session, tenant_slug: str, endpoint_id: int) -> Endpoint:
    """Delete an endpoint with all its messages; the record of what it was.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    row = find(session, tenant_slug, endpoint_id, lock=True)
    record = get(session, tenant_slug, endpoint_id)
    session.execute(delete(MessageRow).where(MessageRow.endpoint_id == row.id))
    session.delete(row)
    return record


def seal_again(session: Session, seal: Callable[[str, str], str]) -> int:
    """Replace every secret by what ``seal`` makes of it and of its name; how many there are."""
    rows = session.scalars(select(EndpointRow).order_by(EndpointRow.id).with_for_update()).all()
    for row in rows:
        row.secret = seal(row.secret, what(row.id))
    return len(rows)


def what(endpoint_id: int) -> str:
    """What an endpoint's secret is called in errors."""
    return f"the secret of webhook endpoint {endpoint_id}"


def settled(session: Session, tenant_id: int) -> int:
    """The last computation such that none up to it will commit anything more; 0 when there is none."""
    part, whole = SegmentComputationRow, ComputationRow
    unsettled = (
        select(func.min(whole.id))
        .join(part, part.computation_id == whole.id)
        .where(whole.tenant_id == tenant_id, part.status.in_(_OPEN))
    )
    first = session.scalar(unsettled)
    if first is not None:
        return first - 1
    return session.scalar(select(func.max(whole.id)).where(whole.tenant_id == tenant_id)) or 0


def _check(event_types: Sequence[str]) -> None:
    problems = [
        Problem("event", f"found {found(name)}; allowed: {listed(EVENT_TYPES)}{did_you_mean(name, EVENT_TYPES)}")
        for name in event_types
        if name not in EVENT_TYPES
    ]
    if not event_types:
        problems.append(Problem("event", f"missing; allowed: {listed(EVENT_TYPES)}"))
    if problems:
        raise InvalidDocument(problems)


def _counts(session: Session, endpoint_ids: Sequence[int]) -> dict[int, tuple[int, int, datetime | None]]:
    """Messages pending, messages dead, and the last delivery, by endpoint."""
    row = MessageRow
    rows = session.execute(
        select(
            row.endpoint_id,
            func.count(case((row.status == "pending", 1))),
            func.count(case((row.status == "dead", 1))),
            func.max(case((row.status == "delivered", row.last_attempt_at))),
        )
        .where(row.endpoint_id.in_(endpoint_ids))
        .group_by(row.endpoint_id)
    )
    return {endpoint_id: (pending, dead, at) for endpoint_id, pending, dead, at in rows}


def _record(row: EndpointRow, tenant: str, counts: tuple[int, int, datetime | None]) -> Endpoint:
    pending, dead, delivered_at = counts
    return Endpoint(
        id=row.id,
        tenant=tenant,
        url=row.url,
        event_types=tuple(json.loads(row.event_types)),
        status=row.status,
        status_reason=row.status_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        pending=pending,
        dead=dead,
        delivered_at=delivered_at,
    )
