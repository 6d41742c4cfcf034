"""The page about the REST API: its commands, run in order against a service; every operation is among them."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from segops_orchestration.api.app import make_app
from segops_orchestration.cli.ports import free_port
from segops_orchestration.settings import Settings
from segops_orchestration_tests.end_to_end.dev_server import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"(<!-- not run -->\n)?```bash\n(.*?)```", re.DOTALL)
_SEGOPS = "from segops_orchestration.cli.main import main; main()"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell beside a service in a home of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEGOPS_", "DAGSTER_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["SEGOPS_HOME"] = str(tmp_path / "home")
    port = free_port("127.0.0.1", 0, "segops serve --port")
    environment["API"] = f"http://127.0.0.1:{port}/api"
    with (tmp_path / "log").open("w") as log:
        served = subprocess.Popen(
            [sys.executable, "-c", _SEGOPS, "serve", "--port", str(port)],
            cwd=tmp_path, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: _answers(environment["API"]), 60, "the service answers")
        yield environment
    finally:
        served.terminate()
        served.wait(60)
        stop = [sys.executable, "-c", _SEGOPS, "warehouse", "stop"]
        subprocess.run(stop, cwd=tmp_path, env=environment, capture_output=True, check=False)


def _answers(api: str) -> bool:
    try:
        return requests.get(f"{api}/health/", timeout=2).ok
    except requests.ConnectionError:
        return False


def test_the_commands_of_the_page_work(service: dict[str, str], tmp_path: Path) -> None:
    story = "\n".join(commands for not_run, commands in _BLOCK.findall(PAGE) if not not_run)
    done = subprocess.run(
        ["bash", "-xeuo", "pipefail", "-c", story],
        cwd=tmp_path, env=service, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    with (tmp_path / "members.csv").open(newline="") as file:
        assert [row["user_id"] for row in csv.DictReader(file)] == ["ada", "ben"]


def test_every_operation_is_called_on_the_page() -> None:
    called = "".join(commands for _, commands in _BLOCK.findall(PAGE)).replace("\\\n", " ")
    paths = make_app(Settings.from_env({})).openapi()["paths"]
    missing = []
    for path, operations in paths.items():
        pattern = re.sub(r"\\{\w+\\}", r"[^\\s/]+(?:\\([^)]*\\))?[^\\s/]*", re.escape(path.removeprefix("/api")))
        uses = [line for line in called.splitlines() if re.search(rf'\$API{pattern}(?=["\s?)]|$)', line)]
        wanted = {method.upper() for method in operations}
        missing += [f"{method} {path}" for method in wanted - {_method(line) for line in uses}]
    assert missing == []


def _method(line: str) -> str:
    given = re.search(r"-X (\w+)", line)
    return given[1] if given else "POST" if " -d " in line else "GET"
