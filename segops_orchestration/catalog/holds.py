"""Holds: a difference that is too large waits for a person. Every function works inside its caller's transaction.

A connector has at most one hold that is ``held`` or ``approved``: a new one supersedes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog import connectors
from segops_orchestration.catalog.connector_records import Connector, Hold
from segops_orchestration.catalog.connector_tables import ConnectorRow, HoldRow
from segops_orchestration.errors import Conflict, NotFound

OPEN = ("held", "approved", "approved_adds")


@dataclass(frozen=True)
class NewHold:
    """What is held: counts of the difference under ``sync_id``, the audience it applies to, and why it may be so."""

    sync_id: int
    adds: int
    removes: int
    audience: int
    cause: str
    sample: dict[str, Any] = field(default_factory=dict)


def create(session: Session, row: ConnectorRow, new: NewHold, now: datetime) -> Hold:
    """Hold a difference; the connector becomes ``held``, unless somebody paused or deletes it."""
    _supersede(session, row.id, now)
    hold = HoldRow(
        connector_id=row.id,
        sync_id=new.sync_id,
        status="held",
        adds=new.adds,
        removes=new.removes,
        audience=new.audience,
        cause=new.cause,
        sample=json.dumps(new.sample, ensure_ascii=False),
        created_at=now,
    )
    session.add(hold)
    if row.status in ("active", "error", "held"):
        reason = f"{new.adds:,} to add and {new.removes:,} to remove, of an audience of {new.audience:,}: {new.cause}"
        connectors.put_status(row, "held", reason, now)
    session.flush()
    return _record(hold)


def latest(session: Session, connector_id: int, statuses: Sequence[str] = OPEN) -> Hold | None:
    """The newest hold with one of these statuses, if any."""
    row = _latest_row(session, connector_id, statuses)
    return None if row is None else _record(row)


def every(session: Session, connector_id: int, limit: int) -> list[Hold]:
    """The newest holds first."""
    query = select(HoldRow).where(HoldRow.connector_id == connector_id).order_by(HoldRow.id.desc()).limit(limit)
    return [_record(row) for row in session.scalars(query)]


def approve(session: Session, tenant_slug: str, slug: str, *, adds_only: bool, by: str, now: datetime) -> Hold:
    """Let the held difference go with the next sync; the connector is active again, unless somebody paused it.

    Approving once more may still widen it from the adds to everything, or narrow it.

    Raises:
        NotFound: no such tenant or connector.
        Conflict: nothing is held.
    """
    connector = connectors.lock(session, tenant_slug, slug)
    row = _latest_row(session, connector.id, OPEN)
    if row is None:
        raise Conflict(
            f"connector {slug!r} of tenant {tenant_slug!r} holds nothing back: there is nothing to approve "
            f"(its status is {connector.status})"
        )
    row.status = "approved_adds" if adds_only else "approved"
    row.decided_at, row.decided_by = now, by
    if connector.status == "held":
        connectors.put_status(connector, "active", "", now)
    session.flush()
    return _record(row)


def keep(session: Session, row: ConnectorRow, hold_id: int, reason: str, now: datetime) -> Hold:
    """The difference is still about the same: an active connector becomes ``held`` again, unless somebody approved it.

    Raises:
        NotFound: no such hold.
    """
    hold = _hold_row(session, row, hold_id)
    if hold.status == "held" and row.status == "active":
        connectors.put_status(row, "held", reason, now)
        session.flush()
    return _record(hold)


def end(
    session: Session, row: ConnectorRow, hold_id: int, status: Literal["released", "superseded"], now: datetime
) -> Hold:
    """The difference was sent, or is no longer of interest; a connector that was held for it is active again.

    Raises:
        NotFound: no such hold.
    """
    hold = _hold_row(session, row, hold_id)
    if hold.status in OPEN:
        hold.status = status
        hold.decided_at = hold.decided_at or now
        if row.status == "held":
            connectors.put_status(row, "active", "", now)
        session.flush()
    return _record(hold)


def pause(session: Session, tenant_slug: str, slug: str, reason: str, now: datetime) -> Connector:
    """Send nothing until ``resume``; changes stay pending.

    Raises:
        NotFound: no such tenant or connector.
        Conflict: it is being deleted.
    """
    row = connectors.lock(session, tenant_slug, slug)
    _refuse_deleting(row, tenant_slug)
    if row.status != "paused":
        connectors.put_status(row, "paused", reason, now)
        session.flush()
    return connectors.get(session, tenant_slug, slug)


def resume(session: Session, tenant_slug: str, slug: str, now: datetime) -> Connector:
    """Take up a paused connector, or one that stopped with an error; what was held before the pause is held again.

    Raises:
        NotFound: no such tenant or connector.
        Conflict: it is held, which takes an approval, or it is being deleted.
    """
    row = connectors.lock(session, tenant_slug, slug)
    _refuse_deleting(row, tenant_slug)
    held = _latest_row(session, row.id, ("held",))
    if row.status == "held":
        raise Conflict(
            f"connector {slug!r} of tenant {tenant_slug!r} is held, not paused: {row.status_reason}. "
            f"segops connectors approve {tenant_slug} {slug} lets that go"
        )
    if row.status != "active":
        if held is None:
            connectors.put_status(row, "active", "", now)
        else:
            reason = f"{held.adds:,} to add and {held.removes:,} to remove: {held.cause}"
            connectors.put_status(row, "held", reason, now)
        session.flush()
    return connectors.get(session, tenant_slug, slug)


def _refuse_deleting(row: ConnectorRow, tenant_slug: str) -> None:
    if row.status == "deleting":
        raise Conflict(
            f"connector {row.slug!r} of tenant {tenant_slug!r} is being deleted; "
            f"segops connectors delete {tenant_slug} {row.slug} --empty or --leave goes on with that"
        )


def _hold_row(session: Session, row: ConnectorRow, hold_id: int) -> HoldRow:
    hold = session.get(HoldRow, hold_id, with_for_update=True)
    if hold is None or hold.connector_id != row.id:
        raise NotFound(f"no hold {hold_id} of connector {row.slug!r}")
    return hold


def _latest_row(session: Session, connector_id: int, statuses: Sequence[str]) -> HoldRow | None:
    query = select(HoldRow).where(HoldRow.connector_id == connector_id, HoldRow.status.in_(statuses))
    return session.scalar(query.order_by(HoldRow.id.desc()).limit(1))


def _supersede(session: Session, connector_id: int, now: datetime) -> None:
    session.execute(
        update(HoldRow)
        .where(HoldRow.connector_id == connector_id, HoldRow.status.in_(OPEN))
        .values(status="superseded", decided_at=now)
    )


def _record(row: HoldRow) -> Hold:
    return Hold(
        id=row.id,
        connector_id=row.connector_id,
        sync_id=row.sync_id,
        status=row.status,
        adds=row.adds,
        removes=row.removes,
        audience=row.audience,
        cause=row.cause,
        sample=json.loads(row.sample),
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
