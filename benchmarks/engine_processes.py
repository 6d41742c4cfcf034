"""Figures of ``engine.py`` about whole processes: Dagster's, a run's memory, files to ingest, a thousand tenants."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dagster_runs import event_to_membership, run_process, sensor_ticks
from measuring import Bench, Figure, Report, progress, timed

from segops_orchestration.compute.compute import compute
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.embedded.memory import memory_limit
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_files

_COLUMNS = ("event_id", "user_id", "event_type", "occurred_at", "payload")
_FORMATS = {"parquet": "Parquet", "jsonl": "JSONEachRow", "csv": "CSVWithNames"}
_ROUNDS = 3
_SMALL_TENANTS_SEGMENT = {"logic": "AND", "conditions": [
    {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 90}]}  # fmt: skip


def memory(bench: Bench, report: Report) -> None:
    """The run process of a full computation and of a delta; the warehouse's beside its limit."""
    for mode in ("full", "delta"):
        progress(f"run process, {mode}")
        seconds, most = run_process(bench, mode)
        figure = Figure.of(f"memory of the run process, {mode}", [most / 1e6], "MB", note=f"whole run: {seconds:.1f} s")
        report.add(figure.at_most(400))
    limit = memory_limit(os.environ)
    figure = Figure.of("memory of the warehouse so far", [bench.warehouse_memory() / 1e6], "MB")
    report.add(figure.beside("limit, SEGOPS_WAREHOUSE_MEMORY", limit / 1e6))


def dagster(bench: Bench, report: Report, newcomers: int) -> None:
    """From the INSERT of a user's orders to the committed membership, through ``segops dev``."""
    bench.compute("delta")  # The clock has moved a lot since the history ends.
    bench.warehouse_memory()
    seconds = sorted(event_to_membership(bench, segment="frequent-buyers", orders=3, repeats=newcomers))
    bench.reconnect()
    p95 = seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    figure = Figure(f"event to membership, p95 of {len(seconds)}", p95, "s", seconds)
    report.add(figure.at_most(10))


def ingest(bench: Bench, report: Report, rows: int) -> None:
    """A file through ``segops ingest``'s own function, and the same file as a bare raw insert."""
    ours, bare = Bench(bench.settings, "bench_ingest"), Bench(bench.settings, "bench_raw")
    folder = bench.settings.home / "files"
    folder.mkdir(exist_ok=True)
    for suffix, fmt in _FORMATS.items():
        path = folder / f"events.{suffix}"
        _write(bench, path, rows, fmt)
        spent: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(_ROUNDS):
            progress(f"ingest {path.name}")
            for one in (ours, bare):
                one.database.drop()
                one.database.migrate()
            spent["ours"].append(timed(lambda: ingest_files(ours.database, [path], ColumnMapping()))[0])  # noqa: B023
            with path.open("rb") as file:
                chunks = iter(lambda: file.read(1 << 20), b"")
                settings = {"date_time_input_format": "best_effort"}
                spent["bare"].append(
                    timed(lambda: bare.database.insert_bytes("events", chunks, fmt, _COLUMNS, settings))[0]  # noqa: B023
                )
        figure = Figure.of(
            f"ingest, {rows:,} rows of {suffix}", spent["ours"], note=f"{path.stat().st_size / 1e6:,.0f} MB"
        )
        report.add(
            figure.beside("bare raw_insert", sorted(spent["bare"])[_ROUNDS // 2], inverse=True).ratio_at_least(0.5)
        )
    for one in (ours, bare):
        one.database.drop()
        one.catalog.close()
        one.warehouse.close()


def _write(bench: Bench, path: Path, rows: int, fmt: str) -> None:
    sql = f"SELECT {', '.join(_COLUMNS)} FROM events LIMIT {{rows:UInt64}}"
    settings = {"date_time_output_format": "iso"}
    with path.open("wb") as file, bench.database.stream_bytes(sql, {"rows": rows}, fmt, settings) as chunks:
        for chunk in chunks:
            file.write(chunk)


def tenants(settings: Settings, report: Report, count: int) -> None:
    """A home with many tenants of little data: a tick of the sensor, and one tenant's delta."""
    home = settings.home / "tenants"
    many = Settings.from_env({"SEGOPS_HOME": str(home)})
    bench = Bench(many)
    slugs = [f"tenant{number:04}" for number in range(count)]
    ready = home / "tenants.json"
    if not ready.exists() or json.loads(ready.read_text()) != count:
        seconds, _ = timed(lambda: _create(bench, slugs))
        report.add(Figure.of(f"{count:,} tenants created and computed", [seconds / 1000], "s"))
        ready.write_text(json.dumps(count))
    try:
        with sensor_ticks(many) as tick:
            while tick():  # Registers every tenant and segment first.
                progress("the sensor registers the tenants")
            idle = [_tick(tick)[0] for _ in range(5)]
            report.add(Figure.of(f"sensor tick, {count:,} tenants, idle", idle).at_most(2000))
            dirty = bench.warehouse.tenant(slugs[count // 2])
            _orders(dirty)
            milliseconds, requested = _tick(tick)
            spent, _ = timed(lambda: compute(bench.catalog, bench.warehouse, dirty.slug))
        note = f"a tick of {milliseconds:,.0f} ms asked for {requested} run, then the delta took {spent:,.0f} ms"
        report.add(Figure.of("one dirty tenant, tick and delta", [milliseconds + spent], note=note).at_most(10_000))
    finally:
        bench.close()


def _tick(tick: object) -> tuple[float, int]:
    assert callable(tick)
    return timed(tick)


def _create(bench: Bench, slugs: list[str]) -> None:
    definition = parse_definition(_SMALL_TENANTS_SEGMENT)
    document = SegmentDocument(slug="buyers", name="buyers", definition=definition)
    known = {tenant.slug for tenant in bench.catalog.list_tenants()}
    done = 0

    def create(slug: str) -> None:
        nonlocal done
        database = bench.warehouse.tenant(slug)
        database.migrate()
        if slug not in known:
            bench.catalog.create_tenant(slug)
        bench.catalog.save_segments(slug, [document])
        _orders(database)
        compute(bench.catalog, bench.warehouse, slug)
        database.close()
        done += 1
        progress(f"tenants: {done:,} of {len(slugs):,}")

    started = time.monotonic()
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(create, slugs))
    progress(f"{len(slugs):,} tenants in {time.monotonic() - started:.0f} s")


def _orders(database: object) -> None:
    database.command(  # type: ignore[attr-defined]
        "INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)"
        " SELECT generateUUIDv4(), concat('user-', toString(number % 5)), 'order_placed', now64(3) - number, '{}'"
        " FROM numbers(20)"
    )
