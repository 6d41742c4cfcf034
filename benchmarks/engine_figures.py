"""The figures of ``engine.py``, each measured beside its baseline."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from bare import count_query, members_query
from engine_data import History, draw, generate, touch
from measuring import Bench, Figure, Report, Spent, Statements, progress, timed

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument

CHANGED_USERS = 1000
GROWTH = 10
_MINUTE, _QUARTER = 60, 900


@dataclass
class Measured:
    """What later figures compare themselves with, in milliseconds."""

    full: float | None = None
    delta: float | None = None
    salt: int = 0
    bare: dict[str, list[Spent]] = field(default_factory=dict)


class Engine:
    """Measures one tenant."""

    def __init__(
        self, bench: Bench, history: History, documents: Mapping[str, Any], report: Report, repeats: int
    ) -> None:
        self.bench = bench
        self.history = history
        self.documents = documents
        self.report = report
        self.repeats = repeats
        self.measured = Measured()

    def full(self, *, profile: bool) -> None:
        """Everybody enters; then the ordinary recomputation, beside one bare scan for each segment."""
        first, _ = self.bench.compute("full", seconds=0)
        self.report.add(Figure.of_spent("first full computation, everybody enters", [first], "s"))
        statements, full, results = Statements(), [], []
        for index in range(self.repeats):
            progress(f"full {index + 1} of {self.repeats}")
            with statements.listening():
                spent, result = self.bench.compute("full", seconds=1)
            full.append(spent)
            results.append(result)
            self._bare_scans(result)
        bare = [self._median(of.time for of in each) for each in self.measured.bare.values()]
        bare_cpu = [self._median(of.cpu for of in each) for each in self.measured.bare.values()]
        self.measured.full = self._median(one.time for one in full)
        name = f"full recompute of {len(self.documents)} segments"
        ratio = f"server CPU beside bare {self._median(one.cpu for one in full) / sum(bare_cpu):.2f}x"
        self.report.add(
            Figure.of_spent(name, full, "s").at_most(60),
            Figure.of_spent(f"{name}, beside bare", full, "s", note=ratio)
            .beside("bare scans, sum", sum(bare) / 1000)
            .ratio_at_most(1.5),
        )
        self._segment_profile(results)
        if profile:
            self.report.details["statements of full"] = statements.slowest()

    @staticmethod
    def _median(values: Iterable[float]) -> float:
        return statistics.median(values)

    def _bare_scans(self, result: ComputationResult) -> None:
        members = {segment.slug: segment.members for segment in result.segments}
        for slug, document in self.documents.items():
            progress(f"bare scan of {slug}")
            query = count_query(document, self.documents)
            spent, answer = self.bench.timed(lambda: self.bench.database.query(query, {"at": instant_text(result.at)}))  # noqa: B023
            self.measured.bare.setdefault(slug, []).append(spent)
            found = answer.result_rows[0][0]
            if found != members[slug]:
                difference = f"{members[slug]:,} members, but the bare query counts {found:,}: {query}"
                self.report.details.setdefault("disagreements", {})[slug] = difference

    def _segment_profile(self, results: list[ComputationResult]) -> None:
        rows = []
        for one in results[-1].segments:
            spent = statistics.median(
                segment.milliseconds for result in results for segment in result.segments if segment.slug == one.slug
            )
            bare = self._median(each.time for each in self.measured.bare[one.slug])
            rows.append({"segment": one.slug, "members": one.members, "full": spent, "bare": round(bare),
                         "ratio": round(spent / max(bare, 0.1), 2), "rows_read": one.rows_read})  # fmt: skip
        self.report.details["segments"] = sorted(rows, key=lambda row: row["bare"] - row["full"])

    def delta(self, *, profile: bool) -> None:
        """New events of a thousand users; nothing; time alone."""
        self._ready()
        statements = Statements()
        evenly, active, nothing, time_alone, candidates = [], [], [], [], []
        for index in range(self.repeats):
            progress(f"delta {index + 1} of {self.repeats}")
            with statements.listening():
                spent, result = self._changed(evenly=True)
            evenly.append(spent)
            candidates.append(max(segment.candidates or 0 for segment in result.segments))
            active.append(self._changed(evenly=False)[0])
            nothing.append(self.bench.compute("delta", seconds=0.001)[0])
            time_alone.append(self.bench.compute("delta", seconds=_QUARTER)[0])
        self.measured.delta = self._median(one.time for one in evenly)
        figure = Figure.of_spent(
            f"delta, {CHANGED_USERS:,} users with new events", evenly, note=f"candidates: {candidates}"
        )
        self.report.add(figure.at_most(2000))
        if self.measured.full:
            figure = Figure.of_spent("the same, beside a full recompute", evenly).beside(
                "full recompute", self.measured.full
            )
            self.report.add(figure.ratio_at_most(1 / 20))
        self.report.add(
            Figure.of_spent(f"delta, {CHANGED_USERS:,} users drawn by activity", active),
            Figure.of_spent("delta of nothing", nothing),
            Figure.of_spent("delta of time alone, 15 minutes", time_alone).at_most(2000),
        )
        if profile:
            self.report.details["statements of delta"] = statements.slowest()

    def _ready(self) -> None:
        """Computed up to the newest event."""
        self.bench.compute("delta", seconds=1)

    def batch(self) -> None:
        """What a batch engine does for the same change: all members of all segments anew."""
        self.bench.database.command(
            "CREATE OR REPLACE TABLE batch_members (segment String, user_id String)"
            " ENGINE = MergeTree ORDER BY (segment, user_id)"
        )
        if self.measured.delta is None:
            self._ready()
            self.measured.delta = self._changed(evenly=True)[0].time

        def recompute() -> None:
            for slug, document in self.documents.items():
                progress(f"batch engine: {slug}")
                self.bench.database.command(
                    "INSERT INTO batch_members SELECT {slug:String}, user_id"
                    f" FROM ({members_query(document, self.documents)})",
                    {"slug": slug, "at": instant_text(self.bench.at)},
                )

        spent, _ = timed(recompute)
        self.bench.database.command("DROP TABLE batch_members")
        figure = Figure.of("delta, beside a batch engine's recompute", [self.measured.delta])
        self.report.add(figure.beside("batch: members of all written anew", spent, inverse=True).ratio_at_least(20))

    def growth(self) -> None:
        """The same change of the same users, on a tenth of the history."""
        small = Bench(self.bench.settings, "bench_small")
        prepare(small, self.history, self.documents, every=GROWTH)
        small.compute("full", seconds=0)
        self._ready()
        little, much = [], []
        for _ in range(self.repeats):
            self.measured.salt += 1
            # Drawn from the small history, so that both have all of them.
            users = draw(small.database, self.history, users=CHANGED_USERS, salt=self.measured.salt, evenly=True)
            for bench, found in ((small, little), (self.bench, much)):
                found.append(self._with_news(users, bench)[0])
        small.catalog.close()
        small.warehouse.close()
        events = self.history.events
        figure = Figure.of_spent(f"delta, history of {events:,} events", much)
        figure.beside(
            f"{events // GROWTH:,} events, same change", self._median(one.time for one in little)
        ).ratio_at_most(1.5)
        self.report.add(figure)

    def _changed(self, *, evenly: bool) -> tuple[Spent, ComputationResult]:
        """A minute passes, in which each of a thousand users has a new event."""
        self.measured.salt += 1
        users = draw(self.bench.database, self.history, users=CHANGED_USERS, salt=self.measured.salt, evenly=evenly)
        return self._with_news(users, self.bench)

    def _with_news(self, users: list[str], bench: Bench) -> tuple[Spent, ComputationResult]:
        touch(bench.database, users, at=bench.at + timedelta(seconds=_MINUTE), salt=self.measured.salt)
        return bench.compute("delta", seconds=_MINUTE)


def prepare(bench: Bench, history: History, documents: Mapping[str, Any], *, every: int = 1) -> float | None:
    """A tenant with the history and the segments. Returns the seconds that the events took, None if they are there."""
    bench.database.migrate()
    if bench.tenant not in {tenant.slug for tenant in bench.catalog.list_tenants()}:
        bench.catalog.create_tenant(bench.tenant)
    migrations = bench.database.query("SELECT arraySort(groupArray(version)) FROM schema_migrations").result_rows[0][0]
    manifest = bench.settings.home / f"{bench.tenant}.json"
    wanted = {**asdict(history), "until": history.until.isoformat(), "every": every}
    found = json.loads(manifest.read_text()) if manifest.exists() else {}
    seconds = None
    if {key: found.get(key) for key in wanted} != wanted:
        bench.database.drop()
        bench.database.migrate()
        seconds = _load(bench, history, every)
        manifest.write_text(json.dumps({**wanted, "migrations": list(migrations)}))
    elif later := sorted(set(migrations) - set(found["migrations"])):
        progress(f"{bench.tenant}: generated before migrations {later}; remove {manifest} to generate anew\n")
    _save(bench, documents)
    committed = bench.catalog.committed_state(bench.tenant)
    bench.at = max([history.until, *(one.at for one in committed.values())])
    return seconds


def _load(bench: Bench, history: History, every: int) -> float:
    def load() -> None:
        for rows in generate(bench.database, history, every=every):
            progress(f"generating {rows:,} of {history.events // every:,} events")

    return timed(load)[0] / 1000


def _save(bench: Bench, documents: Mapping[str, Any]) -> None:
    """The tenant's segments."""
    bench.catalog.save_segments(
        bench.tenant,
        [
            SegmentDocument(slug=slug, name=slug, definition=parse_definition(document))
            for slug, document in documents.items()
        ],
    )
