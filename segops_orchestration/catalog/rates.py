"""Rates shared by all processes: one row an account says when its next request may go.

The generic cell rate algorithm without a burst: permits follow each other by a fixed interval, and time that nobody
used is lost. Every function works inside its caller's transaction, which is short, as the row is locked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from segops_orchestration.catalog.connector_tables import RateBucketRow

# A bucket that says longer is out of order, or the clock was: nobody takes, or is asked for, so much.
MOST_AHEAD_SECONDS = 7_200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def reserve(session: Session, key: str, per_second: float, permits: int, now: Callable[[], datetime]) -> float:
    """Take permits; the seconds until the first of them may be used. The others follow at an even pace."""
    row = _locked(session, key)
    # After the lock: waiting for it took time.
    instant = (now() - _EPOCH) // _MICROSECOND
    first = max(instant, _credible(row.next_free, instant))
    row.next_free = first + ceil(permits * 1_000_000 / per_second)
    session.flush()
    return (first - instant) / 1_000_000


def hold(session: Session, key: str, seconds: float, now: Callable[[], datetime]) -> None:
    """No permit is free before so long from now. However many processes say so of one wait, it is not added up."""
    row = _locked(session, key)
    instant = (now() - _EPOCH) // _MICROSECOND
    until = instant + ceil(min(seconds, MOST_AHEAD_SECONDS) * 1_000_000)
    row.next_free = max(until, _credible(row.next_free, instant))
    session.flush()


def _credible(next_free: int, instant: int) -> int:
    return next_free if next_free - instant <= MOST_AHEAD_SECONDS * 1_000_000 else instant


def _locked(session: Session, key: str) -> RateBucketRow:
    """The row, locked; two that make it at once end with one."""
    insert = _INSERTS[session.get_bind().dialect.name]
    session.execute(insert(RateBucketRow).values(key=key, next_free=0).on_conflict_do_nothing())
    return session.get_one(RateBucketRow, key, with_for_update=True)
