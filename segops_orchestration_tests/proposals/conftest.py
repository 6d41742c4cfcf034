"""A catalogue, and tenants for tests of proposals; the warehouse is the session's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import NewTenant, tenants
from segops_orchestration_tests.compute.tenant import StoryTenant


@pytest.fixture
def catalog(settings: Settings, tmp_path: Path) -> Iterator[Catalog]:
    """A catalogue of the test's own."""
    with Catalog.open(replace(settings, database_url=f"sqlite:///{tmp_path / 'catalog.db'}")) as catalog:
        yield catalog


@pytest.fixture
def new_tenant(catalog: Catalog, warehouse: Warehouse) -> Iterator[NewTenant]:
    with tenants(catalog, warehouse) as make:
        yield make


@pytest.fixture
def tenant(new_tenant: NewTenant) -> StoryTenant:
    return new_tenant()
