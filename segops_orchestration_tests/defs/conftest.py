"""A catalogue, tenants and a Dagster instance of the test's own; the warehouse is the session's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.defs import sensors, tenant_work
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import NewTenant, tenants
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The session's home and warehouse with a catalogue of the test's own, also in the environment."""
    monkeypatch.setenv("SEGOPS_DATABASE_URL", f"sqlite:///{tmp_path / 'catalog.db'}")
    return Settings.from_env()


@pytest.fixture
def catalog(own_settings: Settings) -> Iterator[Catalog]:
    with Catalog.open(own_settings) as opened:
        yield opened


@pytest.fixture
def new_tenant(catalog: Catalog, warehouse: Warehouse) -> Iterator[NewTenant]:
    with tenants(catalog, warehouse) as make:
        yield make


@pytest.fixture
def tenant(new_tenant: NewTenant) -> StoryTenant:
    return new_tenant()


@pytest.fixture(scope="session")
def empty_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an instance with nothing in it, to copy from: creating its tables takes longer than most tests."""
    home = tmp_path_factory.mktemp("instance")
    with dg.instance_for_test(temp_dir=str(home)) as made:
        made.get_runs(limit=1)
        made.get_dynamic_partitions("tenants")
        made.all_instigator_state()
    return home


@pytest.fixture
def instance(empty_instance: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "instance"
    shutil.copytree(empty_instance, home)
    with dg.instance_for_test(temp_dir=str(home)) as made:
        yield made


@pytest.fixture
def orchestration(
    instance: dg.DagsterInstance, catalog: Catalog, own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Orchestration:
    """The code location on an instance. Nothing in it waits for real."""
    monkeypatch.setattr(sensors, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(tenant_work, "BUSY_WAITS", (0.01, 0.01))
    return Orchestration(instance, own_settings)
