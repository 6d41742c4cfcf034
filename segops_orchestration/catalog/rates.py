"""Rates shared by all processes: one row an account says when its next request may go.

The generic cell rate algorithm: permits follow each other by a fixed interval, and time that nobody used is kept up to
a burst. Every function works inside its caller's transaction, which is short, as the row is locked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from segops_orchestration.catalog.connector_tables import RateBucketRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def reserve(
    session: Session, key: str, permits: int, interval: float, burst: int, now: Callable[[], datetime]
) -> float:
    """Take ``permits`` at ``interval`` seconds each; seconds from now until the first of them may be used.

    The others follow at the interval. ``burst`` permits that nobody took may be used at once.
    """
    row = _locked(session, key)
    # After the lock: waiting for it took time.
    instant = _microseconds(now())
    step = round(interval * 1_000_000)
    start = max(row.next_free, instant - burst * step)
    row.next_free = start + permits * step
    session.flush()
    return (start - instant) / 1_000_000


def postpone(session: Session, key: str, seconds: float, now: Callable[[], datetime]) -> None:
    """Let nobody go for so long: the platform asked for it."""
    row = _locked(session, key)
    row.next_free = max(row.next_free, _microseconds(now()) + round(seconds * 1_000_000))
    session.flush()


def _locked(session: Session, key: str) -> RateBucketRow:
    """The row, locked; two that make it at once end with one."""
    insert = _INSERTS[session.get_bind().dialect.name]
    session.execute(insert(RateBucketRow).values(key=key, next_free=0).on_conflict_do_nothing())
    return session.get_one(RateBucketRow, key, with_for_update=True)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
