"""Where things are: read from the environment once, then passed along."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segops_orchestration.errors import SegOpsError

QUERY_MEMORY_VARIABLE = "SEGOPS_MAX_QUERY_MEMORY"
DEFAULT_QUERY_MEMORY = 1 << 30
API_RATE_VARIABLE = "SEGOPS_API_RATE"
DEFAULT_API_RATE = 2000.0
API_MEMBERS_MEMORY_VARIABLE = "SEGOPS_API_MEMBERS_MEMORY"
DEFAULT_API_MEMBERS_MEMORY = 256 << 20
DAGSTER_URL_VARIABLE = "SEGOPS_DAGSTER_URL"
METRICS_TOKEN_VARIABLE = "SEGOPS_METRICS_TOKEN"
SECRET_KEY_VARIABLE = "SEGOPS_SECRET_KEY"
# Reading and writing blocks of events takes about a third of this, whatever the query is about.
_LEAST_QUERY_MEMORY = 128 << 20
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def memory_amount(variable: str, text: str, least: int) -> int:
    """Bytes of an amount such as ``2GiB``.

    Raises:
        SegOpsError: it is not an amount of memory, or less than ``least`` bytes.
    """
    amount = _AMOUNT.fullmatch(text.strip())
    unit = _UNITS.get(amount.group(2).upper()) if amount else None
    if amount is None or unit is None:
        raise SegOpsError(f"{variable}: {text!r} is not an amount of memory; write bytes, or a unit as in 2GiB")
    limit = int(float(amount.group(1)) * unit)
    if limit < least:
        raise SegOpsError(f"{variable}: {text!r} is too little; the least is {least >> 20}MiB")
    return limit


def rate(variable: str, text: str) -> float:
    """A number of requests a second.

    Raises:
        SegOpsError: it is not a number from 0 to a million.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1_000_000:
        raise SegOpsError(f"{variable}: {text!r} is not a number of requests a second; 0 means without limit")
    return number


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of one SegOps installation.

    Attributes:
        home: directory of all local state (``SEGOPS_HOME``, default ``.segops`` in the working directory).
        clickhouse_url: a ClickHouse server (``SEGOPS_CLICKHOUSE_URL``); None means the embedded warehouse.
        database_url: the catalogue's SQLAlchemy URL (``SEGOPS_DATABASE_URL``, default SQLite under ``home``).
        max_query_memory: bytes that one query of a computation may hold on the ClickHouse server
            (``SEGOPS_MAX_QUERY_MEMORY``, default 1 GiB).
        secret_key: what encrypts the secrets of connectors, several keys comma separated, newest first
            (``SEGOPS_SECRET_KEY``); None means the file ``secret_key_file``.
        api_rate: requests a second that each process of the REST API takes from one caller (``SEGOPS_API_RATE``,
            default 2000); 0 means any number.
        api_members_memory: bytes of memberships that each process of the REST API keeps in memory, to answer membership
            checks without a query (``SEGOPS_API_MEMBERS_MEMORY``, default 256 MiB); 0: none.
        dagster_url: Dagster's webserver, which launches the computations that callers of the API ask for
            (``SEGOPS_DAGSTER_URL``); None: its queue or a worker process does.
        metrics_token: what opens the API's figures to Prometheus (``SEGOPS_METRICS_TOKEN``); None: only programs on
            this machine read them.
    """

    home: Path
    # Both may hold a password.
    clickhouse_url: str | None = field(repr=False)
    database_url: str = field(repr=False)
    max_query_memory: int = DEFAULT_QUERY_MEMORY
    secret_key: str | None = field(default=None, repr=False)
    dagster_url: str | None = field(default=None, repr=False)
    api_rate: float = DEFAULT_API_RATE
    api_members_memory: int = DEFAULT_API_MEMBERS_MEMORY
    metrics_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            SegOpsError: SEGOPS_HOME names something that is not a directory, or SEGOPS_MAX_QUERY_MEMORY is no amount.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("SEGOPS_HOME") or ".segops").expanduser().absolute()
        if home.exists() and not home.is_dir():
            raise SegOpsError(f"SEGOPS_HOME: {home} is a file; it must be a directory or not exist yet")
        memory = env.get(QUERY_MEMORY_VARIABLE) or str(DEFAULT_QUERY_MEMORY)
        return cls(
            home=home,
            clickhouse_url=env.get("SEGOPS_CLICKHOUSE_URL") or None,
            database_url=env.get("SEGOPS_DATABASE_URL") or f"sqlite:///{home / 'catalog.db'}",
            max_query_memory=memory_amount(QUERY_MEMORY_VARIABLE, memory, _LEAST_QUERY_MEMORY),
            secret_key=env.get(SECRET_KEY_VARIABLE) or None,
            dagster_url=env.get(DAGSTER_URL_VARIABLE) or None,
            metrics_token=env.get(METRICS_TOKEN_VARIABLE) or None,
            api_members_memory=memory_amount(
                API_MEMBERS_MEMORY_VARIABLE,
                env.get(API_MEMBERS_MEMORY_VARIABLE) or str(DEFAULT_API_MEMBERS_MEMORY),
                0,
            ),
            api_rate=rate(API_RATE_VARIABLE, env.get(API_RATE_VARIABLE) or str(DEFAULT_API_RATE)),
        )

    @property
    def warehouse_dir(self) -> Path:
        """Data directory of the embedded warehouse."""
        return self.home / "warehouse"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own state: runs, event log, compute logs."""
        return self.home / "dagster"

    @property
    def exports_dir(self) -> Path:
        """Where the ``segment_exports`` asset writes its files."""
        return self.home / "exports"

    @property
    def secret_key_file(self) -> Path:
        """The key of the connectors' secrets, where ``secret_key`` is None; made on first use."""
        return self.home / "secret.key"
