"""What the leases of tenants and of connectors have in common: rows that expire unless their holder renews them.

The token of a row proves possession: only who has it can prolong the lease or give it back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, CursorResult, Delete, Update, delete, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog.connector_tables import ConnectorLeaseRow
from segops_orchestration.catalog.tables import LeaseRow

Row = LeaseRow | ConnectorLeaseRow


def take(row: Row, owner: str, run_id: str | None, ttl_seconds: float, now: datetime) -> None:
    """Make the row its new holder's."""
    row.owner = owner
    row.run_id = run_id
    row.token = uuid4().hex
    row.acquired_at = row.heartbeat_at = now
    row.expires_at = now + timedelta(seconds=ttl_seconds)


def prolong(session: Session, ours: ColumnElement[bool], table: type[Row], ttl_seconds: float, now: datetime) -> bool:
    """Another time to live from now, also of a lease that expired. False when it is somebody else's by now.

    Args:
        ours: picks the row by its key and our token.
    """
    expires_at = now + timedelta(seconds=ttl_seconds)
    return _touched(session, update(table).where(ours).values(heartbeat_at=now, expires_at=expires_at))


def give_back(session: Session, ours: ColumnElement[bool], table: type[Row]) -> bool:
    """False when it was no longer ours; nobody else's is touched."""
    return _touched(session, delete(table).where(ours))


def _touched(session: Session, statement: Update | Delete) -> bool:
    return cast(CursorResult[Any], session.execute(statement)).rowcount == 1
