"""What the benchmarks share: time, machine, memory, a tenant in a home of its own, and figures beside their targets."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded import lifecycle

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds, and what the work returned."""
    started = time.perf_counter()
    result = work()
    return (time.perf_counter() - started) * 1000, result


class Spent(NamedTuple):
    """Milliseconds: by the clock, and of the embedded server's processor."""

    time: float
    cpu: float


def machine() -> str:
    """What this ran on."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def progress(text: str) -> None:
    """Tell what is going on, on one line of stderr."""
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def most_memory(pid: int) -> int | None:
    """The most bytes of memory that a process ever held (VmHWM), None when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


class Bench:
    """A tenant in a home of its own. ``at`` is the instant of its last computation; time moves when told to."""

    def __init__(self, settings: Settings, tenant: str = "bench") -> None:
        self.settings = settings
        self.tenant = tenant
        self.warehouse = Warehouse.connect(settings)
        self.catalog = Catalog.open(settings)
        self.at = datetime.now(UTC)
        self._most_memory = 0

    @property
    def database(self) -> TenantWarehouse:
        return self.warehouse.tenant(self.tenant)

    def compute(self, mode: Any, *, seconds: float | None = None) -> tuple[Spent, ComputationResult]:
        """Compute ``seconds`` after the last instant; without them, now."""
        self.at = datetime.now(UTC) if seconds is None else self.at + timedelta(seconds=seconds)
        return self.timed(lambda: compute(self.catalog, self.warehouse, self.tenant, mode=mode, at=self.at))

    def warehouse_memory(self) -> int:
        """The most bytes that the embedded server ever held, or the ones before it."""
        pid = lifecycle.status(self.settings).pid
        self._most_memory = max(self._most_memory, most_memory(pid) or 0 if pid else 0)
        return self._most_memory

    def cpu(self) -> float:
        """Milliseconds of processor that the embedded server has used. On a busy machine these tell more than time."""
        pid = lifecycle.status(self.settings).pid
        if pid is None:
            return 0.0
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system) * 1000

    def timed(self, work: Callable[[], T]) -> tuple[Spent, T]:
        """What the work took, of time and of the server's processor."""
        before = self.cpu()
        milliseconds, result = timed(work)
        return Spent(milliseconds, self.cpu() - before), result

    def reconnect(self) -> None:
        """Go on after somebody stopped the embedded server."""
        self.warehouse.close()
        self.warehouse = Warehouse.connect(self.settings)

    def close(self) -> None:
        self.catalog.close()
        self.warehouse.close()
        lifecycle.stop(self.settings)


@dataclass
class Figure:
    """One line of the report: what was measured beside what it is compared with.

    ``ratio`` is value / baseline (or baseline / value where ``inverse``); ``missed_by`` is 0 when the target is met.
    """

    name: str
    value: float
    unit: str
    raw: list[float] = field(default_factory=list)
    baseline: str = ""
    baseline_value: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    missed_by: str = ""
    note: str = ""

    @classmethod
    def of_spent(cls, name: str, spent: Sequence[Spent], unit: str = "ms", *, note: str = "") -> Figure:
        """The median time; the server's processor time is noted."""
        factor = 1000 if unit == "s" else 1
        cpu = statistics.median(one.cpu for one in spent) / factor
        noted = "; ".join(filter(None, [f"server CPU {cpu:,.{0 if cpu >= 10 else 2}f} {unit}", note]))
        return cls.of(name, [one.time / factor for one in spent], unit, note=noted)

    @classmethod
    def of(cls, name: str, raw: Sequence[float], unit: str = "ms", **more: Any) -> Figure:
        """The median of several measurements."""
        return cls(name, statistics.median(raw), unit, [round(value, 3) for value in raw], **more)

    def at_most(self, limit: float) -> Figure:
        """Judge the value itself."""
        return self._judged(f"< {limit:,g} {self.unit}", self.value < limit, self.value / limit)

    def beside(self, name: str, value: float, *, inverse: bool = False) -> Figure:
        """Put the baseline next to it."""
        self.baseline, self.baseline_value = name, value
        self.ratio = value / self.value if inverse else self.value / value
        return self

    def ratio_at_most(self, limit: float) -> Figure:
        return self._judged(f"<= {limit:.3g}x", (self.ratio or 0) <= limit, (self.ratio or 0) / limit)

    def ratio_at_least(self, limit: float) -> Figure:
        return self._judged(f">= {limit:.3g}x", (self.ratio or 0) >= limit, limit / (self.ratio or 1e-9))

    def _judged(self, target: str, met: bool, excess: float) -> Figure:
        self.target, self.met = target, met
        self.missed_by = "" if met else f"{excess:.2f} times"
        return self


@dataclass
class Report:
    """Everything that one run of a benchmark found out."""

    title: str
    machine: str
    versions: dict[str, str]
    sizes: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, *figures: Figure) -> None:
        self.figures += figures
        for one in figures:
            progress(f"{_row(one)}\n")

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]

    def as_document(self) -> dict[str, Any]:
        return asdict(self)

    def print(self) -> None:
        print(f"\n{self.title}\n{self.machine}; " + ", ".join(f"{key} {value}" for key, value in self.versions.items()))
        for key, value in self.sizes.items():
            print(f"  {key}: {value:,}" if isinstance(value, int) else f"  {key}: {value}")
        print(f"\n{'figure':46}{'value':>13}  {'ratio':>9}  {'target':>13}  ")
        for one in self.figures:
            print(_row(one))
            if one.baseline:
                print(f"{'':4}baseline: {one.baseline}, {_short(one.baseline_value or 0)} {one.unit}")
            if len(one.raw) > 1:
                print(
                    f"{'':4}raw: {', '.join(f'{value:,.0f}' if value >= 10 else f'{value:,.2f}' for value in one.raw)}"
                )
            if one.note:
                print(f"{'':4}{one.note}")
        print(f"\n{len(self.missed)} of {sum(one.met is not None for one in self.figures)} targets missed")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:,.2f}"


def _row(one: Figure) -> str:
    value = f"{_short(one.value)} {one.unit}"
    ratio = "" if one.ratio is None else f"{one.ratio:,.3g}x"
    verdict = {None: "", True: "met", False: f"MISSED by {one.missed_by}"}[one.met]
    return f"{one.name:46}{value:>13}  {ratio:>9}  {one.target:>13}  {verdict}"


class Statements:
    """Which statements took how long, while it is entered: of all tenants' commands and queries of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        originals = {name: getattr(TenantWarehouse, name) for name in ("command", "query")}
        for name, original in originals.items():
            setattr(TenantWarehouse, name, self._timing(original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(TenantWarehouse, name, original)

    def _timing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(warehouse: TenantWarehouse, sql: str, *rest: Any, **named: Any) -> Any:
            milliseconds, result = timed(lambda: original(warehouse, sql, *rest, **named))
            with self._lock:
                self._found[phase(sql)].append(milliseconds)
            return result

        return call

    def slowest(self) -> list[dict[str, Any]]:
        """Total and longest by phase, the largest total first."""
        rows = [
            {"phase": name, "statements": len(times), "milliseconds": round(sum(times)), "longest": round(max(times))}
            for name, times in self._found.items()
        ]
        return sorted(rows, key=lambda row: -int(row["milliseconds"]))


_PHASES = {
    "INSERT INTO membership_changes": "stage: evaluate, compare, write changes",
    "INSERT INTO segment_memberships": "apply changes",
    "INSERT INTO candidates": "look up candidates",
    "INSERT INTO candidate_events": "copy events of candidates",
    "TRUNCATE": "empty scratch",
}


def phase(sql: str) -> str:
    """What a statement of a computation is for."""
    text = " ".join(sql.split())
    for start, name in _PHASES.items():
        if text.startswith(start):
            return name
    if text.startswith("SELECT") and "FROM membership_changes" in text:
        return "count changes"
    if text.startswith("SELECT") and "FROM segment_memberships" in text:
        return "count members"
    if text.startswith("SELECT") and "FROM candidates" in text:
        return "count candidates"
    return text[:60]
