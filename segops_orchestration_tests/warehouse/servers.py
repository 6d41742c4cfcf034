"""A warehouse of a test's own, for tests that kill, starve or stop it."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import Endpoint, Files, ensure_running, find_running, stop


@dataclass(frozen=True)
class Server:
    """A running embedded server and a connection to it."""

    settings: Settings
    endpoint: Endpoint
    warehouse: Warehouse

    @property
    def files(self) -> Files:
        """Its files."""
        return Files(self.settings.warehouse_dir)

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.endpoint.pid, signal.SIGKILL)

    def forget_peak(self) -> None:
        """Let the peak of resident memory start anew (see proc_pid_clear_refs(5))."""
        Path(f"/proc/{self.endpoint.pid}/clear_refs").write_text("5")

    def memory(self, field: str) -> int:
        """Bytes of a field of /proc/PID/status: ``VmHWM`` is the peak of resident memory."""
        for line in Path(f"/proc/{self.endpoint.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
        raise LookupError(field)


def home_of(directory: Path) -> Settings:
    """Settings whose SEGOPS_HOME is the directory."""
    return Settings.from_env({"SEGOPS_HOME": str(directory)})


@contextmanager
def running(directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """An embedded server in a home of its own, stopped at the end whatever happened to it."""
    settings = home_of(directory)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        warehouse = Warehouse.connect(settings)
    try:
        yield Server(settings, ensure_running(settings), warehouse)
    finally:
        warehouse.close()
        if find_running(Files(settings.warehouse_dir)) is not None:
            stop(settings)


def request(
    endpoint: Endpoint, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One bare HTTP request without credentials; status, headers, body."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def credentials(endpoint: Endpoint) -> dict[str, str]:
    """ClickHouse's own authentication headers."""
    return {"X-ClickHouse-User": endpoint.username, "X-ClickHouse-Key": endpoint.password}


def eventually(condition: Callable[[], bool], seconds: float = 10.0, ignore: tuple[type[Exception], ...] = ()) -> bool:
    """Whether the condition becomes true in time; exceptions of the types ``ignore`` count as "not yet"."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(*ignore):
            if condition():
                return True
        time.sleep(0.02)
    return False
