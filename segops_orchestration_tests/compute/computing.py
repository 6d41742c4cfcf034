"""A process of its own that computes a tenant: to be killed at a chosen step, or to race with another.

Run as a program: it says when it is ready, waits for a line, computes, and prints how that ended.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute import compute as engine
from segops_orchestration.compute.apply import apply_changes
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.errors import TenantBusy
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant

Effect = Callable[[], None]


class Crash(BaseException):
    """Ends a computation the way a kill does: no handler of errors sees to it."""


def crash() -> None:
    raise Crash


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(patch: pytest.MonkeyPatch, step: str, effect: Effect) -> None:
    """Have ``effect`` happen when a computation comes to ``step``."""
    {**STEPS, "one segment staged of two": _step("stage_full", call=2)}[step](patch, effect)


def _before(patch: pytest.MonkeyPatch, name: str, effect: Effect, call: int = 1, owner: Any = engine) -> None:
    """Before the ``call``-th call of a function of the engine."""
    real = getattr(owner, name)
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            effect()
        return real(*arguments, **named)

    patch.setattr(owner, name, wrapped)


def _half_applied(patch: pytest.MonkeyPatch, effect: Effect) -> None:
    """Of the segments whose changes are to be applied together, the first one is."""

    def wrapped(session: ComputeSession, changes: dict[int, tuple[int, int]]) -> None:
        apply_changes(session, dict([min(changes.items())]))
        effect()

    patch.setattr(engine, "apply_changes", wrapped)


def _step(name: str, call: int = 1, owner: Any = engine) -> Callable[[pytest.MonkeyPatch, Effect], None]:
    def plant(patch: pytest.MonkeyPatch, effect: Effect) -> None:
        _before(patch, name, effect, call, owner)

    return plant


STEPS: dict[str, Callable[[pytest.MonkeyPatch, Effect], None]] = {
    "planned": _step("Candidates"),
    "staged": _step("count_changes"),
    "marked as staged": _step("apply_changes"),
    "half applied": _half_applied,
    "applied": _step("commit_segments", owner=Catalog),
    "first level committed": _step("count_changes", call=2),
    "second level marked as staged": _step("apply_changes", call=2),
    "all committed": _step("finish_computation", owner=Catalog),
}
"""What is done when the effect comes, in a computation of two levels."""


def start(settings: Settings, tenant: StoryTenant, at: datetime, step: str, effect: str) -> subprocess.Popen[str]:
    """Start a process that will compute by delta; it begins at ``go``. ``effect`` is ``kill`` or ``wait``."""
    where = [str(settings.home), settings.database_url]
    command = [sys.executable, "-m", __name__, *where, tenant.slug, at.isoformat(), step, effect]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(*processes: subprocess.Popen[str]) -> list[str]:
    """Let processes compute at once; what each of them printed."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].strip() for process in processes]


def _main(home: str, database_url: str, slug: str, at: str, step: str, effect: str) -> str:
    settings = Settings(Path(home), None, database_url)
    tenant = StoryTenant(Catalog.open(settings), Warehouse.connect(settings), slug)
    at_step(pytest.MonkeyPatch(), step, kill if effect == "kill" else lambda: time.sleep(1.5))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        tenant.compute(at=datetime.fromisoformat(at))
    except TenantBusy as busy:
        return f"busy: {busy.holder}"
    return f"computed by {socket.gethostname()}:{os.getpid()}"


if __name__ == "__main__":
    sys.stdout.write(_main(*sys.argv[1:]) + "\n")
