"""The commands of README.md's guide, run as they stand there."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def _guide() -> str:
    blocks = re.findall(r"<!-- guide -->\n```bash\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 8
    return "\n".join(blocks)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory in which the guide was followed, and what it printed."""
    folder = tmp_path_factory.mktemp("guide")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEGOPS_", "DAGSTER_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _guide()],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    subprocess.run(["segops", "warehouse", "stop"], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_guide_exports_the_big_spenders(followed: tuple[Path, str]) -> None:
    folder, _ = followed
    with (folder / "exports" / "big-spenders.csv").open(newline="") as file:
        assert [row["user_id"] for row in csv.DictReader(file)] == ["ada", "cleo"]
    assert (folder / "exports" / "big-spenders.parquet").stat().st_size > 0


def test_in_the_guide_more_orders_bring_ben_in_by_a_delta_of_one_user(followed: tuple[Path, str]) -> None:
    _, said = followed
    computed = said.partition("test passed.")[0]
    last = [line.split() for line in computed.splitlines() if line.startswith("big-spenders ")]
    assert last[-1][:3] == ["big-spenders", "1", "3"]  # status: version 1, three members
    delta = next(words for words in last if words[1] == "delta")
    assert delta[2:6] == ["3", "1", "0", "1"]  # members, entered, exited, candidates


def test_in_the_guide_the_members_are_in_the_audience_of_the_stand_in(followed: tuple[Path, str]) -> None:
    _, said = followed
    [synced] = [line.split() for line in said.splitlines() if line.startswith("big-spenders-klaviyo  succeeded")]
    assert synced[2:5] == ["3", "0", "0"]  # added, removed, rejected
    assert "The audience has 3 users." in said


def test_in_the_guide_the_edit_passes_its_test_and_the_plan_shows_who_leaves(followed: tuple[Path, str]) -> None:
    _, said = followed
    assert "1 test passed." in said
    plan = said.partition("1 test passed.")[2]
    assert ["big-spenders", "changed", "3", "1", "0", "2"] in [line.split()[:6] for line in plan.splitlines()]
    assert "big-spenders: leave ada, ben" in plan


def test_in_the_guide_the_service_stores_an_event_computes_and_answers_who_is_in(followed: tuple[Path, str]) -> None:
    _, said = followed
    queued, run, membership = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert queued == {"queued": True}
    assert run["run_id"]
    assert [one["slug"] for one in membership["segments"]] == ["big-spenders"]


def test_every_command_in_the_table_exists() -> None:
    from segops_orchestration.cli.main import COMMANDS

    table = README.read_text(encoding="utf-8").split("## The command")[1]
    assert set(re.findall(r"^\| `segops ([a-z-]+)", table, flags=re.MULTILINE)) == set(COMMANDS)
