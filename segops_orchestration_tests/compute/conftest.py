"""Tenants for tests of the engine."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant

NewTenant = Callable[[], StoryTenant]


@pytest.fixture(scope="session")
def empty_catalog_file(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalogue with nothing in it, to copy from: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("catalog") / "empty.db"
    Catalog.open(replace(settings, database_url=f"sqlite:///{path}")).close()
    return path


@pytest.fixture
def catalog(settings: Settings, empty_catalog_file: Path, tmp_path: Path) -> Iterator[Catalog]:
    """A catalogue of the test's own."""
    path = tmp_path / "catalog.db"
    shutil.copy(empty_catalog_file, path)
    with Catalog.open(replace(settings, database_url=f"sqlite:///{path}")) as catalog:
        yield catalog


@pytest.fixture
def new_tenant(catalog: Catalog, warehouse: Warehouse) -> Iterator[NewTenant]:
    """Makes tenants; their databases are dropped after the test."""
    made: list[StoryTenant] = []

    def make() -> StoryTenant:
        slug = f"t_{secrets.token_hex(6)}"
        catalog.create_tenant(slug)
        tenant = StoryTenant(catalog, warehouse, slug)
        tenant.database.migrate()
        made.append(tenant)
        return tenant

    yield make
    for tenant in made:
        tenant.database.drop()


@pytest.fixture
def tenant(new_tenant: NewTenant) -> StoryTenant:
    """One tenant."""
    return new_tenant()
