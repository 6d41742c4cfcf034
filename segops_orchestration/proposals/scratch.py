"""A database for a moment: made empty, dropped in the end, and found and dropped later if its process was killed."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

# Not a tenant's: those begin with segops_, and sensors look at all of them.
_PREFIX = "scratch_segops_"
_NAME = re.compile(_PREFIX + r"(\d+)_(\d+)_[0-9a-f]{12}")


class ScratchDatabase(TenantWarehouse):
    """A database with a tenant's tables that belongs to no tenant."""

    def __init__(self, warehouse: Warehouse, database: str) -> None:
        super().__init__(warehouse, "scratch")
        self.database = database


@contextmanager
def scratch_database(warehouse: Warehouse) -> Iterator[ScratchDatabase]:
    """A new database at the newest schema in the embedded warehouse; dropped when the block is left, also by an error.

    What processes of this machine that no longer live have left behind is dropped first.
    """
    drop_leftovers(warehouse)
    name = f"{_PREFIX}{os.getpid()}_{int(time.time())}_{secrets.token_hex(6)}"
    database = ScratchDatabase(warehouse, name)
    try:
        database.migrate()
        yield database
    finally:
        database.drop()
        database.close()


def drop_leftovers(warehouse: Warehouse) -> list[str]:
    """Drop the scratch databases whose processes are gone; returns their names."""
    rows = warehouse.admin.query(
        "SELECT name FROM system.databases WHERE startsWith(name, {prefix:String}) ORDER BY name",
        parameters={"prefix": _PREFIX},
    ).result_rows
    dropped = []
    for (name,) in rows:
        match = _NAME.fullmatch(name)
        if match is not None and not _lives(int(match[1]), int(match[2])):
            ScratchDatabase(warehouse, name).drop()
            dropped.append(name)
    return dropped


def _lives(pid: int, made_at: int) -> bool:
    """Whether the process that made a database still runs: one that is younger has only inherited its number."""
    import psutil

    try:
        # Process times are known to some hundredths of a second, the database's to the second.
        return bool(psutil.Process(pid).create_time() <= made_at + 1)
    except psutil.NoSuchProcess:
        return False
