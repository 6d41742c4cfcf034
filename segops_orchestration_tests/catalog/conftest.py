from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import Clock, document, save

# A Postgres server whose role may create databases; every test then runs on it as well.
POSTGRES_URL = os.environ.get("SEGOPS_TEST_POSTGRES_URL")


@pytest.fixture(params=["sqlite", "postgres"] if POSTGRES_URL else ["sqlite"])
def catalog_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A catalogue's address where nothing is yet."""
    environ = {"SEGOPS_HOME": str(tmp_path / "home")}
    if request.param == "sqlite":
        yield Settings.from_env(environ)
        return
    server = make_url(POSTGRES_URL or "").set(drivername="postgresql+psycopg2")
    name = f"segops_test_{uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        url = server.set(database=name).render_as_string(hide_password=False)
        yield Settings.from_env({**environ, "SEGOPS_DATABASE_URL": url})
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty catalogue: to copy it takes a tenth of the time that the migrations take."""
    home = tmp_path_factory.mktemp("catalogue")
    Catalog.open(Settings.from_env({"SEGOPS_HOME": str(home)})).close()
    return home / "catalog.db"


@pytest.fixture
def catalog(catalog_settings: Settings, clock: Clock, empty_file: Path) -> Iterator[Catalog]:
    """An empty catalogue; ``clock`` is its time of day."""
    if catalog_settings.database_url.startswith("sqlite"):
        catalog_settings.home.mkdir()
        shutil.copy(empty_file, catalog_settings.home / "catalog.db")
    with Catalog.open(catalog_settings, clock=clock) as opened:
        yield opened


@pytest.fixture
def acme(catalog: Catalog) -> Catalog:
    """A catalogue with the tenant acme."""
    catalog.create_tenant("acme", "Acme")
    return catalog


@pytest.fixture
def vip(acme: Catalog) -> Catalog:
    """A catalogue with the tenant acme and its segment vip."""
    save(acme, document("vip", name="Big spenders"))
    return acme
