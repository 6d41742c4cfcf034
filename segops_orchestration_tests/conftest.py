"""What all tests share: a home of their own, one embedded warehouse per session, a fresh tenant per test, Postgres."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import stop
from segops_orchestration_tests.postgres_databases import new_database
from segops_orchestration_tests.postgres_server import NOT_FOUND, URL_VARIABLE, binaries, private_server

# Read before the session's settings take such variables away.
POSTGRES_URL = os.environ.get(URL_VARIABLE)


# What takes longest begins first, so that no worker waits at the end for the other one's last file.
_LONGEST_FIRST = ("end_to_end", "compute", "platforms", "docs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests by room, longest first, and take out what cannot run here."""
    items.sort(key=_place)
    _without_postgres(config, items)


def _place(item: pytest.Item) -> int:
    room = item.path.parent.name
    return _LONGEST_FIRST.index(room) if room in _LONGEST_FIRST else len(_LONGEST_FIRST)


def _without_postgres(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a Postgres to run on, its tests are taken out of the selection."""
    if POSTGRES_URL or binaries():
        return
    on_postgres = [item for item in items if item.get_closest_marker("postgres")]
    if on_postgres:
        items[:] = [item for item in items if item not in on_postgres]
        config.hook.pytest_deselected(items=on_postgres)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that tests were taken out."""
    if not (POSTGRES_URL or binaries()):
        terminalreporter.write_line(f"Tests on Postgres were left out. {NOT_FOUND}", yellow=True)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A SEGOPS_HOME of this session alone; also in the environment, for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SEGOPS_", "DAGSTER_"))]:
            patch.delenv(name)
        patch.setenv("SEGOPS_HOME", str(tmp_path_factory.mktemp("segops")))
        yield Settings.from_env()


@pytest.fixture(scope="session")
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    """The embedded warehouse of this session; stopped at its end."""
    connection = Warehouse.connect(settings)
    yield connection
    connection.close()
    stop(settings)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres server whose role is a superuser: a private one, stopped at the session's end."""
    if POSTGRES_URL:
        yield POSTGRES_URL
        return
    with private_server() as url:
        yield url


@pytest.fixture
def postgres_database(postgres: str) -> Iterator[str]:
    """The URL of an empty Postgres database of the test's own."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture
def tenant_warehouse(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    """A new tenant's database at the newest schema, dropped after the test."""
    tenant = warehouse.tenant(f"t_{secrets.token_hex(6)}")
    tenant.migrate()
    yield tenant
    tenant.drop()
