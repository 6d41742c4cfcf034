"""Transactions of the catalogue, and what time it is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog.database import WRITES, translated_errors
from segops_orchestration.catalog.tables import to_milliseconds

Clock = Callable[[], datetime]


class Transactions:
    """Begins transactions; any of them raises ``SegOpsError`` when the database cannot be used.

    ``clock`` replaces the time of day; by default it is Postgres's own, or this machine's for SQLite.
    """

    def __init__(self, engine: Engine, clock: Clock | None) -> None:
        self.readers = engine
        self.writers = engine.execution_options(**WRITES)
        self._clock = clock

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with translated_errors(self.readers), Session(self.readers) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[tuple[Session, datetime]]:
        """A transaction that writes, and what time it is in it; rolls back on any error."""
        with translated_errors(self.readers), Session(self.writers) as session, session.begin():
            yield session, self.now(session)

    def now(self, session: Session) -> datetime:
        """The time of day, cut to whole milliseconds."""
        return to_milliseconds(self.exact_now(session))

    def exact_now(self, session: Session) -> datetime:
        """The time of day in UTC, for what is counted in parts of a millisecond."""
        if self._clock is not None:
            return self._clock()
        if self.readers.dialect.name == "postgresql":
            told: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
            return told
        return datetime.now(UTC)
