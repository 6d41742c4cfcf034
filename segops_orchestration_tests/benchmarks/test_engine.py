"""The benchmark of the engine stays alive: it runs at a tiny size, and its baselines count what the engine counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ENGINE = Path(__file__).parents[2] / "benchmarks" / "engine.py"


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the benchmark; it exits with 1 when a segment's members are not as many as its baseline counts."""
    out = folder / "figures.json"
    command = [sys.executable, str(ENGINE), "--home", str(folder / "home"), "--repeats", "1", "--out", str(out)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    document: dict[str, Any] = json.loads(out.read_text())
    return document


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("engine")
    return run(folder, "--events", "5k", "--segments", "8", "--only", "full,delta,batch", "--profile")


def test_every_figure_stands_beside_its_baseline(figures: dict[str, Any]) -> None:
    beside = {figure["name"]: figure for figure in figures["figures"]}
    full = beside["full recompute of 8 segments, beside bare"]
    assert full["baseline"] == "bare scans, sum"
    assert full["ratio"] == pytest.approx(full["value"] / full["baseline_value"])


def test_the_profile_tells_each_segment_beside_its_bare_scan(figures: dict[str, Any]) -> None:
    assert len(figures["details"]["segments"]) == 8
    assert {"segment", "full", "bare", "ratio"} <= set(figures["details"]["segments"][0])


def test_a_delta_evaluates_the_users_with_new_events(figures: dict[str, Any]) -> None:
    (delta,) = [one for one in figures["figures"] if one["name"] == "delta, 1,000 users with new events"]
    assert "candidates" in delta["note"]


@pytest.mark.slow
def test_all_fifty_segments_have_as_many_members_as_their_baselines_count(tmp_path: Path) -> None:
    figures = run(tmp_path, "--events", "50k", "--only", "full")
    assert figures["sizes"]["segments"] == 50
    assert figures["details"]["left out"] == {}
