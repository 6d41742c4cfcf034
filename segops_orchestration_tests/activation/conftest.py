"""Shops with a roster for tests of the delivery."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.roster.platform import register
from segops_orchestration_tests.activation.roster.sandbox import RosterSandbox
from segops_orchestration_tests.activation.roster.shop import Shop

NewShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def empty_catalog(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalogue with nothing in it, to copy from: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("catalog") / "empty.db"
    Catalog.open(replace(settings, database_url=f"sqlite:///{path}")).close()
    return path


@pytest.fixture
def shop_settings(settings: Settings, empty_catalog: Path, tmp_path: Path) -> Settings:
    """Where the test's own catalogue is."""
    path = tmp_path / "catalog.db"
    shutil.copy(empty_catalog, path)
    return replace(settings, database_url=f"sqlite:///{path}")


@pytest.fixture
def new_shop(shop_settings: Settings, warehouse: Warehouse) -> Iterator[NewShop]:
    """Makes shops; options are those of the sandbox. Their databases are dropped in the end."""
    register()
    with ExitStack() as stack:
        catalog = stack.enter_context(Catalog.open(shop_settings))

        def make(**options: Any) -> Shop:
            sandbox = RosterSandbox(**options)
            server = stack.enter_context(SandboxServer(sandbox))
            tenant = f"t_{secrets.token_hex(6)}"
            catalog.create_tenant(tenant)
            shop = Shop(catalog, warehouse, tenant, server, sandbox)
            shop.database.migrate()
            stack.callback(shop.database.drop)
            return shop

        yield make


@pytest.fixture
def shop(new_shop: NewShop) -> Shop:
    """A shop with an open connector that sends ten users at a time."""
    shop = new_shop()
    shop.open()
    return shop
