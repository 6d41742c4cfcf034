"""chdb connections: one for each request, a pinned one for each session.

A request must not find settings, temporary tables or a current database of somebody else's query. So a connection is
used again only after a read, which leaves nothing behind, and only for requests with the same database and settings:
opening one and setting it up takes 0.5 ms (chdb 4.4), a third of what a small read takes in all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segops_orchestration.warehouse.embedded.errors import EngineError, SessionLocked
from segops_orchestration.warehouse.embedded.request import ExternalTable, Request

log = logging.getLogger(__name__)

_KEPT_IDLE = 16


def quote(text: str) -> str:
    """A ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(text: str) -> str:
    """A ClickHouse identifier in backticks."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def run(connection: Any, sql: str) -> Any:
    """Execute a statement; the engine's refusal becomes an EngineError."""
    try:
        return connection.query(sql, "TabSeparated")
    except RuntimeError as error:
        raise EngineError(str(error)) from error


@dataclass
class _Session:
    connection: Any
    busy: bool = False
    expires: float = field(default=0.0)


@dataclass(frozen=True)
class _Setup:
    """How a connection is set up before its statement."""

    database: str
    settings: tuple[tuple[str, str], ...]


class _Idle:
    """Connections that nobody uses, with how they are set up; those used longest ago are closed."""

    def __init__(self) -> None:
        self._connections: OrderedDict[int, tuple[_Setup, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, setup: _Setup) -> Any | None:
        """One that is set up so, the one used last; None if there is none."""
        with self._lock:
            for key, (found, connection) in reversed(self._connections.items()):
                if found == setup:
                    del self._connections[key]
                    return connection
        return None

    def keep(self, setup: _Setup, connection: Any) -> None:
        """Put one by."""
        with self._lock:
            self._connections[id(connection)] = (setup, connection)
            surplus = None
            if len(self._connections) > _KEPT_IDLE:
                _, (_, surplus) = self._connections.popitem(last=False)
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for _, connection in self._connections.values():
                connection.close()
            self._connections.clear()


class Sessions:
    """Hands out connections to one data directory.

    Args:
        directory: ClickHouse's data.
        config: its configuration file.
        bulk: settings for requests that move much data.
    """

    def __init__(self, directory: Path, config: Path, bulk: Mapping[str, str]) -> None:
        import chdb

        connect: Any = chdb.connect
        self._connect: Callable[[], Any] = lambda: connect(f"{directory}?config-file={config}")
        self._bulk = dict(bulk)
        # The engine lives as long as one connection is open.
        self._anchor = self._connect()
        self._idle = _Idle()
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, request: Request) -> Iterator[Any]:
        """A connection set up for the request: database, settings, external tables.

        Raises:
            EngineError: the database or a setting does not exist. SessionLocked: the session is in use.
        """
        if request.session_id:
            with self._pinned(request) as connection:
                yield connection
            return
        setup = self._setup(request)
        if request.is_read and not request.external:
            with self._reusable(setup) as connection:
                yield connection
            return
        connection = self._connect()
        try:
            self._prepare(connection, setup, request.external)
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _reusable(self, setup: _Setup) -> Iterator[Any]:
        """A connection for a read, kept for another one when the read ends well."""
        connection = self._idle.take(setup)
        try:
            if connection is None:
                connection = self._connect()
                self._prepare(connection, setup)
            yield connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._idle.keep(setup, connection)

    @contextmanager
    def _pinned(self, request: Request) -> Iterator[Any]:
        session = self._take(request.session_id)
        reset = ", ".join(f"{name} = DEFAULT" for name in request.settings)
        usable = True
        try:
            self._prepare(session.connection, self._setup(request), request.external)
            yield session.connection
        finally:
            if reset:
                try:
                    run(session.connection, f"SET {reset}")
                except EngineError:
                    usable = False
            for table in request.external:
                with suppress(EngineError):
                    run(session.connection, f"DROP TEMPORARY TABLE IF EXISTS {quote_name(table.name)}")
            self._give_back(request, session, usable=usable)

    def _setup(self, request: Request) -> _Setup:
        settings = {**(self._bulk if request.is_bulk else {}), **request.settings}
        return _Setup(request.database, tuple(sorted(settings.items())))

    def _prepare(self, connection: Any, setup: _Setup, tables: Sequence[ExternalTable] = ()) -> None:
        if setup.database:
            run(connection, f"USE {quote_name(setup.database)}")
        if setup.settings:
            run(connection, "SET " + ", ".join(f"{name} = {quote(value)}" for name, value in setup.settings))
        for table in tables:
            _send_table(connection, table)

    def _take(self, session_id: str) -> _Session:
        with self._lock:
            self._close_expired()
            session = self._sessions.get(session_id)
            if session is None:
                session = self._sessions[session_id] = _Session(self._connect())
            if session.busy:
                raise SessionLocked
            session.busy = True
            return session

    def _give_back(self, request: Request, session: _Session, *, usable: bool) -> None:
        with self._lock:
            session.busy = False
            session.expires = time.monotonic() + request.session_seconds
            if not usable:
                del self._sessions[request.session_id]
                session.connection.close()

    def _close_expired(self) -> None:
        now = time.monotonic()
        for session_id, session in list(self._sessions.items()):
            if not session.busy and session.expires < now:
                session.connection.close()
                del self._sessions[session_id]

    def cancel(self, marker: str) -> None:
        """Cancel the query whose text ends with ``marker``."""
        connection = self._connect()
        try:
            connection.query(
                "KILL QUERY WHERE endsWith(query, {marker:String}) ASYNC", "TabSeparated", params={"marker": marker}
            )
        except RuntimeError as error:
            log.warning("a query could not be cancelled: %s", EngineError(str(error)).name)
        finally:
            connection.close()

    def query_text(self, sql: str) -> str:
        """Answer of a small query of the server's own, as text."""
        connection = self._connect()
        try:
            return str(run(connection, sql).bytes().decode().strip())
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection, and with the last one the engine."""
        with self._lock:
            for session in self._sessions.values():
                session.connection.close()
            self._sessions.clear()
        self._idle.close()
        self._anchor.close()


def _send_table(connection: Any, table: ExternalTable) -> None:
    run(connection, f"CREATE TEMPORARY TABLE {quote_name(table.name)} ({table.structure})")
    inserter = connection.send_insert(f"INSERT INTO {quote_name(table.name)}", table.format)
    try:
        inserter.append(table.data)
        inserter.finish()
    except RuntimeError as error:
        inserter.cancel()
        raise EngineError(str(error)) from error
