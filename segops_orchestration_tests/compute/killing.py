"""Processes that compute and export, forked from a warm one, to be killed at a step or at a moment.

Run as a program it imports everything, then forks one process per order that it reads (a JSON object per line), says
that process's id, and when it is over how it ended and how many steps it came to. A step is the beginning or the end
of a call to the warehouse or the catalogue, or of a write to an exported file.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Mode
from segops_orchestration.compute import apply, lookup
from segops_orchestration.compute import compute as engine
from segops_orchestration.exports.export import export_segment
from segops_orchestration.exports.whole_file import WholeFile
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import Files

EXPORTED = "recent"
_CATALOG_CALLS = (
    "acquire_lease",
    "unfinished",
    "abandon_segment",
    "begin_computation",
    "mark_staged",
    "commit_segments",
    "finish_computation",
    "release_lease",
)


@dataclass(frozen=True)
class Order:
    """A computation, and the step at which somebody is killed in it (0: at none).

    Attributes:
        clock_ahead: seconds by which the catalogue's clock is ahead, so that the leases of the killed have expired.
        rows_in_a_block: beyond so many changes they are applied from a table of their own.
        buckets: of a full computation and of a delta's evaluation.
    """

    mode: Mode
    at: str
    clock_ahead: float
    rows_in_a_block: int
    buckets: int
    step: int = 0
    process: bool = False
    warehouse: bool = False


@dataclass(frozen=True)
class End:
    """How a process ended: its exit status as ``os.waitpid`` tells it, and the steps it came to if it says so."""

    status: int
    steps: int


class Killer:
    """The warm process, from outside."""

    def __init__(self, settings: Settings, slug: str, exports: Path) -> None:
        self._settings = settings
        command = [sys.executable, "-m", __name__, str(settings.home), settings.database_url, slug, str(exports)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read() == "ready"

    def begin(self, order: Order) -> int:
        """Have a process begin; returns its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def end(self) -> End:
        """Wait for its end."""
        return End(**json.loads(self._read()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def kill_warehouse(settings: Settings) -> bool:
    """kill -9 the embedded server; False when none is there."""
    try:
        pid = int(json.loads(Files(settings.warehouse_dir).endpoint.read_text())["pid"])
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


class _Steps:
    """Counts steps, and kills at one of them."""

    def __init__(self, order: Order, settings: Settings) -> None:
        self.count = 0
        self._order = order
        self._settings = settings
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count != self._order.step:
                return
            if self._order.warehouse:
                kill_warehouse(self._settings)
            if self._order.process:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.step()
            result = real(*arguments, **named)
            self.step()
            return result

        setattr(owner, name, wrapped)


def _compute(order: Order, settings: Settings, slug: str, exports: Path) -> int:
    """What a forked process does; returns the number of steps."""
    pytest.MonkeyPatch().setattr(lookup, "TABLE_FROM_ROWS", 1)
    pytest.MonkeyPatch().setattr(apply, "MOST_ROWS_IN_A_BLOCK", order.rows_in_a_block)
    pytest.MonkeyPatch().setattr(engine, "first_buckets", lambda *_: order.buckets)
    steps = _Steps(order, settings)
    ahead = timedelta(seconds=order.clock_ahead)
    catalog = Catalog.open(settings, clock=lambda: datetime.now(UTC) + ahead)
    warehouse = Warehouse.connect(settings)
    for name in ("query", "command", "stream_bytes"):
        steps.watch(TenantWarehouse, name)
    for name in _CATALOG_CALLS:
        steps.watch(Catalog, name)
    steps.watch(WholeFile, "write")
    engine.compute(catalog, warehouse, slug, mode=order.mode, at=datetime.fromisoformat(order.at))
    segment = catalog.get_segment(slug, EXPORTED)
    export_segment(warehouse.tenant(slug), segment.id, EXPORTED, fmt="csv", directory=exports)
    return steps.count


def _fork(order: Order, settings: Settings, slug: str, exports: Path) -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        # A warehouse that was killed under it ends the process as an error would end a program, without a word.
        with suppress(BaseException):
            os.write(tell, str(_compute(order, settings, slug, exports)).encode())
            os._exit(0)
        os._exit(1)
    os.close(tell)
    _say(str(pid))
    with os.fdopen(told) as pipe:
        steps = int(pipe.read() or 0)
    _, status = os.waitpid(pid, 0)
    _say(json.dumps(asdict(End(status, steps))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _main(home: str, database_url: str, slug: str, exports: str) -> None:
    settings = Settings(Path(home), None, database_url)
    logging.disable()  # The driver's words about a server that was killed.
    # What a process imports on first use would be imported after every fork.
    import clickhouse_connect  # noqa: F401

    _say("ready")
    for line in sys.stdin:
        _fork(Order(**json.loads(line)), settings, slug, Path(exports))


if __name__ == "__main__":
    _main(*sys.argv[1:])
