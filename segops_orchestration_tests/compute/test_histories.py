"""Generated histories: after every computation, full or delta, the members are those that the oracle names.

``SEGOPS_HISTORIES`` sets how many histories a run tries (default 260 from a fixed seed and 260 fresh ones).
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as hypothesis_settings

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.histories import Compute, Define, History, Ingest, histories, replay

HISTORIES = int(os.environ.get("SEGOPS_HISTORIES", "260"))

NewLife = Callable[[], AbstractContextManager[StoryTenant]]

bounded = hypothesis_settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


@pytest.fixture(scope="module")
def new_life(
    settings: Settings, empty_catalog_file: Path, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewLife]:
    """Makes the same tenant anew for each history: emptying its tables is quicker than creating them."""
    slug = f"t_{secrets.token_hex(6)}"
    database = warehouse.tenant(slug)
    database.migrate()
    tables = [
        table
        for (table,) in database.query(
            "SELECT name FROM system.tables WHERE database = {name:String} AND engine LIKE '%MergeTree'"
            " AND name != 'schema_migrations'",
            {"name": database.database},
        ).result_rows
    ]
    path = tmp_path_factory.mktemp("histories") / "catalog.db"
    shutil.copy(empty_catalog_file, path)
    with Catalog.open(replace(settings, database_url=f"sqlite:///{path}")) as catalog:

        @contextmanager
        def life() -> Iterator[StoryTenant]:
            for table in tables:
                database.command(f"TRUNCATE TABLE {table}")
            _empty(path)
            catalog.create_tenant(slug)
            yield StoryTenant(catalog, warehouse, slug)

        yield life
    database.drop()


def _empty(catalog_file: Path) -> None:
    with closing(sqlite3.connect(catalog_file)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table != "alembic_version" and not table.startswith("sqlite_"):
                connection.execute(f"DELETE FROM {table}")
        connection.commit()


def _agrees(history: History, tenant: StoryTenant) -> None:
    received_from = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for step in replay(history, received_from):
        match step:
            case Define(slug, definition):
                tenant.define({slug: definition})
            case Ingest(events):
                tenant.ingest(events)
            case Compute(mode, at, expected):
                tenant.compute("full" if mode == "full" else "delta", at=at)
                assert tenant.all_members() == expected


@seed(20260131)
@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_from_a_fixed_seed(history: History, new_life: NewLife) -> None:
    with new_life() as tenant:
        _agrees(history, tenant)


@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_on_fresh_histories(history: History, new_life: NewLife) -> None:
    with new_life() as tenant:
        _agrees(history, tenant)
