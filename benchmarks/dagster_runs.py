"""Figures that need Dagster: event to membership, memory of a run process, ticks of the event sensor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from measuring import Bench, most_memory, progress

from segops_orchestration.cli.dagster_process import child_environment, write_instance_config
from segops_orchestration.settings import Settings

PATIENCE_SECONDS = 120.0
_SEGOPS = [sys.executable, "-c", "from segops_orchestration.cli.main import main; main()"]


@contextmanager
def running_dagster(settings: Settings) -> Iterator[None]:
    """``segops dev`` beside us, as a user runs it."""
    process = subprocess.Popen(
        [*_SEGOPS, "dev", "--port", "0", "--json"],
        env={**os.environ, "SEGOPS_HOME": str(settings.home)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if process.stdout is None or not process.stdout.readline():
            sys.exit("segops dev did not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)


def event_to_membership(bench: Bench, *, segment: str, orders: int, repeats: int) -> list[float]:
    """Seconds from the INSERT of a new user's orders until the user is a member of ``segment``, one after another."""
    segment_id = bench.catalog.get_segment(bench.tenant, segment).id
    seconds: list[float] = []
    with running_dagster(bench.settings):
        for index in range(repeats):
            user = f"newcomer-{index}-{time.time_ns()}"
            started = time.perf_counter()
            bench.database.command(
                "INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)"
                " SELECT generateUUIDv4(), {user:String}, 'order_placed', now64(3) - number, '{}'"
                " FROM numbers({orders:UInt64})",
                {"user": user, "orders": orders},
            )
            while not _is_member(bench, segment_id, user):
                if time.perf_counter() - started > PATIENCE_SECONDS:
                    sys.exit(f"{user} is no member after {PATIENCE_SECONDS:.0f} s")
                time.sleep(0.05)
            seconds.append(time.perf_counter() - started)
            progress(f"event to membership {index + 1} of {repeats}: {seconds[-1]:.1f} s")
    return seconds


def _is_member(bench: Bench, segment_id: int, user: str) -> bool:
    rows = bench.database.query(
        "SELECT 1 FROM segment_memberships FINAL WHERE segment_id = {id:UInt64} AND user_id = {user:String}",
        {"id": segment_id, "user": user},
    ).result_rows
    return bool(rows)


def run_process(bench: Bench, mode: str) -> tuple[float, int]:
    """Seconds and most memory of a process that executes a run of the job ``recompute``, exports included."""
    write_instance_config(bench.settings)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "segops_orchestration.launch", bench.tenant, "--mode", mode],
        env=child_environment(bench.settings, os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    most = 0
    while process.poll() is None:
        most = max(most, most_memory(process.pid) or 0)
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"the run of {bench.tenant} failed")
    return time.perf_counter() - started, most


@contextmanager
def sensor_ticks(settings: Settings) -> Iterator[Tick]:
    """The event sensor on an instance of its own, ticked from here."""
    write_instance_config(settings)
    before = dict(os.environ)
    os.environ.update(child_environment(settings, os.environ))
    try:
        yield Tick()
    finally:
        os.environ.clear()
        os.environ.update(before)


class Tick:
    """One tick after another, as the daemon does it."""

    def __init__(self) -> None:
        import dagster as dg

        from segops_orchestration.definitions import defs
        from segops_orchestration.defs import sensors

        sensors.WATCH_SECONDS = 0.0  # A tick that finds nothing would go on looking until the next one.
        self._dg, self._defs = dg, defs
        self._instance = dg.DagsterInstance.get()
        self._cursor: str | None = None

    def __call__(self) -> int:
        """Returns how many tenants it wants to be computed."""
        from segops_orchestration.defs.resources import SegOpsResource

        context = self._dg.build_sensor_context(
            instance_ref=self._instance.get_ref(),
            definitions=self._defs,
            resources={"segops": SegOpsResource()},
            cursor=self._cursor,
        )
        with context:
            data = self._defs.resolve_sensor_def("new_events").evaluate_tick(context)
        self._cursor = data.cursor
        for request in data.dynamic_partitions_requests or ():
            self._instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return len(data.run_requests or ())
