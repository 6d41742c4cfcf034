"""Notices that are to be sent, and what became of them. Every function works inside its caller's transaction.

A message is written from the ledger of computations, so none is lost whenever a process dies: what is committed there
and has no message yet gets one, and no more than one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import CursorResult, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog import endpoints, tenants
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow, SegmentRow, TenantRow
from segops_orchestration.catalog.webhook_records import RECOMPUTED, ClaimedMessage, Message, MessageStatus
from segops_orchestration.catalog.webhook_tables import EndpointRow, MessageRow
from segops_orchestration.errors import NotFound

KEPT = timedelta(days=30)
MAX_ERROR = 2_000

# Sealed secret and what it is called -> the secret.
Unseal = Callable[[str, str], str]


def write(session: Session, tenant_slug: str, now: datetime) -> int:
    """Write the messages that are missing, forget old ones that have ended; how many were written.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    rows = session.scalars(
        select(EndpointRow)
        .where(EndpointRow.tenant_id == tenant.id, EndpointRow.status == "active")
        .order_by(EndpointRow.id)
        .with_for_update()
    ).all()
    if not rows:
        return 0
    settled = endpoints.settled(session, tenant.id)
    written = 0
    for endpoint in rows:
        if RECOMPUTED in json.loads(endpoint.event_types):
            written += _write(session, tenant, endpoint, now)
        endpoint.written_up_to = max(endpoint.written_up_to, settled)
    ended = MessageRow.endpoint_id.in_([row.id for row in rows]), MessageRow.status.in_(("delivered", "dead"))
    session.execute(delete(MessageRow).where(*ended, MessageRow.created_at < now - KEPT))
    return written


def _write(session: Session, tenant: TenantRow, endpoint: EndpointRow, now: datetime) -> int:
    part, whole = SegmentComputationRow, ComputationRow
    there = and_(
        MessageRow.endpoint_id == endpoint.id,
        MessageRow.computation_id == part.computation_id,
        MessageRow.segment_id == part.segment_id,
    )
    rows = session.execute(
        select(part, whole, SegmentRow)
        .join(whole, whole.id == part.computation_id)
        .join(SegmentRow, SegmentRow.id == part.segment_id)
        .where(
            whole.tenant_id == tenant.id,
            whole.id > endpoint.written_up_to,
            part.status == "committed",
            or_(part.entered > 0, part.exited > 0),
            part.committed_at >= max(endpoint.written_since, now - KEPT),
            ~select(MessageRow.id).where(there).exists(),
        )
        .order_by(part.id)
    ).all()
    session.add_all(
        MessageRow(
            endpoint_id=endpoint.id,
            message_id=f"msg_{uuid4().hex}",
            event_type=RECOMPUTED,
            computation_id=one.id,
            segment_id=segment.id,
            body=_body(tenant, row, one, segment),
            status="pending",
            attempts=0,
            next_attempt_at=now,
            created_at=now,
        )
        for row, one, segment in rows
    )
    session.flush()
    return len(rows)


def _body(tenant: TenantRow, part: SegmentComputationRow, whole: ComputationRow, segment: SegmentRow) -> str:
    document = {
        "event": RECOMPUTED,
        "tenant_slug": tenant.slug,
        "segment_id": segment.id,
        "segment_slug": segment.slug,
        "segment_name": segment.name,
        "member_count": part.members or 0,
        "entered": part.entered or 0,
        "exited": part.exited or 0,
        "computed_at": whole.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return json.dumps(document, ensure_ascii=False)


def claim(
    session: Session,
    tenant_slug: str | None,
    unseal: Unseal,
    now: datetime,
    *,
    seconds: float,
    limit: int,
    but: Collection[int],
) -> list[ClaimedMessage]:
    """Take messages that are due, of one tenant or of all, oldest first; nobody else takes them for ``seconds``.

    ``but`` names endpoints to leave alone.

    Raises:
        SecretKeyError: an endpoint's secret cannot be decrypted.
    """
    row = MessageRow
    query = (
        select(row, EndpointRow, TenantRow.slug)
        .join(EndpointRow, EndpointRow.id == row.endpoint_id)
        .join(TenantRow, TenantRow.id == EndpointRow.tenant_id)
        .where(
            row.status == "pending",
            row.next_attempt_at <= now,
            or_(row.claimed_until.is_(None), row.claimed_until <= now),
            row.endpoint_id.not_in(list(but)),
            EndpointRow.status == "active",
            TenantRow.status == "active",
        )
        .order_by(row.next_attempt_at, row.id)
        .limit(limit)
        .with_for_update(of=row, skip_locked=True)
    )
    if tenant_slug is not None:
        query = query.where(TenantRow.slug == tenant_slug)
    until, mark = now + timedelta(seconds=seconds), uuid4().hex
    found = session.execute(query).all()
    opened = {endpoint.id: unseal(endpoint.secret, endpoints.what(endpoint.id)) for _, endpoint, _ in found}
    for message, _, _ in found:
        message.claim, message.claimed_until = mark, until
    return [
        ClaimedMessage(
            id=message.id,
            endpoint_id=endpoint.id,
            tenant=slug,
            url=endpoint.url,
            secret=opened[endpoint.id],
            message_id=message.message_id,
            body=message.body,
            attempts=message.attempts,
            claim=mark,
            until=until,
        )
        for message, endpoint, slug in found
    ]


def due(session: Session, now: datetime) -> dict[str, datetime]:
    """Active tenants that a message is due for or yet to be written, by slug, and since when."""
    row = MessageRow
    unsent = session.execute(
        select(TenantRow.slug, func.min(row.next_attempt_at))
        .join(EndpointRow, EndpointRow.tenant_id == TenantRow.id)
        .join(row, row.endpoint_id == EndpointRow.id)
        .where(
            row.status == "pending",
            row.next_attempt_at <= now,
            or_(row.claimed_until.is_(None), row.claimed_until <= now),
            EndpointRow.status == "active",
            TenantRow.status == "active",
        )
        .group_by(TenantRow.slug)
    )
    found = {slug: since for slug, since in unsent}
    part, whole = SegmentComputationRow, ComputationRow
    unwritten = session.execute(
        select(TenantRow.slug, func.min(part.committed_at))
        .join(EndpointRow, EndpointRow.tenant_id == TenantRow.id)
        .join(whole, and_(whole.tenant_id == TenantRow.id, whole.id > EndpointRow.written_up_to))
        .join(part, part.computation_id == whole.id)
        .where(
            EndpointRow.status == "active",
            TenantRow.status == "active",
            part.status == "committed",
            or_(part.entered > 0, part.exited > 0),
            part.committed_at >= EndpointRow.written_since,
            part.committed_at >= now - KEPT,
            ~select(row.id)
            .where(
                row.endpoint_id == EndpointRow.id,
                row.computation_id == part.computation_id,
                row.segment_id == part.segment_id,
            )
            .exists(),
        )
        .group_by(TenantRow.slug)
    )
    for slug, committed_at in unwritten:
        since = committed_at or now
        found[slug] = min(since, found.get(slug, since))
    return found


def record(
    session: Session,
    claimed: ClaimedMessage,
    status: MessageStatus,
    now: datetime,
    *,
    answer: int | None,
    error: str | None,
    next_attempt_at: datetime | None = None,
) -> bool:
    """Write down an attempt, if the message is still ours; whether it was."""
    values: dict[str, object] = {
        "status": status,
        "attempts": claimed.attempts + 1,
        "last_attempt_at": now,
        "last_status": answer,
        "last_error": None if error is None else error[:MAX_ERROR],
        "claim": None,
        "claimed_until": None,
    }
    if next_attempt_at is not None:
        values["next_attempt_at"] = next_attempt_at
    return _update(session, claimed, values)


def release(session: Session, claimed: ClaimedMessage) -> bool:
    """Give a message back untried, if it is still ours; whether it was."""
    return _update(session, claimed, {"claim": None, "claimed_until": None})


def _update(session: Session, claimed: ClaimedMessage, values: dict[str, object]) -> bool:
    ours = MessageRow.id == claimed.id, MessageRow.claim == claimed.claim
    result = session.execute(update(MessageRow).where(*ours).values(values))
    return isinstance(result, CursorResult) and result.rowcount == 1


def messages(
    session: Session,
    tenant_slug: str,
    *,
    endpoint_id: int | None,
    status: MessageStatus | None,
    limit: int,
) -> list[Message]:
    """The newest messages first.

    Raises:
        NotFound: no such tenant or endpoint.
    """
    tenant = tenants.get(session, tenant_slug)
    query = select(MessageRow).join(EndpointRow, EndpointRow.id == MessageRow.endpoint_id)
    query = query.where(EndpointRow.tenant_id == tenant.id)
    if endpoint_id is not None:
        query = query.where(MessageRow.endpoint_id == endpoints.find(session, tenant_slug, endpoint_id).id)
    if status is not None:
        query = query.where(MessageRow.status == status)
    return [_message(row) for row in session.scalars(query.order_by(MessageRow.id.desc()).limit(limit))]


def redeliver(
    session: Session, tenant_slug: str, message_ids: Sequence[str] | None, endpoint_id: int | None, now: datetime
) -> list[Message]:
    """Make messages due now, with all their attempts before them again: these, or all dead ones.

    Raises:
        NotFound: no such tenant, endpoint or message.
    """
    tenant = tenants.get(session, tenant_slug)
    query = select(MessageRow).join(EndpointRow, EndpointRow.id == MessageRow.endpoint_id)
    query = query.where(EndpointRow.tenant_id == tenant.id)
    if endpoint_id is not None:
        query = query.where(MessageRow.endpoint_id == endpoints.find(session, tenant_slug, endpoint_id).id)
    if message_ids is None:
        query = query.where(MessageRow.status == "dead")
    else:
        query = query.where(MessageRow.message_id.in_(message_ids))
    rows = session.scalars(query.order_by(MessageRow.id).with_for_update(of=MessageRow)).all()
    known = {row.message_id for row in rows}
    for message_id in message_ids or ():
        if message_id not in known:
            raise NotFound(
                f"no message {message_id!r} in tenant {tenant_slug!r}; segops webhooks deliveries lists them"
            )
    for row in rows:
        row.status, row.attempts, row.next_attempt_at = "pending", 0, now
        row.claim, row.claimed_until = None, None
    session.flush()
    return [_message(row) for row in rows]


def _message(row: MessageRow) -> Message:
    return Message(
        id=row.id,
        endpoint_id=row.endpoint_id,
        message_id=row.message_id,
        event_type=row.event_type,
        computation_id=row.computation_id,
        segment_id=row.segment_id,
        body=row.body,
        status=row.status,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
    )
