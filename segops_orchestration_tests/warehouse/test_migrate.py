"""Numbered migrations bring a tenant's database to the newest schema, however often and by however many."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.migrate import apply_migrations, migrations

NEWEST = [migration.version for migration in migrations()]
TABLES = {
    "activation_changes",
    "activation_found",
    "activation_plan",
    "activation_runs",
    "activation_state",
    "arrivals",
    "candidates",
    "dead_letters",
    "events",
    "events_by_time",
    "events_by_user",
    "identifications",
    "membership_changes",
    "schema_migrations",
    "segment_memberships",
    "user_properties",
    "users",
}
MIGRATE = """
import sys
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
Warehouse.connect(Settings.from_env()).tenant(sys.argv[1]).migrate()
"""


@pytest.fixture
def fresh(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    """A tenant without a database."""
    tenant = warehouse.tenant(f"m_{secrets.token_hex(6)}")
    yield tenant
    tenant.drop()


def schema(tenant: TenantWarehouse) -> list[tuple[str, str]]:
    return [
        (name, statement)
        for name, statement in tenant.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
        ).result_rows
    ]


def test_numbers_count_up_from_one() -> None:
    assert list(range(1, len(NEWEST) + 1)) == NEWEST


def test_every_statement_may_run_twice() -> None:
    statements = [statement for migration in migrations() for statement in migration.statements]

    assert statements
    # Rows that are copied twice are one row again in a ReplacingMergeTree.
    copying = ["INSERT INTO events_by_time"]
    for statement in statements:
        is_conditional = re.search(r"\bIF (NOT )?EXISTS\b|\bMODIFY SETTING\b", statement.partition("(")[0])
        assert is_conditional or statement.partition("\n")[0] in copying, statement


def test_a_new_tenant_gets_all_tables(fresh: TenantWarehouse) -> None:
    assert not fresh.exists()

    assert fresh.migrate() == NEWEST

    assert fresh.exists()
    assert {name for name, _ in schema(fresh)} >= TABLES


def test_migrating_twice_changes_nothing(fresh: TenantWarehouse) -> None:
    fresh.migrate()
    before = schema(fresh)

    assert fresh.migrate() == []

    assert schema(fresh) == before


@pytest.mark.parametrize("stop_after", [0, 1, 4, 9])
def test_a_crash_between_two_statements_is_healed_by_the_next_run(
    fresh: TenantWarehouse, warehouse: Warehouse, stop_after: int
) -> None:
    class Crash(Exception):
        pass

    left = stop_after

    def crashing(sql: str, parameters: Mapping[str, object] | None) -> object:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1
        return fresh.command(sql, parameters)

    warehouse.admin.command(f"CREATE DATABASE {fresh.database}")
    with pytest.raises(Crash):
        apply_migrations(crashing, None)

    fresh.migrate()

    assert {name for name, _ in schema(fresh)} >= TABLES
    assert fresh.migrate() == []


def test_processes_migrating_at_once_do_no_harm(fresh: TenantWarehouse, settings: Settings) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", MIGRATE, fresh.slug]) for _ in range(3)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert {name for name, _ in schema(fresh)} >= TABLES
    applied = fresh.query("SELECT DISTINCT version FROM schema_migrations ORDER BY version").result_rows
    assert [version for (version,) in applied] == NEWEST
    assert fresh.migrate() == []
