"""The catalogue's database: how it is connected to, and how a transaction begins.

SQLite is used by many processes at once (the CLI, the daemon, runs). What makes that safe: write-ahead
logging, so readers never wait; a busy timeout, so writers queue; and BEGIN IMMEDIATE for every transaction
that writes, so that what it read cannot change before it writes
(https://www.sqlite.org/lang_transaction.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from segops_orchestration.errors import CatalogueError, SegOpsError
from segops_orchestration.postgres_url import is_postgres, postgres_url

BUSY_TIMEOUT_SECONDS = 30

# Execution option of a connection: its transactions write.
WRITES = {"segops_writes": True}


def connect(database_url: str) -> Engine:
    """An engine for the catalogue's URL; connects to nothing yet. Creates the directory of a SQLite file.

    Raises:
        SegOpsError: the URL is malformed or names a database that cannot hold the catalogue.
    """
    url = _parse(database_url)
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 10})
    _make_directory(Path(str(url.database)))
    # Parameters are hashes, sealed secrets and what people wrote: errors are logged without them.
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def describe(engine: Engine) -> str:
    """The database's address for messages, without its password."""
    return engine.url.render_as_string(hide_password=True)


def _parse(database_url: str) -> URL:
    # The text itself stays out of the messages: it may hold a password.
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise SegOpsError(
            "SEGOPS_DATABASE_URL is not a database URL; it looks like "
            "postgresql://user:password@host:5432/database or sqlite:////path/to/catalog.db"
        ) from None
    if is_postgres(url):
        return postgres_url("SEGOPS_DATABASE_URL", database_url)
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SegOpsError(f"SEGOPS_DATABASE_URL: {url.drivername!r} is not supported; allowed: postgresql, sqlite")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SegOpsError(
            "SEGOPS_DATABASE_URL: several processes share the catalogue, so SQLite needs the path of a file"
        )
    return url


def _make_directory(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegOpsError(f"cannot create {file.parent} for the catalogue: {error.strerror}") from error


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver's own BEGIN comes late and is never IMMEDIATE; with None it leaves transactions to us.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("segops_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def translated_errors(engine: Engine) -> Iterator[None]:
    """Turn a database that is away, locked, unreadable or no database into one message.

    Raises:
        CatalogueError: what the database said, and where it is.
    """
    try:
        yield
    except OperationalError as error:
        raise _failure(engine, error) from error
    except DatabaseError as error:
        # Its other subclasses are bugs of ours and keep their traceback; "file is not a database" is the
        # class itself.
        if type(error) is not DatabaseError:
            raise
        raise _failure(engine, error) from error
    except PoolTimeout as error:
        raise CatalogueError(f"the catalogue at {describe(engine)} is busy: all connections are in use") from error


def _failure(engine: Engine, error: DatabaseError) -> CatalogueError:
    said = " ".join(str(error.orig).split())
    return CatalogueError(f"the catalogue at {describe(engine)} cannot be used: {said}")
