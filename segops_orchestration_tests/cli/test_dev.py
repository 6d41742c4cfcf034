"""``segops dev``: what it refuses, and how it treats Dagster's processes. That it runs is shown end to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from segops_orchestration.cli import child_process
from segops_orchestration.cli.api_process import ApiProcess
from segops_orchestration.cli.child_process import MARK, child_environment, stop_leftovers
from segops_orchestration.cli.dagster_process import DagsterProcess, write_instance_config
from segops_orchestration.settings import Settings
from segops_orchestration_tests.cli.conftest import Segops


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SEGOPS_HOME that does not exist yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("SEGOPS_HOME", str(path))
    return path


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The command sets signal handlers for its process, which here is pytest's."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_one_message_with_a_port_that_is_free(segops: Segops, home: Path, taken_port: int) -> None:
    answer = segops("dev", "--port", str(taken_port))
    assert answer.exit_code == 1
    assert f"port {taken_port} is in use by another program; try `segops dev --port " in answer.err
    free = int(answer.err.rpartition("--port ")[2].strip().rstrip("`"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free))
    assert "Traceback" not in answer.err
    assert not (home / "warehouse").exists(), "nothing was started"


def test_serve_says_so_too_before_it_says_that_it_serves(segops: Segops, home: Path, taken_port: int) -> None:
    answer = segops("serve", "--port", str(taken_port))
    assert answer.exit_code == 1
    assert f"port {taken_port} is in use by another program; try `segops serve --port " in answer.err
    assert "SegOps API on" not in answer.err
    assert not (home / "warehouse").exists(), "nothing was started"


def test_an_address_of_another_machine_is_refused(segops: Segops, home: Path) -> None:
    answer = segops("dev", "--host", "192.0.2.1")
    assert answer.exit_code == 1
    assert "cannot listen on 192.0.2.1:3000" in answer.err


def test_the_apis_port_in_use_is_such_a_message_too(segops: Segops, home: Path, taken_port: int) -> None:
    answer = segops("dev", "--port", "0", "--api-port", str(taken_port))
    assert answer.exit_code == 1
    assert f"port {taken_port} is in use by another program; try `segops dev --api-port " in answer.err
    assert not (home / "warehouse").exists(), "nothing was started"


def test_one_port_for_both_is_refused(segops: Segops, home: Path, taken_port: int) -> None:
    free = segops("dev", "--port", str(taken_port)).err.rpartition("--port ")[2].strip().rstrip("`")
    answer = segops("dev", "--port", free, "--api-port", free)
    assert answer.exit_code == 1
    assert f"Dagster and the API cannot both have port {free}" in answer.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:a-secret@host/db", "--postgres: 'mysql' is not supported"),
        ("postgresql://me:a-secret@127.0.0.1:1/db", "postgresql+psycopg2://me:***@127.0.0.1:1/db cannot be used"),
    ],
)
def test_a_postgres_that_cannot_be_used_is_one_message_without_its_password(
    segops: Segops, home: Path, url: str, said: str
) -> None:
    answer = segops("dev", "--postgres", url)
    assert answer.exit_code == 1
    assert said in answer.err
    assert "a-secret" not in answer.err
    assert not home.exists(), "nothing was started"


def test_a_second_one_for_the_same_home_is_refused(segops: Segops, home: Path) -> None:
    (home / "dagster").mkdir(parents=True)
    with FileLock(home / "dagster" / "dev.lock"):
        answer = segops("dev")
    assert answer.exit_code == 1
    assert f"`segops dev` runs already for {home}" in answer.err


def test_a_home_that_cannot_be_made_is_named(segops: Segops, home: Path) -> None:
    home.mkdir()
    (home / "dagster").write_text("in the way")
    answer = segops("dev")
    assert answer.exit_code == 1
    assert str(home / "dagster") in answer.err
    assert "Traceback" not in answer.err


def test_a_port_that_is_none_is_a_usage_error(segops: Segops) -> None:
    assert segops("dev", "--port", "65536").exit_code == 2


def test_dagster_is_configured_by_the_packages_file(home: Path) -> None:
    settings = Settings.from_env()
    directory = write_instance_config(settings)
    assert directory == home / "dagster"
    packaged = (files("segops_orchestration") / "dagster.yaml").read_text()
    (directory / "dagster.yaml").write_text("an old version")
    write_instance_config(settings)
    assert (directory / "dagster.yaml").read_text() == packaged
    assert [path.name for path in directory.iterdir()] == ["dagster.yaml"]


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("sqlite:///catalog.db", "sqlite:///{here}/catalog.db"),
        ("sqlite:////var/catalog.db", "sqlite:////var/catalog.db"),
        ("postgresql://u:p@db/segops", "postgresql://u:p@db/segops"),
    ],
)
def test_dagsters_processes_find_everything_from_another_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, passed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({"SEGOPS_HOME": "home", "SEGOPS_DATABASE_URL": given})
    environment = child_environment(settings, {"PATH": "/bin"})
    assert environment["SEGOPS_HOME"] == str(home)
    assert environment["DAGSTER_HOME"] == str(home / "dagster")
    assert environment["SEGOPS_DATABASE_URL"] == passed.format(here=tmp_path)
    assert environment["PATH"] == "/bin"


def a_process(code: str, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", f"print('ready', flush=True)\n{code}"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('started', flush=True)\n"
    "time.sleep(60)"
)


def a_stubborn_process() -> subprocess.Popen[str]:
    """One that hears neither SIGINT nor SIGTERM, with a child that does not either."""
    process = a_process(STUBBORN)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_a_killed_one_left_behind_is_stopped_and_nothing_else(home: Path, tmp_path: Path) -> None:
    settings = Settings.from_env()
    ours = a_process(SLEEP, **child_environment(settings, {MARK: "1"}))
    elsewhere = Settings.from_env({"SEGOPS_HOME": str(tmp_path / "b")})
    other_home = a_process(SLEEP, **child_environment(elsewhere, {MARK: "1"}))
    by_hand = a_process(SLEEP, **child_environment(settings, {}))
    try:
        assert stop_leftovers(settings) == 1
        assert ours.poll() is not None
        assert other_home.poll() is None
        assert by_hand.poll() is None
        assert stop_leftovers(settings) == 0
    finally:
        for process in (ours, other_home, by_hand):
            process.kill()
            process.wait()


def dagster_like(process: subprocess.Popen[str], tmp_path: Path) -> DagsterProcess:
    return DagsterProcess(process, "http://127.0.0.1:9", tmp_path / "log")


def test_stopping_ends_the_whole_group_however_stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_QUIT_SECONDS", 0.3)
    monkeypatch.setattr(child_process, "_TERMINATE_SECONDS", 0.3)
    process = a_stubborn_process()
    (child,) = psutil.Process(process.pid).children()
    dagster_like(process, tmp_path).stop(threading.Event())
    assert process.poll() == -signal.SIGKILL
    assert is_gone(child)


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    process = a_stubborn_process()
    hurry = threading.Event()
    hurry.set()
    started = time.monotonic()
    dagster_like(process, tmp_path).stop(hurry)
    assert time.monotonic() - started < 5
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "info", "message": "request"}', False),
        ('{"level": "error", "message": "warehouse"}', True),
        ("Traceback (most recent call last):", True),
    ],
)
def test_of_the_apis_log_errors_are_shown(tmp_path: Path, line: str, shown: bool) -> None:
    api = ApiProcess(a_process(""), "http://127.0.0.1:9", tmp_path / "log")
    assert api.shows(line, before=True) is shown
    api.process.wait()
