"""Full, delta and bare scan on generated events, and event-to-membership through Dagster.

    python benchmarks/spine.py                       1 M events of 50,000 users, 10 segments
    python benchmarks/spine.py --events 5000000 --users 250000 --no-dagster --json figures.json

Each figure is the median of several; the baseline is measured in the same run: for each segment the query that one
would type to count the same users by hand, without protection against redelivered events. Counts must agree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from dagster_runs import event_to_membership
from measuring import Bench, machine, progress, timed
from workload import SEGMENTS, generate, touch

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings

CHANGED_USERS = 100


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


def load(bench: Bench, events: int, users: int) -> None:
    bench.database.migrate()
    bench.catalog.create_tenant(bench.tenant)
    for rows in generate(bench.database, events=events, users=users, until=datetime.now(UTC)):
        progress(f"generating {rows:,} of {events:,} events")
    documents = [
        SegmentDocument(slug=each.slug, name=each.slug, description="", definition=parse_definition(each.definition))
        for each in SEGMENTS
    ]
    bench.catalog.save_segments(bench.tenant, documents)


def measure(bench: Bench, figures: Figures, repeats: int) -> None:
    figures.bytes_on_disk = bench.database.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {name:String} AND table = 'events'",
        {"name": bench.database.database},
    ).result_rows[0][0]
    bench.compute("full")  # Everybody enters; what is repeated is the ordinary full recomputation.
    for index in range(repeats):
        progress(f"round {index + 1} of {repeats}")
        spent, result = bench.compute("full")
        figures.full.append(spent.time)
        bare_scans(bench, figures, result)
        figures.delta_of_time_alone.append(bench.compute("delta")[0].time)
        touch(bench.database, users=CHANGED_USERS, at=datetime.now(UTC), salt=index)
        spent, result = bench.compute("delta")
        figures.delta.append(spent.time)
        figures.candidates.append(max(segment.candidates or 0 for segment in result.segments))


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
            load(bench, arguments.events, arguments.users)
            measure(bench, figures, arguments.repeats)
            if not arguments.no_dagster:
                figures.event_to_membership_seconds = event_to_membership(
                    bench, segment="frequent-buyers", orders=3, repeats=10
                )
        finally:
            bench.close()
            progress("")
    report(figures)
    if arguments.json:
        document = {**vars(replace(figures)), "ratios": figures.ratios(), "bare_total": figures.bare_total}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
