"""The way to ClickHouse, the same for the embedded warehouse and for a server.

A :class:`Warehouse` is a connection; a :class:`TenantWarehouse` is bound to one tenant's database, so that SQL needs
no tenant predicate that could be forgotten.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from segops_orchestration.errors import QueryMemoryExceeded, SegOpsError, WarehouseError
from segops_orchestration.settings import DEFAULT_QUERY_MEMORY, Settings
from segops_orchestration.warehouse.broken import chunks_of
from segops_orchestration.warehouse.migrate import apply_migrations, migrations

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from segops_orchestration.warehouse.embedded.lifecycle import Endpoint

# The driver logs what it raises too; it is told once, by us.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

_log = logging.getLogger(__name__)

Parameters = Mapping[str, object]
QuerySettings = Mapping[str, object]

_SLUG = re.compile(r"[a-z][a-z0-9_]{1,38}")
_DATABASE_PREFIX = "segops_"
# Computations run for minutes; their own max_execution_time ends them, not a silent socket.
_READ_TIMEOUT_SECONDS = 3600
_FOR_URL = re.compile(r"\s*\(for url [^)]*\)")
_URL_QUERY = re.compile(r"\?[^\s'\")]*=[^\s'\")]*")
_LONGEST_TOLD = 1000


@dataclass(frozen=True)
class Address:
    """Where a ClickHouse server listens. The password is left out of its text form."""

    host: str
    port: int
    username: str
    password: str
    secure: bool = False

    def __repr__(self) -> str:
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{self.username}@{self.host}:{self.port}"


def parse_url(url: str) -> Address:
    """Read ``http[s]://user:password@host:port``.

    Raises:
        SegOpsError: the URL is not of that form. The message never shows the password.
    """
    problem = "SEGOPS_CLICKHOUSE_URL: it must look like http[s]://user:password@host:port"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SegOpsError(problem) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise SegOpsError(problem)
    secure = parts.scheme == "https"
    return Address(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        secure=secure,
    )


def database_name(slug: str) -> str:
    """The database of a tenant. The slug is checked here because the name becomes part of SQL.

    Raises:
        SegOpsError: the slug is not of the form ``[a-z][a-z0-9_]{1,38}``.
    """
    if not _SLUG.fullmatch(slug):
        raise SegOpsError(
            f"tenant {slug!r}: a slug is 2 to 39 characters, lower-case letters, digits and _, and begins with a letter"
        )
    return _DATABASE_PREFIX + slug


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Turn the driver's errors into one message for people."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except ClickHouseError as error:
        unreachable = _unreachable(error)
        if unreachable:
            raise WarehouseError(unreachable) from error
        kind = QueryMemoryExceeded if "(MEMORY_LIMIT_EXCEEDED)" in str(error) else WarehouseError
        raise kind(f"{where}: {_told(error)}") from error


def _unreachable(error: BaseException) -> str:
    """Which server does not answer, why, and what to try; empty when it is something else that went wrong."""
    from urllib3.exceptions import MaxRetryError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MaxRetryError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return ""
    scheme = getattr(cause.pool, "scheme", "http")
    reason: BaseException | None = cause.reason
    why = str(reason)
    while reason is not None:
        if isinstance(reason, OSError) and reason.strerror:
            why = reason.strerror
        reason = reason.__cause__ or reason.__context__
    return (
        f"ClickHouse at {scheme}://{cause.pool.host}:{cause.pool.port} cannot be reached: {why}. Is it running, and is"
        " SEGOPS_CLICKHOUSE_URL right? Unset, the embedded warehouse is used: segops warehouse status"
    )


def _told(error: Exception) -> str:
    """What the driver says, less what people need not read and others should not: the URL carries the parameters."""
    text = str(error).partition("server response: ")[2] or str(error)
    text = _FOR_URL.sub("", text)
    text = _URL_QUERY.sub("", text)
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]} ..."


class Warehouse:
    """A connection to ClickHouse. Safe to share between threads; queries run in parallel."""

    def __init__(self, address: Address, *, embedded: bool, query_memory: int = DEFAULT_QUERY_MEMORY) -> None:
        self.address = address
        self.embedded = embedded
        self.query_memory = query_memory
        self._admin: Client | None = None
        self._tenants: dict[str, TenantWarehouse] = {}
        self._settings: Settings | None = None
        self._finding = threading.Lock()

    @classmethod
    def connect(cls, settings: Settings) -> Warehouse:
        """Connect to SEGOPS_CLICKHOUSE_URL, or to the embedded warehouse, starting it when it is not running.

        Raises:
            WarehouseError: the server cannot be reached or refuses the credentials.
        """
        if settings.clickhouse_url:
            warehouse = cls(parse_url(settings.clickhouse_url), embedded=False, query_memory=settings.max_query_memory)
        else:
            from segops_orchestration.warehouse.embedded.lifecycle import ensure_running

            address = _address_of(ensure_running(settings))
            warehouse = cls(address, embedded=True, query_memory=settings.max_query_memory)
            warehouse._settings = settings
        _ = warehouse.admin
        return warehouse

    def find_again(self) -> None:
        """After the embedded server did not answer: begin to look for it, or to start it, without waiting for that.

        It comes back on another port. A server of SEGOPS_CLICKHOUSE_URL is others' to bring back.
        """
        if self._settings is not None and self._finding.acquire(blocking=False):
            threading.Thread(target=self._find, args=(self._settings,), name="find-warehouse", daemon=True).start()

    def _find(self, settings: Settings) -> None:
        from segops_orchestration.warehouse.embedded.lifecycle import ensure_running

        try:
            address = _address_of(ensure_running(settings))
            if address != self.address:
                self.address = address
                for tenant in list(self._tenants.values()):
                    tenant.close()
                self._admin = None
        except SegOpsError as error:
            _log.error("the embedded warehouse does not come back: %s", error)
        finally:
            self._finding.release()

    @property
    def admin(self) -> Client:
        """A client bound to no tenant."""
        if self._admin is None:
            self._admin = self.open_client(None)
        return self._admin

    def tenant(self, slug: str) -> TenantWarehouse:
        """The tenant's database, whether it exists yet or not.

        Raises:
            SegOpsError: the slug breaks the rules.
        """
        if slug not in self._tenants:
            self._tenants[slug] = TenantWarehouse(self, slug)
        return self._tenants[slug]

    def ping(self) -> None:
        """Ask the server for nothing.

        Raises:
            WarehouseError: it does not answer.
        """
        with _refusals("warehouse"):
            self.admin.query("SELECT 1")

    def tenant_slugs(self) -> list[str]:
        """Slugs that have a database here, in alphabetical order."""
        with _refusals("warehouse"):
            rows = self.admin.query(
                "SELECT name FROM system.databases WHERE startsWith(name, {prefix:String}) ORDER BY name",
                parameters={"prefix": _DATABASE_PREFIX},
            ).result_rows
        return [name.removeprefix(_DATABASE_PREFIX) for (name,) in rows]

    def open_client(self, database: str | None) -> Client:
        """A new clickhouse_connect client. No session: the queries of one client may run at the same time."""
        import clickhouse_connect

        address = self.address
        with _refusals(f"ClickHouse at {address!r}"):
            client = clickhouse_connect.get_client(
                host=address.host,
                port=address.port,
                username=address.username,
                password=address.password,
                secure=address.secure,
                database=database,
                autogenerate_session_id=False,
                # Nothing is gained by compressing for the loopback interface.
                compress=not self.embedded,
                send_receive_timeout=_READ_TIMEOUT_SECONDS,
                tz_mode="aware",
            )
        return client

    def close(self) -> None:
        """Close all clients. The embedded server goes on running for others."""
        for tenant in self._tenants.values():
            tenant.close()
        self._tenants.clear()
        if self._admin is not None:
            self._admin.close()
            self._admin = None


class TenantWarehouse:
    """One tenant's database.

    Values reach SQL as bound parameters (``{name:Type}``); ``settings`` are ClickHouse settings of the one query,
    ``log_comment`` and ``max_execution_time`` (seconds) among them.
    """

    def __init__(self, warehouse: Warehouse, slug: str) -> None:
        self.slug = slug
        self.database = database_name(slug)
        self._warehouse = warehouse
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The clickhouse_connect client whose database is the tenant's."""
        if self._client is None:
            self._client = self._warehouse.open_client(self.database)
        return self._client

    @property
    def query_memory(self) -> int:
        """Bytes that one query of a computation may hold on the server."""
        return self._warehouse.query_memory

    def exists(self) -> bool:
        """Whether the database exists."""
        with _refusals(self.slug):
            found = self._warehouse.admin.query(
                "SELECT count() FROM system.databases WHERE name = {name:String}", parameters={"name": self.database}
            )
        return bool(found.result_rows[0][0])

    def migrate(self) -> list[int]:
        """Bring the database to the newest schema, creating it if need be; returns the versions applied now.

        May be called any number of times and by several processes at once.
        """
        if self._is_current():
            return []
        with _refusals(self.slug):
            self._warehouse.admin.command(f"CREATE DATABASE IF NOT EXISTS {self.database}")
        return apply_migrations(self.command, self._applied_versions())

    def _is_current(self) -> bool:
        """Whether nothing is left to migrate, in one query: every computation asks."""
        try:
            rows = self.query("SELECT version FROM schema_migrations").result_rows
        except WarehouseError:
            # No such database or table yet. If the server itself is out of reach, what follows says so.
            return False
        return {migration.version for migration in migrations()} <= {version for (version,) in rows}

    def _applied_versions(self) -> frozenset[int] | None:
        present = self.query("EXISTS TABLE schema_migrations").result_rows[0][0]
        if not present:
            return None
        return frozenset(version for (version,) in self.query("SELECT version FROM schema_migrations").result_rows)

    def drop(self) -> None:
        """Delete the database and all that is in it."""
        with _refusals(self.slug):
            self._warehouse.admin.command(f"DROP DATABASE IF EXISTS {self.database} SYNC")

    def query(self, sql: str, parameters: Parameters | None = None, settings: QuerySettings | None = None) -> Any:
        """Run a SELECT and return clickhouse_connect's QueryResult (``result_rows``, ``named_results()`` ...)."""
        with _refusals(self.slug):
            return self.client.query(sql, parameters=_plain(parameters), settings=_plain(settings))

    def command(self, sql: str, parameters: Parameters | None = None, settings: QuerySettings | None = None) -> Any:
        """Run a statement without a result: DDL, INSERT ... SELECT. Returns its QuerySummary."""
        with _refusals(self.slug):
            return self.client.command(sql, parameters=_plain(parameters), settings=_plain(settings))

    def insert(
        self,
        table: str,
        rows: Sequence[Sequence[object]],
        columns: Sequence[str],
        settings: QuerySettings | None = None,
    ) -> Any:
        """Insert rows of Python values; returns the QuerySummary."""
        with _refusals(self.slug):
            return self.client.insert(table, rows, column_names=list(columns), settings=_plain(settings))

    def insert_bytes(
        self,
        table: str,
        chunks: Iterable[bytes],
        fmt: str,
        columns: Sequence[str] | None = None,
        settings: QuerySettings | None = None,
    ) -> Any:
        """Stream rows in a ClickHouse input format (CSV, Parquet, JSONEachRow ...) into a table.

        Memory stays bounded on both sides, however long the stream is.
        """
        with _refusals(self.slug):
            return self.client.raw_insert(
                table,
                column_names=list(columns) if columns is not None else None,
                insert_block=(chunk for chunk in chunks),
                fmt=fmt,
                settings=_plain(settings),
            )

    @contextmanager
    def stream_bytes(
        self,
        sql: str,
        parameters: Parameters | None = None,
        fmt: str = "Native",
        settings: QuerySettings | None = None,
    ) -> Iterator[Iterator[bytes]]:
        """A query's result as chunks of bytes in a ClickHouse output format, for use with ``with``.

        Leaving the block early cancels the query.

        Raises:
            WarehouseError: the query was refused, or broke off after the first bytes were out.
        """
        with _refusals(self.slug):
            response: Any = self.client.raw_stream(
                sql, parameters=_plain(parameters), settings=_plain(settings), fmt=fmt
            )
        try:
            yield chunks_of(response, self.slug)
        finally:
            response.close()

    def close(self) -> None:
        """Close the client; the next call opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _address_of(endpoint: Endpoint) -> Address:
    return Address(endpoint.host, endpoint.port, endpoint.username, endpoint.password)


def _plain(mapping: Mapping[str, object] | None) -> dict[str, Any] | None:
    return dict(mapping) if mapping is not None else None
