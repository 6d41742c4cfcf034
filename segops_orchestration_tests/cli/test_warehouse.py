"""``segops warehouse`` starts, shows and stops the embedded ClickHouse of a home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segops_orchestration.warehouse.embedded.lifecycle import stop
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.warehouse.servers import home_of


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A SEGOPS_HOME without a warehouse; one that is started in it is stopped after the test."""
    for name in ("SEGOPS_CLICKHOUSE_URL", "SEGOPS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGOPS_HOME", str(tmp_path))
    yield tmp_path
    stop(home_of(tmp_path))


def test_from_start_to_stop(segops: Segops, home: Path) -> None:
    started = segops("warehouse", "start", "--json").json
    again = segops("warehouse", "start", "--json").json
    status = segops("warehouse", "status", "--json")
    stopped = segops("warehouse", "stop", "--json").json

    assert started == again == {"running": True, "pid": started["pid"], "port": started["port"], "home": str(home)}
    assert status.exit_code == 0
    assert set(status.json) == {"running", "home", "data_bytes", "pid", "port", "version", "uptime_seconds"}
    assert (status.json["pid"], status.json["port"]) == (started["pid"], started["port"])
    assert stopped == {"stopped": True, "home": str(home)}


def test_status_of_what_does_not_run_exits_1(segops: Segops, home: Path) -> None:
    table = segops("warehouse", "status")
    document = segops("warehouse", "status", "--json")

    assert (table.exit_code, document.exit_code) == (1, 1)
    assert "running" in table.out
    assert str(home) in table.out
    assert document.json["running"] is False


def test_stopping_what_does_not_run_is_no_error(segops: Segops, home: Path) -> None:
    answer = segops("warehouse", "stop")

    assert (answer.exit_code, answer.out) == (0, f"The warehouse of {home} was not running.\n")


def test_people_are_told_in_words(segops: Segops, home: Path) -> None:
    started = segops("warehouse", "start")
    shown = segops("warehouse", "status")
    stopped = segops("warehouse", "stop")

    assert started.out.startswith(f"The warehouse of {home} runs on 127.0.0.1:")
    assert "ClickHouse version" in shown.out
    assert stopped.out == f"The warehouse of {home} is stopped.\n"


@pytest.mark.parametrize("word", ["start", "stop", "status"])
def test_a_server_url_leaves_nothing_to_do_and_says_so(
    segops: Segops, home: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("SEGOPS_CLICKHOUSE_URL", "http://default:hush@127.0.0.1:9")

    answer = segops("warehouse", word)

    assert answer.exit_code == 1
    assert answer.err.startswith("Error: SEGOPS_CLICKHOUSE_URL is set")
    assert "hush" not in answer.err


def test_a_home_that_cannot_be_made_is_one_message(segops: Segops, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGOPS_HOME", "/proc/nowhere")

    answer = segops("warehouse", "start")

    assert answer.exit_code == 1
    assert answer.err.startswith("Error: /proc/nowhere/warehouse: cannot be created")
