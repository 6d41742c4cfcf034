"""kill -9 of the API and of the warehouse while events come in: what was answered 202 is stored, and nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded import lifecycle
from segops_orchestration_tests.api.calling import OPERATOR

EVENTS = 150
SENDERS = 6
SERVE = "from segops_orchestration.cli.main import main; main()"
WAIT_SECONDS = 120.0


@dataclass
class Server:
    """`segops serve` over a home of its own."""

    settings: Settings
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        environ = {**os.environ, "SEGOPS_HOME": str(self.settings.home)}
        command = [sys.executable, "-c", SERVE, "serve", "--port", str(self.port), "--log-level", "error"]
        with (self.settings.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class Senders:
    """Programs that send events one by one, each until it is answered 202, and remember what was."""

    url: str
    key: str
    accepted: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(EVENTS)))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _deadline: float = field(default_factory=lambda: time.monotonic() + WAIT_SECONDS)

    def run(self) -> None:
        session = requests.Session()
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            event_id = str(uuid.UUID(int=number + 1))
            # Without a time of its own, so that only the id says that it is the same.
            body = {"user_id": f"u-{number % 20}", "event_type": "x", "event_id": event_id, "payload": {"n": number}}
            while not self._is_accepted(session, body):
                assert time.monotonic() < self._deadline
                time.sleep(0.1)
            self.accepted.add(event_id)

    def _is_accepted(self, session: requests.Session, body: Mapping[str, object]) -> bool:
        headers = {"Authorization": f"ApiKey {self.key}"}
        try:
            answer = session.post(f"{self.url}/ingestion/track/", json=body, headers=headers, timeout=30)
        except requests.RequestException:
            return False
        assert answer.status_code in (202, 429, 503), answer.text
        return answer.status_code == 202


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = Settings.from_env({"SEGOPS_HOME": str(tmp_path / "home")})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Server(settings, free.getsockname()[1])
    settings.home.mkdir()
    yield made
    with suppress(ProcessLookupError):
        made.kill()
    lifecycle.stop(settings)


@contextmanager
def sending(senders: Senders) -> Iterator[None]:
    threads = [threading.Thread(target=senders.run) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def until(accepted: int, senders: Senders) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(senders.accepted) < accepted:
        assert time.monotonic() < deadline, f"{len(senders.accepted)} accepted"
        time.sleep(0.01)


@pytest.mark.parametrize("victim", [pytest.param("api", marks=pytest.mark.slow), "warehouse"])
def test_what_was_accepted_is_stored_once_although_a_process_is_killed(server: Server, victim: str) -> None:
    with Catalog.open(server.settings) as catalog:
        catalog.create_tenant("acme")
        key = catalog.people.create_key("acme", "load", "secret", "member", [], OPERATOR).key
    server.start()
    senders = Senders(server.url, key)
    with sending(senders):
        until(EVENTS // 3, senders)
        at_the_kill = set(senders.accepted)
        if victim == "api":
            server.kill()
            server.start()
        else:
            pid = lifecycle.status(server.settings).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
    assert len(at_the_kill) < EVENTS
    assert len(senders.accepted) == EVENTS
    warehouse = Warehouse.connect(server.settings)
    # Computations read both.
    for table in ("events", "events_by_user"):
        rows = warehouse.tenant("acme").query(f"SELECT event_id FROM {table} FINAL").result_rows
        assert sorted(str(event_id) for (event_id,) in rows) == sorted(senders.accepted)
    warehouse.close()
