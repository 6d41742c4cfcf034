"""``segops demo`` as a newcomer runs it, judged by the oracle on the same purchases."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration_tests.oracle.evaluate import Event, members_of_all


def _demo(home: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEGOPS_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from segops_orchestration.cli.main import main; main()", "demo", "--json"],
        env={**environment, "SEGOPS_HOME": str(home)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(home: Path) -> dict[str, Any]:
    return _demo(home)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _events(files: list[Path]) -> Iterator[Event]:
    numbers = count(1)
    for path in files:
        event_type = "context_identified" if path.stem == "customers" else "order_placed"
        for row in _rows(path):
            payload = {
                name: text if name == "cohort" else json.loads(text)
                for name, text in row.items()
                if name not in ("customer_id", "date")
            }
            at = datetime.fromisoformat(row["date"]).replace(tzinfo=UTC)
            yield Event(UUID(int=next(numbers)), row["customer_id"], event_type, at, at, json.dumps(payload))


def _expected(home: Path, result: dict[str, Any], names: list[str]) -> dict[str, int]:
    """What the oracle counts now; a window can only lose somebody at midnight, so the minute does not matter."""
    segments = [yaml.safe_load(path.read_text()) for path in sorted((home / "demo" / "segments").glob("*.yaml"))]
    definitions = {segment["slug"]: segment["definition"] for segment in segments}
    ordered = {slug: definitions[slug] for slug in ("vip", "lapsed-vip", *definitions)}
    members = members_of_all(ordered, list(_events([home / "demo" / name for name in names])), datetime.now(UTC))
    return {str(slug): len(found) for slug, found in members.items()}


def test_the_full_computation_finds_whom_the_oracle_finds(home: Path, result: dict[str, Any]) -> None:
    found = {segment["slug"]: segment["full"]["members"] for segment in result["segments"]}
    assert found == _expected(home, result, ["customers.csv", "purchases-1.csv"])


def test_the_delta_finds_whom_the_oracle_finds(home: Path, result: dict[str, Any]) -> None:
    found = {segment["slug"]: segment["delta"]["members"] for segment in result["segments"]}
    assert found == _expected(home, result, ["customers.csv", "purchases-1.csv", "purchases-2.csv"])


def test_at_least_six_segments_have_members_and_the_latest_purchases_change_them(result: dict[str, Any]) -> None:
    assert sum(segment["full"]["members"] > 0 for segment in result["segments"]) >= 6
    assert sum(segment["delta"]["entered"] + segment["delta"]["exited"] > 0 for segment in result["segments"]) >= 6


def test_exports_hold_the_members(result: dict[str, Any]) -> None:
    members = {segment["slug"]: segment["delta"]["members"] for segment in result["segments"]}
    files = [Path(file["path"]) for file in result["exports"]]
    assert {file.suffix for file in files} == {".csv", ".parquet"}
    assert {file.stem: len(_rows(file)) for file in files if file.suffix == ".csv"} == members


def test_the_stand_in_is_filled_by_the_first_run_and_changed_by_the_second(result: dict[str, Any]) -> None:
    activation = result["activation"]
    [segment] = [one for one in result["segments"] if one["slug"] == activation["segment"]]
    first, delta = activation["first"], activation["delta"]
    assert (first["added"], first["removed"], first["audience"]) == (segment["full"]["members"], 0, first["added"])
    assert (delta["added"], delta["removed"]) == (segment["delta"]["entered"], segment["delta"]["exited"])
    assert delta["added"] > 0
    assert delta["removed"] > 0
    assert delta["audience"] == segment["delta"]["members"]


def test_nothing_is_sent_to_the_stand_in_once_the_demo_is_over(home: Path, result: dict[str, Any]) -> None:
    with Catalog.open(Settings.from_env({"SEGOPS_HOME": str(home)})) as catalog:
        connector = catalog.connectors.get(result["tenant"], result["activation"]["connector"])
    assert connector.status == "paused"


def test_a_second_demo_gives_the_same_result(home: Path, result: dict[str, Any]) -> None:
    again = _demo(home)
    assert [_without_times(segment) for segment in again["segments"]] == [
        _without_times(segment) for segment in result["segments"]
    ]


def _without_times(segment: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in part.items() if key != "milliseconds"} if isinstance(part, dict) else part
        for name, part in segment.items()
    }
