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
from segops_orchestration.compute.needs import Needs, is_needed, needs_of
from segops_orchestration.compute.plan import PlannedWork
from segops_orchestration.compute.session import ComputeSession, split_evenly

# Reasons looked up by one statement.
_REASONS_PER_INSERT = 20

# Of several deliveries of an event the first one counts.
_EXTRACT = """INSERT INTO candidate_events
    (computation_id, event_id, user_id, event_type, occurred_at, ingested_at, payload)
SELECT
  {{computation_id:UInt64}}, event_id, user_id, event_type, occurred_at, min(arrived_at), argMin(payload, arrived_at)
FROM (
  SELECT event_id, user_id, event_type, occurred_at, ingested_at AS arrived_at, payload
  FROM events_by_user
  WHERE occurred_at <= {{at:DateTime64(3, 'UTC')}}
    AND user_id IN (
      SELECT user_id FROM candidates WHERE computation_id = {{computation_id:UInt64}} AND reason IN ({reasons})
    )
    AND {is_needed}
)
GROUP BY event_type, user_id, occurred_at, event_id"""


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
        for work in works:
            needs = needs_of(work.definition)
            for reason in self._reasons(work):
                self._needs[reason] = self._needs.get(reason, Needs()) | needs
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
        # Limits on the same event types side by side: they share a pass.
        new.sort(key=lambda reason: reason.limit.event_types if isinstance(reason, Swept) else ())
        for reason in new:
            self._numbers[reason] = len(self._numbers) + 1
        list(self._workers.map(self._insert, split_evenly(new, _REASONS_PER_INSERT)))

    def _insert(self, batch: Sequence[Reason]) -> None:
        parameters = Parameters()
        selects = [
            f"SELECT {self._numbers[reason]} AS reason, user_id FROM (\n"
            f"{reason.users(parameters.of(f'r{self._numbers[reason]}'))}\n)"
            for reason in batch
            if not isinstance(reason, Swept)
        ]
        swept: dict[tuple[tuple[str, ...], bool], list[Swept]] = {}
        for reason in batch:
            if isinstance(reason, Swept):
                swept.setdefault((reason.limit.event_types, reason.limit.has_filters), []).append(reason)
        selects += [self._swept(group, parameters) for group in swept.values()]
        union = "\nUNION ALL\n".join(selects)
        self._session.run(
            "INSERT INTO candidates (computation_id, reason, user_id)\n"
            f"SELECT DISTINCT {{computation_id:UInt64}}, reason, user_id FROM (\n{union}\n)",
            parameters.values,
        )

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
        parameters = Parameters()
        needed = is_needed(new, parameters.of("new"))
        if self._copied:
            needed += f" AND NOT {is_needed(self._copied, parameters.of('copied'))}"
        self._copied.update(new)
        self._session.run(_EXTRACT.format(reasons=_listed(new), is_needed=needed), parameters.values)


def last_computation(work: PlannedWork) -> CommittedSegment:
    """What the delta starts from. Raises ValueError when there is none, which the plan rules out."""
    if work.since is None:
        raise ValueError(f"segment {work.segment.slug} was never computed; it has no delta")
    return work.since


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
