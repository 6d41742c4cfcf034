"""Tenants for tests of the engine."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def _catalog(settings: Settings, empty: Path, folder: Path) -> Catalog:
    path = folder / "catalog.db"
    shutil.copy(empty, path)
    return Catalog.open(replace(settings, database_url=f"sqlite:///{path}"))


@pytest.fixture
def catalog(settings: Settings, empty_catalog_file: Path, tmp_path: Path) -> Iterator[Catalog]:
    """A catalogue of the test's own."""
    with _catalog(settings, empty_catalog_file, tmp_path) as catalog:
        yield catalog


@pytest.fixture
def catalog_settings(catalog: Catalog, settings: Settings, tmp_path: Path) -> Settings:
    """Where the test's own catalogue is, for other processes and other clocks."""
    return replace(settings, database_url=f"sqlite:///{tmp_path / 'catalog.db'}")


@pytest.fixture(scope="module")
def module_catalog(
    settings: Settings, empty_catalog_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Catalog]:
    """A catalogue that the tests of a module share."""
    with _catalog(settings, empty_catalog_file, tmp_path_factory.mktemp("module")) as catalog:
        yield catalog


@contextmanager
def tenants(catalog: Catalog, warehouse: Warehouse) -> Iterator[NewTenant]:
    """Makes tenants; their databases are dropped in the end."""
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
def new_tenant(catalog: Catalog, warehouse: Warehouse) -> Iterator[NewTenant]:
    """Makes tenants for one test."""
    with tenants(catalog, warehouse) as make:
        yield make


@pytest.fixture
def tenant(new_tenant: NewTenant) -> StoryTenant:
    """One tenant."""
    return new_tenant()
