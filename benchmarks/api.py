"""The REST API under load: events one by one and in batches, and membership checks while everything is recomputed.

    python benchmarks/api.py                            60 s of each
    python benchmarks/api.py --seconds 10 --only single,batch --json figures.json

`segops serve` and the embedded warehouse run in processes of their own, over a home of their own; this process is the
load, on loopback. All three share the machine. After each load every accepted event is looked for in ClickHouse.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from api_load import Load, run
from engine_data import History, draw
from engine_figures import prepare
from engine_segments import all_segments
from measuring import Bench, Figure, Report, machine, progress

from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.embedded import lifecycle

OPERATOR = Actor("operator", "benchmark")
PARTS = ("single", "batch", "membership")
SEGOPS = (sys.executable, "-c", "from segops_orchestration.cli.main import main; main()")
BATCH = 500
# Users that are asked for, and one in so many that nobody has heard of.
DRAWN = 20_000
UNKNOWN = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD = {
    "order_id": "o-000000000",
    "total": 42.5,
    "currency": "EUR",
    "items": 3,
    "channel": "web",
    "referrer": "https://example.com/spring",
    "campaign": "spring",
}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="segops-api-") as made:
        settings = Settings.from_env({"SEGOPS_HOME": str(arguments.home or made)})
        bench = Bench(settings)
        try:
            report = measure(bench, arguments)
        finally:
            bench.close()
    report.print()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_document(), indent=2))
    sys.exit(1 if report.details["lost"] else 0)


def measure(bench: Bench, arguments: argparse.Namespace) -> Report:
    """All parts that were asked for."""
    bench.catalog.create_tenant(bench.tenant)
    bench.database.migrate()
    key = bench.catalog.people.create_key(bench.tenant, "load", "secret", "member", [], OPERATOR).key
    versions = {"ClickHouse": str(lifecycle.status(bench.settings).version)}
    report = Report("The REST API under load", machine(), versions)
    report.sizes |= {"seconds of each load": arguments.seconds, "bytes of a single event": len(_event(0))}
    report.details["lost"] = 0
    with _serving(bench.settings) as (port, process):
        load = _Loaded(bench, report, port, process, key, arguments)
        if "single" in arguments.only:
            load.single(arguments.rate)
        if "batch" in arguments.only:
            load.batch(arguments.batch_rate)
        if "membership" in arguments.only:
            load.membership(arguments.checks, arguments.events, arguments.users)
    return report


class _Loaded:
    """The parts, over one serving process."""

    def __init__(
        self,
        bench: Bench,
        report: Report,
        port: int,
        process: psutil.Process,
        key: str,
        arguments: argparse.Namespace,
    ) -> None:
        self._bench, self._report, self._port, self._process = bench, report, port, process
        self._head = f"Host: localhost\r\nAuthorization: ApiKey {key}\r\nContent-Type: application/json\r\n"
        self._seconds, self._connections = arguments.seconds, arguments.connections

    def single(self, rate: float) -> None:
        """Events one by one."""
        self._warm("/api/ingestion/track/", _event(2**40))

        def request(number: int) -> bytes:
            return self._post("/api/ingestion/track/", _event(number))

        load = self._run("single events", rate, request, self._connections)
        self._judge("single events", load, rate, 1)
        self._look_for("single", load, per_request=1)

    def batch(self, rate: float) -> None:
        """Events in batches of 500."""
        offset = 1 << 32
        self._warm("/api/ingestion/track/batch/", _batch(2**41))

        def request(number: int) -> bytes:
            return self._post("/api/ingestion/track/batch/", _batch(offset + number * BATCH))

        load = self._run("batches", rate / BATCH, request, self._connections)
        self._judge("events in batches", load, rate, BATCH)
        self._look_for("batch", load, per_request=BATCH, offset=offset)

    def membership(self, rate: float, events: int, users: int) -> None:
        """Membership checks, alone and while all segments are recomputed by another process."""
        bench = self._bench
        history = History(events=events, users=users, until=datetime.now(UTC).replace(microsecond=0))
        prepare(bench, history, all_segments(history.until))
        bench.compute("full")
        drawn = draw(bench.database, history, users=min(users, DRAWN), salt=1, evenly=True)
        asked = [*drawn, *(f"unknown-{number}" for number in range(len(drawn) // UNKNOWN))]
        path = "/api/segments/membership/?user_id="
        self._report.sizes |= {"events of the membership checks": events, "users": users, "users asked for": len(asked)}

        def request(number: int) -> bytes:
            return f"GET {path}{asked[number * 7919 % len(asked)]} HTTP/1.1\r\n{self._head}\r\n".encode()

        run(self._port, rate, 3, 20, request)
        quiet = self._run("checks, nothing else", rate, request, 50, min(self._seconds, 20))
        with _recomputing(bench) as recomputations:
            busy = self._run("checks, recomputing", rate, request, 50)
        if not recomputations:
            recomputations.append(busy.seconds)
        for name, load in (("nothing else", quiet), ("while recomputing", busy)):
            limits = (5, 50) if load is busy else (None, None)
            for share, limit in zip((0.5, 0.99), limits, strict=True):
                figure = Figure.of(f"membership check p{share * 100:.0f}, {name}", [load.percentile(share)])
                self._report.add(figure if limit is None else figure.at_most(limit))
        self._report.add(
            Figure.of("full recomputations meanwhile", [len(recomputations)], "runs", note=f"{recomputations} s")
        )

    def _run(self, name: str, rate: float, request: Any, connections: int, seconds: float | None = None) -> Load:
        warehouse = psutil.Process(lifecycle.status(self._bench.settings).pid)
        processes = {"load": psutil.Process(), "API": self._process, "warehouse": warehouse}
        before = {each: _cpu(process) for each, process in processes.items()}
        progress(f"{name}: {rate:g} requests/s")
        load = run(self._port, rate, seconds or self._seconds, connections, request)
        cores = {each: round((_cpu(process) - before[each]) / load.seconds, 2) for each, process in processes.items()}
        self._report.details[name] = {
            "seconds": load.seconds,
            "statuses": dict(load.statuses),
            "began late": load.late,
            "cores used": cores,
            **{f"p{share * 100:g} ms": round(load.percentile(share), 2) for share in (0.5, 0.9, 0.99, 0.999, 1)},
        }
        self._report.sizes[name] = json.dumps(self._report.details[name])
        return load

    def _judge(self, name: str, load: Load, target: float, per_request: int) -> None:
        rate = load.rate * per_request
        # Taken at the rate at which they were sent, up to what the last answers took.
        figure = Figure.of(f"{name}, accepted a second", [rate], "1/s", note=f"sent: {target:g} a second")
        figure.target, figure.met = f">= {target * 0.99:,.0f} 1/s", rate >= target * 0.99
        figure.missed_by = "" if figure.met else f"{target / max(rate, 1):.2f} times"
        self._report.add(figure)
        for share in (0.5, 0.99):
            self._report.add(Figure.of(f"{name}, answered, p{share * 100:.0f}", [load.percentile(share)]))

    def _look_for(self, name: str, load: Load, *, per_request: int, offset: int = 0) -> None:
        first = [f"{offset + number * per_request:032x}" for number in load.accepted]
        sql = "SELECT lower(hex(UUIDToNum(event_id))) FROM events WHERE event_id >= {first:UUID} AND event_id < {end:UUID}"
        bounds = {"first": _uuid(offset), "end": _uuid(offset + (1 << 32))}
        rows = [text for (text,) in self._bench.database.query(sql, parameters=bounds).result_rows]
        stored = set(rows)
        if per_request == 1:
            lost = sum(event not in stored for event in first)
        else:
            ids = (int(event, 16) + step for event in first for step in range(per_request))
            lost = sum(f"{each:032x}" not in stored for each in ids)
        self._report.details["lost"] += lost
        note = f"{len(load.accepted) * per_request:,} accepted, {len(stored):,} stored, {len(rows) - len(stored)} twice"
        self._report.add(Figure.of(f"{name}: accepted and not stored", [lost], "events", note=note))

    def _warm(self, path: str, body: bytes) -> None:
        for _ in range(3):
            _ask(self._port, self._post(path, body))

    def _post(self, path: str, body: bytes) -> bytes:
        return f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _event(number: int) -> bytes:
    at = (START + timedelta(milliseconds=number % (1 << 31))).isoformat(timespec="milliseconds")
    payload = {**PAYLOAD, "order_id": f"o-{number % 10**9:09d}"}
    user = f"user-{number * 7919 % 100_000:07d}"
    event = {
        "user_id": user,
        "event_type": "order_placed",
        "occurred_at": at,
        "payload": payload,
        "event_id": _uuid(number),
    }
    return json.dumps(event).encode()


def _batch(number: int) -> bytes:
    return b'{"events": [' + b",".join(_event(number + step) for step in range(BATCH)) + b"]}"


def _uuid(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@contextmanager
def _recomputing(bench: Bench) -> Iterator[list[float]]:
    """Let another process compute all segments in full, again and again; yields the seconds each took."""
    took: list[float] = []
    environ = {**os.environ, "SEGOPS_HOME": str(bench.settings.home)}
    command = [*SEGOPS, "compute", bench.tenant, "--mode", "full"]
    script = "import subprocess, sys, time\nwhile True:\n    began = time.time()\n"
    script += f"    subprocess.run({command!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)\n"
    script += "    print(round(time.time() - began, 1), flush=True)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environ, start_new_session=True
    )
    try:
        time.sleep(2)
        yield took
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            child.kill()
        output, _ = process.communicate()
        took += [float(line) for line in output.split()]


@contextmanager
def _serving(settings: Settings) -> Iterator[tuple[int, psutil.Process]]:
    """`segops serve` in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "SEGOPS_HOME": str(settings.home)}
    command = [*SEGOPS, "serve", "--port", str(port)]
    log = (settings.home / "serve.log").open("ab")
    process = subprocess.Popen([*command, "--log-level", "warning"], env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the API did not start:\n{(settings.home / 'serve.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _ask(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        status = connection.recv(4096).split(b" ", 2)[1]
    if not status.startswith(b"2"):
        sys.exit(f"the API answers {status.decode()}")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default=PARTS, type=lambda text: tuple(text.split(",")), help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--seconds", default=60.0, type=float, help="of each load")
    parser.add_argument("--rate", default=1000.0, type=float, help="single events a second")
    parser.add_argument("--batch-rate", default=10_000.0, type=float, help="events a second in batches of 500")
    parser.add_argument("--checks", default=200.0, type=float, help="membership checks a second")
    parser.add_argument("--connections", default=500, type=int, help="of the load")
    parser.add_argument("--events", default=2_000_000, type=int, help="history under the membership checks")
    parser.add_argument("--users", default=100_000, type=int)
    parser.add_argument("--home", type=Path, help="keep the home")
    parser.add_argument("--json", type=Path, help="write everything here")
    found = parser.parse_args()
    unknown = set(found.only) - set(PARTS)
    if unknown:
        parser.error(f"--only: no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return found


if __name__ == "__main__":
    main()
