from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.cli.main import main
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.cli.shop import Shop


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Segops = Callable[..., Answer]


@pytest.fixture
def own_settings(settings: Settings, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The session's home and running warehouse, with a catalogue of the test's own; also in the environment."""
    monkeypatch.setenv("SEGOPS_DATABASE_URL", f"sqlite:///{tmp_path / 'catalog.db'}")
    return Settings.from_env()


@pytest.fixture
def segops(own_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Segops:
    """Runs ``segops ARGUMENT...`` through its entry point."""

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["segops", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        said = capsys.readouterr()
        return Answer(code if isinstance(code, int) else 0, said.out, said.err)

    return run


@pytest.fixture
def catalog(own_settings: Settings) -> Iterator[Catalog]:
    """The test's own catalogue, the one that ``segops`` uses."""
    with Catalog.open(own_settings) as opened:
        yield opened


@pytest.fixture
def slug(warehouse: Warehouse) -> Iterator[str]:
    """A slug that no tenant has; its database is dropped after the test."""
    name = f"t_{secrets.token_hex(6)}"
    yield name
    warehouse.tenant(name).drop()


@pytest.fixture
def shop(segops: Segops, catalog: Catalog, warehouse: Warehouse, slug: str) -> Shop:
    """A tenant with its database, and nothing in it yet."""
    assert segops("tenants", "create", slug).exit_code == 0
    return Shop(slug, catalog, warehouse.tenant(slug))
