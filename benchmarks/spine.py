"""Full, delta and bare scan on generated events, and event-to-membership through Dagster.

    python benchmarks/spine.py                       1 M events of 50,000 users, 10 segments
    python benchmarks/spine.py --events 5000000 --users 250000 --no-dagster --json figures.json

Each figure is the median of several; the baseline is measured in the same run: for each segment the query that one
would type to count the same users by hand, without protection against redelivered events. Counts must agree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
from workload import SEGMENTS, generate, touch

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded import lifecycle

T = TypeVar("T")

TENANT = "bench"
CHANGED_USERS = 100
PATIENCE_SECONDS = 60.0


@dataclass
class Figures:
    """What was measured: milliseconds unless named otherwise, raw values in order."""

    machine: str
    engine: str
    events: int
    users: int
    segments: int
    bytes_on_disk: int = 0
    bare: dict[str, list[float]] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    full: list[float] = field(default_factory=list)
    delta: list[float] = field(default_factory=list)
    delta_of_time_alone: list[float] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)
    event_to_membership_seconds: list[float] = field(default_factory=list)

    @property
    def bare_total(self) -> float:
        return sum(map(statistics.median, self.bare.values()))

    def ratios(self) -> dict[str, float]:
        full, delta = statistics.median(self.full), statistics.median(self.delta)
        return {
            "delta / full": delta / full,
            "full / bare scans": full / self.bare_total,
            "delta / bare scans": delta / self.bare_total,
        }


class Bench:
    """A tenant in a home of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.warehouse = Warehouse.connect(settings)
        self.catalog = Catalog.open(settings)

    @property
    def database(self) -> TenantWarehouse:
        return self.warehouse.tenant(TENANT)

    def load(self, events: int, users: int) -> None:
        self.database.migrate()
        self.catalog.create_tenant(TENANT)
        for rows in generate(self.database, events=events, users=users, until=datetime.now(UTC)):
            print(f"\rgenerating {rows:,} of {events:,} events", end="", file=sys.stderr)
        print(file=sys.stderr)
        documents = [
            SegmentDocument(
                slug=each.slug, name=each.slug, description="", definition=parse_definition(each.definition)
            )
            for each in SEGMENTS
        ]
        self.catalog.save_segments(TENANT, documents)

    def compute(self, mode: Any) -> tuple[float, ComputationResult]:
        return timed(lambda: compute(self.catalog, self.warehouse, TENANT, mode=mode))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = work()
    return (time.perf_counter() - started) * 1000, result


def measure(bench: Bench, figures: Figures, repeats: int) -> None:
    figures.bytes_on_disk = bench.database.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {name:String} AND table = 'events'",
        {"name": bench.database.database},
    ).result_rows[0][0]
    bench.compute("full")  # Everybody enters; what is repeated is the ordinary full recomputation.
    for index in range(repeats):
        print(f"\rround {index + 1} of {repeats}", end="", file=sys.stderr)
        milliseconds, result = bench.compute("full")
        figures.full.append(milliseconds)
        bare_scans(bench, figures, result)
        figures.delta_of_time_alone.append(bench.compute("delta")[0])
        touch(bench.database, users=CHANGED_USERS, at=datetime.now(UTC), salt=index)
        milliseconds, result = bench.compute("delta")
        figures.delta.append(milliseconds)
        figures.candidates.append(max(segment.candidates or 0 for segment in result.segments))
    print(file=sys.stderr)


def bare_scans(bench: Bench, figures: Figures, result: ComputationResult) -> None:
    members = {segment.slug: segment.members for segment in result.segments}
    for each in SEGMENTS:
        parameters = {"at": instant_text(result.at)}
        milliseconds, answer = timed(lambda: bench.database.query(each.bare, parameters))  # noqa: B023
        figures.bare.setdefault(each.slug, []).append(milliseconds)
        figures.members[each.slug] = members[each.slug]
        found = answer.result_rows[0][0]
        if found != members[each.slug]:
            sys.exit(f"{each.slug}: {members[each.slug]} members, but the bare query counts {found}")


@contextmanager
def running_dagster(settings: Settings) -> Iterator[None]:
    """``segops dev`` beside us, as a user runs it."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from segops_orchestration.cli.main import main; main()", "dev", "--port", "0", "--json"],
        env={**os.environ, "SEGOPS_HOME": str(settings.home)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if process.stdout is None or not process.stdout.readline():
            sys.exit("segops dev did not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)


def event_to_membership(bench: Bench, figures: Figures, repeats: int) -> None:
    """Insert one new user's three orders; wait until the user is a member."""
    segment = bench.catalog.get_segment(TENANT, "frequent-buyers")
    with running_dagster(bench.settings):
        for index in range(repeats):
            user = f"newcomer-{index}-{time.time_ns()}"
            started = time.perf_counter()
            bench.database.command(
                "INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)"
                " SELECT generateUUIDv4(), {user:String}, 'order_placed', now64(3) - number, '{}' FROM numbers(3)",
                {"user": user},
            )
            while not is_member(bench, segment.id, user):
                if time.perf_counter() - started > PATIENCE_SECONDS:
                    sys.exit(f"{user} is no member after {PATIENCE_SECONDS:.0f} s")
                time.sleep(0.05)
            figures.event_to_membership_seconds.append(time.perf_counter() - started)
            print(f"\revent to membership {index + 1} of {repeats}", end="", file=sys.stderr)
    print(file=sys.stderr)


def is_member(bench: Bench, segment_id: int, user: str) -> bool:
    rows = bench.database.query(
        "SELECT 1 FROM segment_memberships FINAL WHERE segment_id = {id:UInt64} AND user_id = {user:String}",
        {"id": segment_id, "user": user},
    ).result_rows
    return bool(rows)


def report(figures: Figures) -> None:
    print(f"\n{figures.machine}, {figures.engine}")
    print(
        f"{figures.events:,} events, {figures.users:,} users, {figures.segments} segments,"
        f" {figures.bytes_on_disk / 1e6:,.0f} MB on disk\n"
    )
    print(f"{'segment':24}{'members':>10}{'bare scan, ms':>16}")
    for slug, values in figures.bare.items():
        print(f"{slug:24}{figures.members[slug]:>10,}{statistics.median(values):>16,.0f}")
    print()
    line("bare scans, sum of medians", [figures.bare_total])
    line("full computation", figures.full)
    line(f"delta, {max(figures.candidates)} candidates", figures.delta)
    line("delta, nothing new", figures.delta_of_time_alone)
    print()
    for name, value in figures.ratios().items():
        print(f"{name:34}{value:>10.2f}")
    seconds = sorted(figures.event_to_membership_seconds)
    if seconds:
        print(f"\nevent to membership through Dagster, {len(seconds)} events one after another:")
        print(f"median {statistics.median(seconds):.1f} s, longest {seconds[-1]:.1f} s")


def line(name: str, values: list[float]) -> None:
    raw = ", ".join(f"{value:,.0f}" for value in values)
    print(f"{name:34}{statistics.median(values):>10,.0f} ms   ({raw})")


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-dagster", action="store_true", help="leave out event to membership")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"SEGOPS_HOME": folder})
        bench = Bench(settings)
        engine = f"ClickHouse {bench.warehouse.admin.server_version} (embedded)"
        figures = Figures(machine(), engine, arguments.events, arguments.users, len(SEGMENTS))
        try:
            bench.load(arguments.events, arguments.users)
            measure(bench, figures, arguments.repeats)
            if not arguments.no_dagster:
                event_to_membership(bench, figures, repeats=10)
        finally:
            bench.catalog.close()
            bench.warehouse.close()
            lifecycle.stop(settings)
    report(figures)
    if arguments.json:
        document = {**vars(replace(figures)), "ratios": figures.ratios(), "bare_total": figures.bare_total}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
