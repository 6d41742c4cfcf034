"""Processes that sync, forked from a warm one, to be killed at a moment.

Run as a program it imports everything, then forks one process per order that it reads (a JSON object per line), says
that process's id, and when it is over how it ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from segops_orchestration.activation.sync import sync
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.roster.platform import register
from segops_orchestration_tests.activation.roster.shop import SOON, StoryClock


@dataclass(frozen=True)
class Order:
    """A sync with a clock so many seconds ahead."""

    tenant: str
    connector: str
    ahead: float


class Killer:
    """The warm process, from outside."""

    def __init__(self, home: Path, database_url: str) -> None:
        command = [sys.executable, "-m", __name__, str(home), database_url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read() == "ready"

    def begin(self, order: Order) -> int:
        """Have a process begin; returns its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def end(self) -> int:
        """Wait for its end; its status as ``os.waitpid`` tells it."""
        return int(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _sync(order: Order, settings: Settings) -> None:
    time = StoryClock(timedelta(seconds=order.ahead))
    with Catalog.open(settings, clock=time.now) as catalog:
        sync(catalog, Warehouse.connect(settings), order.tenant, order.connector, patience=SOON, clock=time.now)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _fork(order: Order, settings: Settings) -> None:
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            _sync(order, settings)
            os._exit(0)
        os._exit(1)
    _say(str(pid))
    _say(str(os.waitpid(pid, 0)[1]))


def _main(home: str, database_url: str) -> None:
    register()
    # What a process imports on first use would be imported after every fork.
    import clickhouse_connect  # noqa: F401

    settings = Settings(Path(home), None, database_url)
    _say("ready")
    for line in sys.stdin:
        _fork(Order(**json.loads(line)), settings)


if __name__ == "__main__":
    _main(*sys.argv[1:])
