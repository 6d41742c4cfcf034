"""The engine at size: full and delta computations, ingestion and many tenants, each beside its baseline.

    python benchmarks/engine.py                             20 M events of 1 M users, 50 segments, all figures
    python benchmarks/engine.py --events 1m --users 50k --only full,delta
    python benchmarks/engine.py --home /tmp/engine --profile     generate once, measure again and again

Events are the same for the same arguments; they are made inside ClickHouse. The counts of every segment must agree
with its baseline, the query that one would type to count the same users by hand (see bare.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine_data import History
from engine_figures import Engine, prepare
from engine_processes import dagster, ingest, memory, tenants
from engine_segments import all_segments
from measuring import Bench, Figure, Report, machine, progress

from segops_orchestration.compiler.segment import compile_members
from segops_orchestration.compiler.source import EVERYONE
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

FIGURES = ("full", "delta", "batch", "growth", "memory", "ingest", "dagster", "tenants")
_TABLES = (
    "events",
    "events_by_time",
    "events_by_user",
    "users",
    "identifications",
    "segment_memberships",
    "membership_changes",
)


def main() -> None:
    arguments = _arguments()
    home = arguments.home or Path(tempfile.mkdtemp(prefix="segops-engine-"))
    settings = Settings.from_env({"SEGOPS_HOME": str(home)})
    bench = Bench(settings)
    try:
        report = _measure(bench, arguments)
        report.sizes["most memory of the warehouse, bytes"] = bench.warehouse_memory()
    finally:
        bench.close()
        if not (arguments.home or arguments.keep):
            shutil.rmtree(home)
    progress("")
    _print(report, arguments.profile)
    document = json.dumps(report.as_document(), indent=2, default=str)
    if arguments.out:
        arguments.out.write_text(document + "\n")
    if arguments.json:
        print(document)
    if arguments.keep:
        print(f"kept: {home}", file=sys.stderr)
    disagreements = report.details.get("disagreements", {})
    for slug, difference in disagreements.items():
        print(f"{slug}: {difference}", file=sys.stderr)
    sys.exit(1 if disagreements else 0)


def _measure(bench: Bench, arguments: argparse.Namespace) -> Report:
    history = History(arguments.events, arguments.users, _until(bench, arguments))
    documents, refused = _supported(_chosen(all_segments(history.until), arguments.segments))
    engine = f"{bench.warehouse.admin.server_version}, embedded"
    report = Report(
        "The engine, benchmarks/engine.py",
        machine(),
        {"ClickHouse": engine, "dagster": version("dagster"), "segops-orchestration": version("segops-orchestration")},
        details={"history": asdict(history), "left out": refused},
    )
    for slug, why in refused.items():
        print(f"left out: {slug}: {why}", file=sys.stderr)
    if wants(arguments, "full", "delta", "batch", "growth", "memory", "ingest", "dagster"):
        seconds = prepare(bench, history, documents)
        if seconds is not None:
            rate = f"{history.events / seconds:,.0f} events a second, materialized views included"
            report.add(Figure.of("generation", [seconds], "s", note=rate))
    report.sizes.update({"events": history.events, "users": history.users, "segments": len(documents)})
    run = Engine(bench, history, documents, report, arguments.repeats)
    steps: dict[str, Callable[[], None]] = {
        "full": lambda: run.full(profile=arguments.profile),
        "delta": lambda: run.delta(profile=arguments.profile),
        "batch": run.batch,
        "growth": run.growth,
        "memory": lambda: memory(bench, report),
        "ingest": lambda: ingest(bench, report, arguments.file_rows),
        "dagster": lambda: dagster(bench, report, arguments.newcomers),
        "tenants": lambda: tenants(bench.settings, report, arguments.tenants),
    }
    for name, step in steps.items():
        if wants(arguments, name):
            step()
            if name == "full":
                report.sizes.update(_sizes(bench))
    return report


def wants(arguments: argparse.Namespace, *names: str) -> bool:
    """Whether any of these figures was asked for."""
    return any(name in arguments.only for name in names)


def _until(bench: Bench, arguments: argparse.Namespace) -> datetime:
    """A day ago, so that the instants of the computations stay behind the clock; of a kept home, what it has."""
    manifest = bench.settings.home / f"{bench.tenant}.json"
    if manifest.exists():
        return datetime.fromisoformat(json.loads(manifest.read_text())["until"])
    return (datetime.now(UTC) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)


def _chosen(documents: Mapping[str, Any], count: int) -> dict[str, Any]:
    """``count`` of the segments, evenly over all kinds, and what they refer to."""
    slugs = list(documents)
    wanted = [slugs[index * len(slugs) // count] for index in range(count)] if count < len(slugs) else slugs
    for slug in wanted:
        wanted += [key for key in _references(documents[slug]) if key not in wanted]
    return {slug: document for slug, document in documents.items() if slug in wanted}


def _references(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["segment_id"]] if "segment_id" in document else []
        return own + [found for value in document.values() for found in _references(value)]
    return [found for value in document for found in _references(value)] if isinstance(document, list) else []


def _supported(documents: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The segments that this version computes, and why not the others."""
    refused: dict[str, str] = {}
    for slug, document in documents.items():
        try:
            definition: Definition = parse_definition(document)
            compile_members(definition, EVERYONE, lambda _: 1)
        except SegOpsError as error:
            refused[slug] = str(error).splitlines()[0]
            continue
        missing = [key for key in referenced_segments(definition) if key in refused]
        if missing:
            refused[slug] = f"refers to {missing[0]}"
    return {slug: document for slug, document in documents.items() if slug not in refused}, refused


def _sizes(bench: Bench) -> dict[str, Any]:
    rows = bench.database.query(
        "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts"
        " WHERE active AND database = {name:String} AND table IN {tables:Array(String)} GROUP BY table ORDER BY table",
        {"name": bench.database.database, "tables": list(_TABLES)},
    ).result_rows
    return {table: f"{rows:,} rows, {size / 1e6:,.1f} MB, {parts} parts" for table, rows, size, parts in rows}


def _print(report: Report, profile: bool) -> None:
    report.print()
    if not profile:
        return
    for name in ("segments", "statements of full", "statements of delta"):
        rows = report.details.get(name)
        if rows:
            print(f"\n{name}")
            widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
            print("  ".join(f"{key:>{width}}" for key, width in widths.items()))
            for row in rows:
                print("  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=_amount, default=20_000_000, help="20m, 500k or a plain number")
    parser.add_argument("--users", type=_amount, help="default: a twentieth of the events")
    parser.add_argument("--segments", type=int, default=50, help="fewer for a trial; referenced ones come along")
    parser.add_argument("--repeats", type=int, default=3, help="of each computation; the median counts")
    parser.add_argument("--newcomers", type=int, default=50, help="events to follow through Dagster, one after another")
    parser.add_argument("--tenants", type=_amount, default=1000, help="with little data")
    parser.add_argument("--file-rows", type=_amount, default=1_000_000, help="of the file to ingest")
    parser.add_argument("--only", type=_only, default=FIGURES, metavar="FIGURE,...", help=", ".join(FIGURES))
    parser.add_argument("--home", type=Path, help="keep everything there, and use what is there already")
    parser.add_argument("--keep", action="store_true", help="keep the temporary home")
    parser.add_argument("--profile", action="store_true", help="by segment beside bare, and by phase")
    parser.add_argument("--json", action="store_true", help="print everything as JSON too")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there")
    arguments = parser.parse_args()
    arguments.users = arguments.users or max(arguments.events // 20, 100)
    return arguments


def _amount(text: str) -> int:
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return int(float(text[:-1] if factor > 1 else text) * factor)


def _only(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no figure; there are {', '.join(FIGURES)}")
    return names


if __name__ == "__main__":
    main()
