"""One tenant for many stories: emptying its tables is quicker than creating them."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant

NewLife = Callable[[], AbstractContextManager[StoryTenant]]

_AT_ONCE = 4


@contextmanager
def lives(settings: Settings, warehouse: Warehouse, empty_catalog_file: Path, folder: Path) -> Iterator[NewLife]:
    """Makes the same tenant anew for each life; its database is dropped in the end."""
    slug = f"t_{secrets.token_hex(6)}"
    database = warehouse.tenant(slug)
    database.migrate()
    tables = _tables(database)
    path = folder / "catalog.db"
    shutil.copy(empty_catalog_file, path)
    with (
        Catalog.open(replace(settings, database_url=f"sqlite:///{path}")) as catalog,
        ThreadPoolExecutor(_AT_ONCE) as workers,
    ):

        @contextmanager
        def life() -> Iterator[StoryTenant]:
            list(workers.map(lambda table: database.command(f"TRUNCATE TABLE {table}"), tables))
            _empty(path)
            catalog.create_tenant(slug)
            yield StoryTenant(catalog, warehouse, slug)

        yield life
    database.drop()


def _tables(database: TenantWarehouse) -> list[str]:
    rows = database.query(
        "SELECT name FROM system.tables WHERE database = {name:String} AND engine LIKE '%MergeTree'"
        " AND name != 'schema_migrations'",
        {"name": database.database},
    ).result_rows
    return [table for (table,) in rows]


def _empty(catalog_file: Path) -> None:
    with closing(sqlite3.connect(catalog_file)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table != "alembic_version" and not table.startswith("sqlite_"):
                connection.execute(f"DELETE FROM {table}")
        connection.commit()
