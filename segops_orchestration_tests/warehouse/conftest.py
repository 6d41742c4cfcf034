"""An unmodified clickhouse_connect client on the session's embedded warehouse, in a database of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import Endpoint, ensure_running

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@pytest.fixture(scope="session")
def endpoint(settings: Settings, warehouse: Warehouse) -> Endpoint:
    """Where the session's embedded server listens."""
    return ensure_running(settings)


@pytest.fixture
def client(endpoint: Endpoint, warehouse: Warehouse) -> Iterator[Client]:
    """``clickhouse_connect.get_client()`` with nothing but an address and credentials, in an empty database."""
    import clickhouse_connect

    database = f"d_{secrets.token_hex(6)}"
    warehouse.admin.command(f"CREATE DATABASE {database}")
    connection = clickhouse_connect.get_client(
        host=endpoint.host,
        port=endpoint.port,
        username=endpoint.username,
        password=endpoint.password,
        database=database,
    )
    yield connection
    connection.close()
    warehouse.admin.command(f"DROP DATABASE {database} SYNC")
