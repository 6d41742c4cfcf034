from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import Clock, document, save
from segops_orchestration_tests.postgres_databases import new_database, wipe


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def catalog_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A catalogue's address, in both kinds of store; nothing is there yet, unless the test asks for ``catalog`` too."""
    environ = {"SEGOPS_HOME": str(tmp_path / "home")}
    has_tables = "catalog" in request.fixturenames
    if request.param == "postgres":
        url = request.getfixturevalue("wiped_database" if has_tables else "postgres_database")
        return Settings.from_env({**environ, "SEGOPS_DATABASE_URL": url})
    settings = Settings.from_env(environ)
    if has_tables:
        settings.home.mkdir()
        shutil.copy(request.getfixturevalue("empty_file"), settings.home / "catalog.db")
    return settings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty catalogue: to copy it takes a tenth of the time that the migrations take."""
    home = tmp_path_factory.mktemp("catalogue")
    Catalog.open(Settings.from_env({"SEGOPS_HOME": str(home)})).close()
    return home / "catalog.db"


@pytest.fixture(scope="session")
def shared_database(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The catalogue's database on Postgres that all tests use in turn."""
    with new_database(postgres) as url:
        home = tmp_path_factory.mktemp("catalogue")
        Catalog.open(Settings.from_env({"SEGOPS_HOME": str(home), "SEGOPS_DATABASE_URL": url})).close()
        yield url


@pytest.fixture
def wiped_database(shared_database: str) -> str:
    """It, as the migrations left it."""
    wipe(shared_database)
    return shared_database


@pytest.fixture
def catalog(catalog_settings: Settings, clock: Clock) -> Iterator[Catalog]:
    """An empty catalogue; ``clock`` is its time of day."""
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
