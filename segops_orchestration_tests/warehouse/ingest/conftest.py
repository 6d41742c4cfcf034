from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse


@pytest.fixture(scope="module")
def untouched(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    """A tenant for tests after which nothing must be in it: one for all of a module."""
    tenant = warehouse.tenant(f"t_{secrets.token_hex(6)}")
    tenant.migrate()
    yield tenant
    tenant.drop()
