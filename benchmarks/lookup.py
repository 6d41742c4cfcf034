"""Membership checks: is this user in that segment, and in which segments at all, against `select 1` in the same run.

    python benchmarks/lookup.py                          1 M users, 50 segments, each user in about 10
    python benchmarks/lookup.py --only chosen --json figures.json

Members are generated inside ClickHouse, always the same ones. One candidate after another is built, brought up to date
after a delta of 1,000 changes, asked by HTTP over one kept-alive connection in turn with `select 1`, and dropped. All
answers are compared with segment_memberships. "quiet" is the mean of the fastest tenth: on a busy machine it says more
than the median. Server time is X-ClickHouse-Summary's elapsed_ns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import psutil

from segops_orchestration.compute import lookup
from segops_orchestration.compute.apply import apply_changes
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded import lifecycle

USER = "concat('user-', leftPad(toString(number), 7, '0'))"
CHANGES = 1_000
ONE_TABLE = "(user_id String, segment_ids Array(UInt64), entered_at Array(DateTime64(3, 'UTC')), version UInt64)"
BY_USER = "SELECT user_id, groupArray(segment_id), groupArray(computed_at), max(version) FROM segment_memberships FINAL"
CHANGED = "SELECT user_id FROM membership_changes WHERE computation_id = {computation_id:UInt64}"


@dataclass(frozen=True)
class Candidate:
    """A way to answer. ``build`` and ``update`` are statements; the chosen one's are the product's own functions."""

    name: str
    one: str
    all: str
    build: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    remark: str = ""
    deltas: int = 5


CANDIDATES = [
    Candidate("segment_memberships FINAL", lookup._ONE_BY_SEGMENT, lookup._ALL_BY_SEGMENT, remark="nothing added"),
    Candidate(
        "MergeTree (user, segment)",
        "SELECT 1, computed_at FROM bu FINAL WHERE user_id = {user_id:String} AND segment_id = {segment_id:UInt64}",
        "SELECT groupArray(segment_id), groupArray(computed_at) FROM bu FINAL WHERE user_id = {user_id:String}",
        (
            """CREATE TABLE bu (user_id String, segment_id UInt64, computed_at DateTime64(3, 'UTC'), version UInt64, is_deleted UInt8)
            ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY (user_id, segment_id)
            SETTINGS index_granularity = 128, min_compress_block_size = 16384, max_compress_block_size = 32768""",
            "INSERT INTO bu SELECT user_id, segment_id, computed_at, version, is_deleted FROM segment_memberships",
        ),
        (
            """INSERT INTO bu SELECT user_id, segment_id, computed_at, {membership_version:UInt64}, change = 'exited'
            FROM membership_changes WHERE computation_id = {computation_id:UInt64}""",
        ),
        ("DROP TABLE IF EXISTS bu SYNC",),
        "granularity 128",
    ),
    Candidate(
        "RocksDB (user, segment)",
        "SELECT NOT is_deleted, computed_at FROM pairs WHERE user_id = {user_id:String} AND segment_id = {segment_id:UInt64}",
        """SELECT groupArray(segment_id), groupArray(computed_at) FROM pairs
        WHERE user_id = {user_id:String} AND segment_id IN {segment_ids:Array(UInt64)} AND NOT is_deleted""",
        (
            """CREATE TABLE pairs (user_id String, segment_id UInt64, computed_at DateTime64(3, 'UTC'), is_deleted UInt8)
            ENGINE = EmbeddedRocksDB PRIMARY KEY (user_id, segment_id) SETTINGS optimize_for_bulk_insert = 0""",
            "INSERT INTO pairs SELECT user_id, segment_id, computed_at, is_deleted FROM segment_memberships FINAL",
        ),
        (
            """INSERT INTO pairs SELECT user_id, segment_id, computed_at, change = 'exited'
            FROM membership_changes WHERE computation_id = {computation_id:UInt64}""",
        ),
        ("DROP TABLE IF EXISTS pairs SYNC",),
        "older servers: one key column",
    ),
    Candidate(
        "dictionary, hashed",
        "SELECT indexOf(dictGet('d', 'segment_ids', tuple({user_id:String})) AS ids, {segment_id:UInt64}) AS place, dictGet('d', 'entered_at', tuple({user_id:String}))[place]",
        "SELECT dictGet('d', 'segment_ids', tuple({user_id:String})), dictGet('d', 'entered_at', tuple({user_id:String}))",
        (
            """CREATE DICTIONARY d (user_id String, segment_ids Array(UInt64), entered_at Array(DateTime64(3, 'UTC'))) PRIMARY KEY user_id
            SOURCE(CLICKHOUSE(QUERY 'SELECT user_id, groupArray(segment_id), groupArray(computed_at) FROM DATABASE.segment_memberships FINAL GROUP BY user_id'))
            LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)""",
            "SYSTEM RELOAD DICTIONARY d",
        ),
        ("SYSTEM RELOAD DICTIONARY d",),
        ("DROP DICTIONARY IF EXISTS d",),
        "fresh only after a whole reload",
        deltas=1,
    ),
    Candidate(
        "Join engine",
        "SELECT indexOf(joinGet('j', 'segment_ids', {user_id:String}) AS ids, {segment_id:UInt64}) AS place, joinGet('j', 'entered_at', {user_id:String})[place]",
        "SELECT joinGet('j', 'segment_ids', {user_id:String}), joinGet('j', 'entered_at', {user_id:String})",
        (
            f"CREATE TABLE j {ONE_TABLE} ENGINE = Join(ANY, LEFT, user_id) SETTINGS join_any_take_last_row = 1",
            f"INSERT INTO j {BY_USER} GROUP BY user_id",
        ),
        (f"INSERT INTO j {BY_USER} WHERE user_id IN ({CHANGED}) GROUP BY user_id",),
        ("DROP TABLE IF EXISTS j SYNC",),
        "grows with each delta; a user in nothing keeps the old row",
        deltas=2,
    ),
    Candidate("RocksDB by user (chosen)", lookup._BY_USER, lookup._BY_USER, drop=(f"DROP TABLE IF EXISTS {lookup.TABLE} SYNC",)),
]  # fmt: skip


@dataclass
class Latency:
    """Milliseconds of many requests: from outside, and inside the server."""

    total: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    def add(self, measured: tuple[float, float]) -> None:
        self.total.append(measured[0])
        self.server.append(measured[1])


def quiet(values: list[float]) -> float:
    return statistics.fmean(sorted(values)[: max(1, len(values) // 10)])


def summary(latency: Latency, base: Latency) -> dict[str, float]:
    ordered, server = sorted(latency.total), sorted(latency.server)
    return {
        "p50": statistics.median(ordered),
        "p95": ordered[int(len(ordered) * 0.95)],
        "ratio_p50": statistics.median(ordered) / statistics.median(base.total),
        "quiet": quiet(ordered),
        "ratio_quiet": quiet(ordered) / quiet(base.total),
        "server_p50": statistics.median(server),
        "server_p95": server[int(len(server) * 0.95)],
        "server_quiet": quiet(server),
    }


class Connection:
    """One kept-alive HTTP connection to the embedded warehouse."""

    def __init__(self, settings: Settings, database: str) -> None:
        endpoint = lifecycle.ensure_running(settings)
        self.pid = endpoint.pid
        self._http = HTTPConnection(endpoint.host, endpoint.port)
        self._headers = {"X-ClickHouse-User": endpoint.username, "X-ClickHouse-Key": endpoint.password}
        self._database = database

    def ask(self, sql: str, parameters: dict[str, str]) -> tuple[float, float]:
        url = "/?" + urlencode(
            {"database": self._database, **{f"param_{key}": text for key, text in parameters.items()}}
        )
        started = time.perf_counter()
        self._http.request("POST", url, body=f"{sql} FORMAT Native".encode(), headers=self._headers)
        response = self._http.getresponse()
        body = response.read()
        took = (time.perf_counter() - started) * 1000
        if response.status != 200:
            sys.exit(body.decode())
        return took, int(json.loads(response.headers["X-ClickHouse-Summary"])["elapsed_ns"]) / 1e6

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def resident(self) -> int:
        time.sleep(1.5)  # The allocator gives freed pages back after a moment.
        return psutil.Process(self.pid).memory_info().rss


@dataclass
class Bench:
    settings: Settings
    database: TenantWarehouse
    users: int
    segments: int
    requests: int
    computation: int = 0

    def session(self) -> ComputeSession:
        return ComputeSession(self.database, self.computation, 1_000 + self.computation, datetime.now(UTC), None)

    def generate(self) -> float:
        """Fill segment_memberships; every user is in a fifth of the segments, by hash."""
        started = time.perf_counter()
        for segment in range(1, self.segments + 1):
            self.database.command(
                f"""INSERT INTO segment_memberships SELECT {{segment:UInt64}}, {USER}, toDateTime64('2026-01-01', 3, 'UTC'), 1, 0
                FROM numbers({{users:UInt64}}) WHERE cityHash64(number, {{segment:UInt64}}) % 5 = 0""",
                {"segment": segment, "users": self.users},
            )
        return time.perf_counter() - started

    def change(self) -> dict[int, tuple[int, int]]:
        """Stage and apply a delta: the first users whose hash says so enter or leave a segment."""
        self.computation += 1
        segment = self.computation % self.segments + 1
        session = self.session()
        session.run(
            f"""INSERT INTO membership_changes SELECT {{segment:UInt64}}, {{computation_id:UInt64}}, {USER} AS user,
              if(user IN (SELECT user_id FROM segment_memberships FINAL WHERE segment_id = {{segment:UInt64}}), 'exited', 'entered'),
              {{at:DateTime64(3, 'UTC')}}
            FROM numbers({{users:UInt64}}) WHERE cityHash64(number, 77) % intDiv({{users:UInt64}}, {CHANGES}) = 0 LIMIT {CHANGES}""",
            {"segment": segment, "users": self.users},
        )
        changes = {segment: (0, CHANGES)}
        apply_changes(session, changes)
        return changes

    def run_all(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self.session().run(statement.replace("DATABASE", self.database.database))

    def build(self, candidate: Candidate) -> None:
        if candidate.build:
            self.run_all(candidate.build)
        elif candidate.one == lookup._BY_USER:
            lookup.update_lookup(self.session(), {1: (1, 0)})

    def update(self, candidate: Candidate, changes: dict[int, tuple[int, int]]) -> None:
        if candidate.update:
            self.run_all(candidate.update)
        elif candidate.one == lookup._BY_USER:
            lookup.update_lookup(self.session(), changes)


def ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def measure(bench: Bench, candidate: Candidate) -> dict[str, object]:
    connection = Connection(bench.settings, bench.database.database)
    memory, disk = connection.resident(), stored(bench)
    built = ms(lambda: bench.build(candidate)) / 1000
    memory, disk = connection.resident() - memory, stored(bench) - disk
    updates, wrong = [], 0
    for _ in range(candidate.deltas):
        changes = bench.change()
        updates.append(ms(lambda: bench.update(candidate, changes)))  # noqa: B023
        wrong += disagreeing(bench, candidate, *changes)
    figures = {
        "candidate": candidate.name, "remark": candidate.remark, "full_seconds": built, "delta_ms": updates,
        "memory_mb": memory / 1e6, "disk_mb": disk / 1e6, "wrong_after_delta": wrong,
        **latencies(bench, candidate, connection),
    }  # fmt: skip
    bench.run_all(candidate.drop)
    return figures


def stored(bench: Bench) -> int:
    """Bytes of the warehouse's directory, other than the members themselves."""
    store = bench.settings.warehouse_dir / "data"
    files = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    ((members,),) = bench.database.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND table IN ('segment_memberships', 'membership_changes')"
    ).result_rows
    return files - int(members)


def disagreeing(bench: Bench, candidate: Candidate, segment: int) -> int:
    """Of 20 changed and 20 other users, how many answers differ from segment_memberships right after the update."""
    rows = bench.database.query(
        f"""SELECT user_id, user_id IN (SELECT user_id FROM segment_memberships FINAL WHERE segment_id = {segment}) FROM (
        (SELECT user_id FROM membership_changes WHERE segment_id = {segment} AND computation_id = {bench.computation} LIMIT 20)
        UNION ALL SELECT {USER} FROM numbers(20))"""
    ).result_rows
    wrong = 0
    for user, expected in rows:
        answer = bench.database.query(candidate.one, {"user_id": user, "segment_id": segment}).result_rows
        found = answer[0][0] if answer else False
        wrong += (segment in found if isinstance(found, list) else bool(found)) != bool(expected)
    return wrong


def latencies(bench: Bench, candidate: Candidate, connection: Connection) -> dict[str, object]:
    """One and all in turn with `select 1`: so a busy moment meets all three."""
    chance = random.Random(1)
    queries = {"select 1": "SELECT 1", "one": candidate.one, "all": candidate.all}
    taken = {name: Latency() for name in queries}
    cpu = dict.fromkeys(queries, 0.0)
    ids = str(list(range(1, bench.segments + 1)))

    def ask(name: str) -> tuple[float, float]:
        user = f"user-{chance.randrange(int(bench.users * 1.05)):07}"
        bound = {"user_id": user, "segment_id": str(chance.randrange(bench.segments) + 1), "segment_ids": ids}
        needed = {key: text for key, text in bound.items() if f"{{{key}:" in queries[name]}
        return connection.ask(queries[name], needed)

    for _ in range(20):
        for name in queries:
            ask(name)
    for _ in range(bench.requests):
        for name in queries:
            taken[name].add(ask(name))
    for name in queries:
        before = connection.cpu_seconds()
        for _ in range(bench.requests):
            ask(name)
        cpu[name] = (connection.cpu_seconds() - before) / bench.requests * 1000
    base = taken["select 1"]
    return {name: {**summary(latency, base), "server_cpu": cpu[name]} for name, latency in taken.items()}


def after_a_restart(bench: Bench) -> dict[str, float]:
    """With the chosen table there: how long the warehouse takes to start, and the first check."""
    lifecycle.stop(bench.settings)
    started = ms(lambda: lifecycle.ensure_running(bench.settings))
    connection = Connection(bench.settings, bench.database.database)
    first = connection.ask(lookup._BY_USER, {"user_id": "user-0000001"})[0]
    return {"start_ms": started, "first_check_ms": first}


def many_tables(settings: Settings, count: int) -> dict[str, float]:
    """What one such table costs that holds little: to create, and whenever the warehouse starts."""
    costs: dict[str, float] = {}
    engines = {"RocksDB": "EmbeddedRocksDB PRIMARY KEY user_id", "MergeTree": "MergeTree ORDER BY user_id"}
    for name, engine in engines.items():
        warehouse = Warehouse.connect(settings)
        warehouse.admin.command("CREATE DATABASE many")
        tables = [f"many.t{number}" for number in range(count)]
        created = ms(
            lambda: [warehouse.admin.command(f"CREATE TABLE {table} {ONE_TABLE} ENGINE = {engine}") for table in tables]  # noqa: B023
        )
        attach = [
            ms(lambda: [warehouse.admin.command(f"DETACH TABLE {table} SYNC") for table in tables]),  # noqa: B023
            ms(lambda: [warehouse.admin.command(f"ATTACH TABLE {table}") for table in tables]),  # noqa: B023
        ]
        costs |= {f"{name}: create, ms": created / count, f"{name}: open, ms": attach[1] / count}
        warehouse.admin.command("DROP DATABASE many SYNC")
        warehouse.close()
    return costs


def report(figures: dict[str, object], candidates: list[dict[str, object]]) -> None:
    print(
        f"\n{figures['machine']}, {figures['engine']}, load {figures['load_before']} before, {figures['load_after']} after"
    )
    print(f"{figures['users']:,} users, {figures['segments']} segments, {figures['memberships']:,} memberships,")
    print(f"written in {figures['generate_seconds']:.1f} s without any of these\n")
    print(
        "| candidate | | p50 ms | p95 | / select 1 | quiet ms | / select 1 | server p50 | server quiet | server CPU |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for one in candidates:
        for what in ("select 1", "one", "all"):
            row: dict[str, float] = one[what]  # type: ignore[assignment]
            print(
                f"| {one['candidate']} | {what} | {row['p50']:.2f} | {row['p95']:.2f} | {row['ratio_p50']:.2f}"
                f" | {row['quiet']:.2f} | {row['ratio_quiet']:.2f} | {row['server_p50']:.2f} | {row['server_quiet']:.2f}"
                f" | {row['server_cpu']:.2f} |"
            )
    print(f"\n| candidate | full load, s | delta of {CHANGES:,}, ms | memory, MB | disk, MB | wrong after a delta | |")
    print("|---|---|---|---|---|---|---|")
    for one in candidates:
        delta: list[float] = one["delta_ms"]  # type: ignore[assignment]
        print(
            f"| {one['candidate']} | {one['full_seconds']:.1f} | {statistics.median(delta):.0f} | {one['memory_mb']:.0f}"
            f" | {one['disk_mb']:.0f} | {one['wrong_after_delta']} of {40 * len(delta)} | {one['remark']} |"
        )
    print()
    for name, value in {**figures["restart"], **figures["per_table"]}.items():  # type: ignore[dict-item]
        print(f"{name}: {value:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, default=50)
    parser.add_argument("--requests", type=int, default=300, help="of each kind and candidate; default 300")
    parser.add_argument("--only", metavar="TEXT", default="", help="only candidates whose name contains this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    arguments = parser.parse_args()
    lookup.TABLE_FROM_ROWS = 1
    load = [round(value, 1) for value in os.getloadavg()]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"SEGOPS_HOME": folder})
        warehouse = Warehouse.connect(settings)
        bench = Bench(settings, warehouse.tenant("bench"), arguments.users, arguments.segments, arguments.requests)
        try:
            bench.database.migrate()
            figures: dict[str, object] = {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
                "engine": f"ClickHouse {warehouse.admin.server_version} (embedded)",
                "users": arguments.users, "segments": arguments.segments, "load_before": load,
                "generate_seconds": bench.generate(),
            }  # fmt: skip
            figures["memberships"] = bench.database.query("SELECT count() FROM segment_memberships").result_rows[0][0]
            candidates = []
            for candidate in CANDIDATES:
                if arguments.only in candidate.name:
                    print(f"\r\033[K{candidate.name}", end="", file=sys.stderr, flush=True)
                    candidates.append(measure(bench, candidate))
                    keep(arguments.json, {**figures, "candidates": candidates})
            bench.build(CANDIDATES[-1])
            figures |= {"restart": after_a_restart(bench), "per_table": many_tables(settings, 20)}
            figures |= {"load_after": [round(value, 1) for value in os.getloadavg()], "candidates": candidates}
        finally:
            warehouse.close()
            lifecycle.stop(settings)
    print(file=sys.stderr)
    report(figures, candidates)
    keep(arguments.json, figures)


def keep(path: Path | None, figures: dict[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
