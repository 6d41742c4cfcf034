"""What all tests share: a home of their own, one embedded warehouse per session, a fresh tenant per test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import stop


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


@pytest.fixture
def tenant_warehouse(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    """A new tenant's database at the newest schema, dropped after the test."""
    tenant = warehouse.tenant(f"t_{secrets.token_hex(6)}")
    tenant.migrate()
    yield tenant
    tenant.drop()
