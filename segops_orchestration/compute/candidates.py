"""Whom a delta evaluates: the users whose answer can have changed since the last computation, and nobody else.

Each way to become a candidate is a *reason*: a new arrival, a time limit that swept over an event, a change in a
referenced segment. Segments have most reasons in common, so each distinct one is looked up once per computation,
numbered, and stored in the scratch table ``candidates`` under its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from segops_orchestration.catalog.records import CommittedSegment
from segops_orchestration.compiler.limits import DateLimit, TimeLimit, all_limits
from segops_orchestration.compiler.moved import born_users, crossing_events, dated_users, matches, of_types, swept_slice
from segops_orchestration.compiler.parameters import Parameters, ScopedParameters
from segops_orchestration.compiler.source import existing_users
from segops_orchestration.compiler.sql import indent, select
from segops_orchestration.compute.copying import copy_statements
from segops_orchestration.compute.needs import Needs, combined, needs_of, with_payloads
from segops_orchestration.compute.plan import PlannedWork
from segops_orchestration.compute.session import ComputeSession

# Reasons are looked up by so many statements at once, each of which makes a few passes at least.
LOOKUPS = 4
_LEAST_PASSES = 3


@dataclass(frozen=True)
class Arrived:
    """An event of the user arrived since then, and the user exists: has an event that is not in the future.

    Both conditions on arrivals say "since": the block number is exact in commit order whatever the clocks say; the time
    catches a sequence of blocks that began anew after every row of the table had expired. Existence is asked for here
    alone, since every other reason implies it.

    ``block`` None: no block has been committed since. Then arrivals need not be read for it; they have no other index
    than the time.
    """

    block: int | None
    at: datetime

    def users(self, parameters: ScopedParameters) -> str:
        since = f"ingested_at > {parameters.instant('at', self.at)}"
        if self.block is not None:
            since = f"_block_number > {parameters.unsigned('block', self.block)} OR {since}"
        arrived = f"user_id IN (\n{indent(select('user_id', 'arrivals', [since]))}\n)"
        return existing_users([arrived])


@dataclass(frozen=True)
class Born:
    """The user's first event came due since then."""

    at: datetime

    def users(self, parameters: ScopedParameters) -> str:
        return born_users(parameters.instant("from_at", self.at))


@dataclass(frozen=True)
class Swept:
    """A time limit passed over an event of the user since then."""

    limit: TimeLimit
    at: datetime

    def slice(self, parameters: ScopedParameters) -> str:
        return swept_slice(self.limit, parameters.instant("from_at", self.at), parameters)


@dataclass(frozen=True)
class Dated:
    """A time limit passed over a date in the payload of an event of the user since then."""

    limit: DateLimit
    at: datetime

    def users(self, parameters: ScopedParameters) -> str:
        return dated_users(self.limit, parameters.instant("from_at", self.at), parameters)


@dataclass(frozen=True)
class Referenced:
    """The user entered or left a referenced segment in a later computation than that one."""

    segment_ids: tuple[int, ...]
    computation_id: int

    def users(self, parameters: ScopedParameters) -> str:
        ids = [parameters.unsigned(f"segment{index}", id_) for index, id_ in enumerate(self.segment_ids)]
        where = [f"segment_id IN ({', '.join(ids)})"]
        where.append(f"computation_id > {parameters.unsigned('computation', self.computation_id)}")
        return select("user_id", "membership_changes", where)


Reason = Arrived | Born | Swept | Dated | Referenced


def reasons(work: PlannedWork, watermark_block: int) -> Iterator[Reason]:
    """All the ways in which the segment's answer for a user can have changed since its last computation.

    Args:
        watermark_block: the arrivals of this computation end there.
    """
    since = last_computation(work)
    block = None if since.watermark_block == watermark_block else since.watermark_block
    yield Arrived(block, since.watermark_at or since.at)
    yield Born(since.at)
    for limit in all_limits(work.definition):
        yield Swept(limit, since.at) if isinstance(limit, TimeLimit) else Dated(limit, since.at)
    if work.references:
        yield Referenced(work.references, since.computation_id)


class Candidates:
    """The candidates of one computation."""

    def __init__(self, session: ComputeSession, workers: Executor, watermark_block: int) -> None:
        self._session = session
        self._watermark_block = watermark_block
        self._workers = workers
        self._reasons_of: dict[int, Sequence[Reason]] = {}
        self._numbers: dict[Reason, int] = {}
        self._needs: dict[Reason, Needs] = {}
        # By the number of the reason, what has been copied because of it.
        self._copied: dict[int, Needs] = {}
        self._any_found = False

    @property
    def any_found(self) -> bool:
        """Whether anything is in the scratch tables."""
        return self._any_found

    def reason_numbers(self, work: PlannedWork) -> list[int]:
        """The numbers of the segment's reasons in the table ``candidates``."""
        return [self._numbers[reason] for reason in self._reasons(work)]

    def _reasons(self, work: PlannedWork) -> Sequence[Reason]:
        if work.segment.id not in self._reasons_of:
            self._reasons_of[work.segment.id] = tuple(reasons(work, self._watermark_block))
        return self._reasons_of[work.segment.id]

    def prepare(self, works: Sequence[PlannedWork]) -> None:
        """Look up all reasons of all levels that are there before anything is computed."""
        # A later level copies what is missing then; it must not find an event there without the payload that it needs.
        read_later: set[str] = set()
        for work in works:
            needs = needs_of(work.definition)
            if work.references:
                read_later |= {need.event_type for need in needs if need.payload}
            for reason in self._reasons(work):
                self._needs[reason] = combined(self._needs.get(reason, Needs()) | needs)
        self._needs = {reason: with_payloads(needs, read_later) for reason, needs in self._needs.items()}
        self._look_up(reason for work in works for reason in self._reasons(work) if not isinstance(reason, Referenced))

    def find(self, level: Sequence[PlannedWork]) -> dict[int, int]:
        """Complete the candidates of a level's segments and copy their events out; returns how many each has."""
        self._look_up(reason for work in level for reason in self._reasons(work))
        if len(self._copied) < len(self._numbers):
            extraction = self._workers.submit(self._extract)
            counts = self._count(level)
            extraction.result()
        else:
            counts = self._count(level)
        self._any_found = self._any_found or any(counts.values())
        return counts

    def _look_up(self, wanted: Iterable[Reason]) -> None:
        """Store the users of the reasons that are new."""
        new = [reason for reason in dict.fromkeys(wanted) if reason not in self._numbers]
        for reason in new:
            self._numbers[reason] = len(self._numbers) + 1
        list(self._workers.map(self._insert, _shared_out(_passes(new))))

    def _insert(self, passes: Sequence[Sequence[Reason]]) -> None:
        parameters = Parameters()
        union = "\nUNION ALL\n".join(self._pass(reasons, parameters) for reasons in passes)
        self._session.run(
            "INSERT INTO candidates (computation_id, reason, user_id)\n"
            f"SELECT DISTINCT {{computation_id:UInt64}}, reason, user_id FROM (\n{union}\n)",
            parameters.values,
        )

    def _pass(self, reasons: Sequence[Reason], parameters: Parameters) -> str:
        first = reasons[0]
        if isinstance(first, Swept):
            return self._swept([reason for reason in reasons if isinstance(reason, Swept)], parameters)
        number = self._numbers[first]
        return f"SELECT {number} AS reason, user_id FROM (\n{first.users(parameters.of(f'r{number}'))}\n)"

    def _swept(self, group: Sequence[Swept], parameters: Parameters) -> str:
        """One pass over events of the same types for all limits on them: planning costs more than reading."""
        slices: list[str] = []
        numbers: list[str] = []
        for reason in group:
            number = self._numbers[reason]
            own = parameters.of(f"r{number}")
            slices.append(f"({reason.slice(own)})")
            numbers.append(f"if({' AND '.join([slices[-1], *matches(reason.limit, own)])}, {number}, 0)")
        limit = group[0].limit
        of_these = of_types(limit.event_types, parameters.of(f"r{self._numbers[group[0]]}"))
        passed = f"arrayJoin(arrayFilter(number -> number > 0, [{', '.join(numbers)}])) AS reason"
        crossed = [of_these, f"({' OR '.join(slices)})"]
        return select([passed, "user_id"], *crossing_events(crossed, limit.has_filters))

    def _count(self, level: Sequence[PlannedWork]) -> dict[int, int]:
        columns = [f"uniqExactIf(user_id, reason IN ({_listed(self.reason_numbers(work))}))" for work in level]
        sql = f"SELECT {', '.join(columns)} FROM candidates WHERE computation_id = {{computation_id:UInt64}}"
        (row,) = self._session.rows(sql)
        return {work.segment.id: int(count) for work, count in zip(level, row, strict=True)}

    def _extract(self) -> None:
        """Copy the events that are needed because of new reasons and have not been copied because of earlier ones."""
        new = {number: self._needs[reason] for reason, number in self._numbers.items() if number not in self._copied}
        statements = list(copy_statements(new, self._copied))
        self._copied.update(new)
        list(self._workers.map(lambda one: self._session.run(one.sql, one.parameters), statements))


def _passes(reasons: Iterable[Reason]) -> list[list[Reason]]:
    """Limits that share a pass, because they are about events of the same types, side by side; others by themselves."""
    passes: dict[object, list[Reason]] = {}
    for reason in reasons:
        shared = (reason.limit.event_types, reason.limit.has_filters) if isinstance(reason, Swept) else reason
        passes.setdefault(shared, []).append(reason)
    return list(passes.values())


def _shared_out(passes: Sequence[Sequence[Reason]]) -> list[list[Sequence[Reason]]]:
    """The passes in as many statements as the server is given at once, of about the same weight each."""
    statements: list[list[Sequence[Reason]]] = [[] for _ in range(min(LOOKUPS, -(-len(passes) // _LEAST_PASSES)))]
    weights = [0] * len(statements)
    for weight, _, one in sorted(((_weight(one), -index, one) for index, one in enumerate(passes)), reverse=True):
        lightest = weights.index(min(weights))
        statements[lightest].append(one)
        weights[lightest] += weight
    return statements


def _weight(reasons: Sequence[Reason]) -> int:
    """How long a pass takes beside others: most of the time is planning, unless payloads are read."""
    reads_payloads = any(isinstance(reason, Swept) and reason.limit.has_filters for reason in reasons)
    return (4 if reads_payloads else 1) * (3 + len(reasons))


def last_computation(work: PlannedWork) -> CommittedSegment:
    """What the delta starts from. Raises ValueError when there is none, which the plan rules out."""
    if work.since is None:
        raise ValueError(f"segment {work.segment.slug} was never computed; it has no delta")
    return work.since


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
