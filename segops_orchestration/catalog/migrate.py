"""Bring the catalogue's database to the newest schema.

Every command and every Dagster run opens the catalogue, so a database that is already there costs one small
query and no import of Alembic. An upgrade is one transaction that holds a lock: a crash leaves nothing of it,
and of two processes the second waits and finds the work done.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from segops_orchestration.catalog.database import BUSY_TIMEOUT_SECONDS, WRITES, describe
from segops_orchestration.errors import SegOpsError

MIGRATIONS = Path(__file__).parent / "migrations"

# Oldest first; the last is the schema that this code speaks. A test compares it with the files.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")

# The advisory lock's number: any constant, the same in every version of this code.
POSTGRES_LOCK = 5_734_678_001


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables; at the newest revision, do nothing.

    Raises:
        SegOpsError: a newer version of this code has been there.
    """
    with engine.connect() as connection:
        if _is_newest(connection):
            return
    with engine.connect().execution_options(**WRITES) as connection:
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(connection)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": POSTGRES_LOCK})
            if not _is_newest(connection):
                _upgrade(connection)


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None for one without our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _is_newest(connection: Connection) -> bool:
    revision = current_revision(connection)
    if revision is not None and revision not in REVISIONS:
        raise SegOpsError(
            f"the catalogue at {describe(connection.engine)} is at revision {revision!r}, which this "
            f"version of segops does not know (its newest is {REVISIONS[-1]!r}): upgrade segops-orchestration"
        )
    return revision == REVISIONS[-1]


def _prepare_sqlite(connection: Connection) -> None:
    """What SQLite only does outside a transaction; through the driver, as SQLAlchemy would begin one."""
    # Not for the pool afterwards: the next user would find references unchecked.
    connection.detach()
    driver: Any = connection.connection.dbapi_connection
    # A migration that rebuilds a table, SQLite's way to alter one, drops what others refer to for a moment.
    driver.execute("PRAGMA foreign_keys = OFF")
    _use_write_ahead_log(driver)


def _use_write_ahead_log(driver: Any) -> None:
    # The mode stays with the file. Changing it does not always heed the busy timeout, so wait here.
    give_up = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if time.monotonic() > give_up:
                raise SegOpsError(f"the catalogue's file stays locked by another process: {error}") from error
            time.sleep(0.05)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The config is an ini file in spirit: a percent sign in the path would be read as interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])
