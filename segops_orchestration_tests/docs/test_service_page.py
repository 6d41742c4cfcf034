"""The page about running the service: backups are restored by its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration_tests.postgres_server import binaries

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def _commands(name: str) -> str:
    [found] = re.findall(rf"<!-- {name} -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def _shell(commands: str, directory: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEGOPS_", "DAGSTER_"))}
    folders = [str(Path(sys.executable).parent), *([str(binaries())] if binaries() else []), inherited["PATH"]]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=directory, env={**inherited, "PATH": os.pathsep.join(folders), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_lost_comes_back_from_a_backup(tmp_path: Path) -> None:
    home = {"SEGOPS_HOME": str(tmp_path / "home")}
    events = "printf 'user,at\\nada,2026-01-05T09:00:00Z\\n' > e.csv\n"
    load = "segops ingest acme e.csv --user-id user --occurred-at at --event-type viewed\n"
    count = "segops ingest acme e.csv --user-id user --occurred-at at --event-type viewed --json"
    try:
        _shell(f"segops tenants create acme\n{events}{load}{_commands('backup')}", tmp_path, **home)
        _shell("segops tenants create later", tmp_path, **home)
        _shell(_commands("restore"), tmp_path, **home)
        assert "later" not in _shell("segops tenants list", tmp_path, **home)
        # The event is there: loaded again, it is recognised.
        assert '"acme"' in _shell("segops tenants list --json", tmp_path, **home)
        assert '"loaded": 0' in _shell(count, tmp_path, **home)
    finally:
        _shell("segops warehouse stop", tmp_path, **home)


@pytest.mark.postgres
def test_a_catalogue_on_postgres_comes_back_from_its_dump(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database.replace("postgresql+psycopg2", "postgresql")
    settings = Settings.from_env({"SEGOPS_HOME": str(tmp_path), "SEGOPS_DATABASE_URL": url})
    with Catalog.open(settings) as catalog:
        catalog.create_tenant("acme")
    dump, restore = _commands("backup on Postgres").splitlines()
    _shell(dump, tmp_path, SEGOPS_DATABASE_URL=url)
    with Catalog.open(settings) as catalog:
        catalog.create_tenant("later")
    _shell(restore, tmp_path, SEGOPS_DATABASE_URL=url)
    with Catalog.open(settings) as catalog:
        assert [tenant.slug for tenant in catalog.list_tenants()] == ["acme"]


def test_the_variables_of_the_example_are_ones_that_are_read() -> None:
    named = re.findall(r"^(SEGOPS_\w+)=", (ROOT / "deploy" / "environment.example").read_text(), re.MULTILINE)
    code = "".join(path.read_text() for path in (ROOT / "segops_orchestration").rglob("*.py"))
    assert len(named) == 7
    assert [name for name in named if f'"{name}"' not in code] == []
