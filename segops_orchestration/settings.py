"""Where things are: read from the environment once, then passed along."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segops_orchestration.errors import SegOpsError


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of one SegOps installation.

    Attributes:
        home: directory of all local state (``SEGOPS_HOME``, default ``.segops`` in the working directory).
        clickhouse_url: a ClickHouse server (``SEGOPS_CLICKHOUSE_URL``); None means the embedded warehouse.
        database_url: the catalogue's SQLAlchemy URL (``SEGOPS_DATABASE_URL``, default SQLite under ``home``).
    """

    home: Path
    clickhouse_url: str | None
    database_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            SegOpsError: SEGOPS_HOME names something that is not a directory.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("SEGOPS_HOME") or ".segops").expanduser().absolute()
        if home.exists() and not home.is_dir():
            raise SegOpsError(f"SEGOPS_HOME: {home} is a file; it must be a directory or not exist yet")
        return cls(
            home=home,
            clickhouse_url=env.get("SEGOPS_CLICKHOUSE_URL") or None,
            database_url=env.get("SEGOPS_DATABASE_URL") or f"sqlite:///{home / 'catalog.db'}",
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
