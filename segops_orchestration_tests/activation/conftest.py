"""Shops with a roster for tests of the delivery."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.roster.platform import registered
from segops_orchestration_tests.activation.roster.sandbox import RosterSandbox
from segops_orchestration_tests.activation.roster.shop import Shop, StoryClock

NewShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def empty_catalog(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalogue with nothing in it, to copy from: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("catalog") / "empty.db"
    Catalog.open(replace(settings, database_url=f"sqlite:///{path}")).close()
    return path


@contextmanager
def tenants(settings: Settings, warehouse: Warehouse, empty: Path, path: Path) -> Iterator[Callable[[], Shop]]:
    """Makes shops with a tenant of their own, in a catalogue of this context; their databases are dropped."""
    shutil.copy(empty, path)
    time = StoryClock()
    with (
        registered(),
        Catalog.open(replace(settings, database_url=f"sqlite:///{path}"), clock=time.now) as catalog,
        SandboxServer(RosterSandbox()) as server,
        ExitStack() as stack,
    ):

        def make() -> Shop:
            tenant = f"t_{secrets.token_hex(6)}"
            catalog.create_tenant(tenant)
            shop = Shop(catalog, warehouse, tenant, server, time)
            shop.database.migrate()
            stack.callback(shop.database.drop)
            return shop

        yield make


@pytest.fixture(scope="module")
def module_shop(
    settings: Settings, warehouse: Warehouse, empty_catalog: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewShop]:
    """Makes shops of one tenant, which the tests of a module share; each with a segment and a roster of its own."""
    numbers = count()
    with tenants(settings, warehouse, empty_catalog, tmp_path_factory.mktemp("module") / "catalog.db") as make:
        shop = make()
        yield lambda **options: shop.again(RosterSandbox(**options), next(numbers))


@pytest.fixture
def new_shop(module_shop: NewShop) -> NewShop:
    """Makes shops whose connectors are still to be opened; options are those of the sandbox. One at a time."""
    return module_shop


@pytest.fixture
def shop(new_shop: NewShop) -> Shop:
    """A shop with an open connector that sends ten users at a time."""
    shop = new_shop()
    shop.open()
    return shop


@pytest.fixture
def new_tenant(
    settings: Settings, warehouse: Warehouse, empty_catalog: Path, tmp_path: Path
) -> Iterator[Callable[[], Shop]]:
    """Makes shops with a tenant of their own."""
    with tenants(settings, warehouse, empty_catalog, tmp_path / "catalog.db") as make:
        yield make
