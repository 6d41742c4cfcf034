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
from segops_orchestration.compiler.moved import TimeLimit, all_time_limits, born_users, swept_users
from segops_orchestration.compiler.parameters import Parameters, ScopedParameters
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compiler.sql import select
from segops_orchestration.compute.plan import PlannedWork
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.models import Definition, EventSequence
from segops_orchestration.dsl.references import iter_conditions

# Reasons looked up by one statement.
_REASONS_PER_INSERT = 10

_NOT_EXTRACTED = "user_id NOT IN (SELECT user_id FROM candidate_events WHERE computation_id = {computation_id:UInt64})"

# Of several deliveries of an event the first one counts.
_EXTRACT = """INSERT INTO candidate_events
    (computation_id, event_id, user_id, event_type, occurred_at, ingested_at, payload)
SELECT
  {{computation_id:UInt64}}, event_id, user_id, event_type, occurred_at, min(arrived_at), argMin(payload, arrived_at)
FROM (
  SELECT event_id, user_id, event_type, occurred_at, ingested_at AS arrived_at, payload
  FROM events
  WHERE occurred_at <= {{at:DateTime64(3, 'UTC')}}
    {of_types}
    AND user_id IN (
      SELECT user_id FROM candidates
      WHERE computation_id = {{computation_id:UInt64}} AND reason IN {{reasons:Array(UInt64)}}
        AND {not_extracted}
    )
)
GROUP BY event_type, user_id, occurred_at, event_id"""


@dataclass(frozen=True)
class Arrived:
    """An event of the user arrived since then.

    Both conditions say so: the block number is exact in commit order whatever the clocks say; the time catches a
    sequence of blocks that began anew after every row of the table had expired.
    """

    block: int
    at: datetime

    def users(self, parameters: ScopedParameters) -> str:
        since = [f"_block_number > {parameters.unsigned('block', self.block)}"]
        since.append(f"ingested_at > {parameters.instant('at', self.at)}")
        return select("user_id", "arrivals", [" OR ".join(since)])


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

    def users(self, parameters: ScopedParameters) -> str:
        return swept_users(self.limit, parameters.instant("from_at", self.at), parameters)


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


Reason = Arrived | Born | Swept | Referenced


def reasons(work: PlannedWork) -> Iterator[Reason]:
    """All the ways in which the segment's answer for a user can have changed since its last computation."""
    since = last_computation(work)
    yield Arrived(since.watermark_block, since.watermark_at or since.at)
    yield Born(since.at)
    for limit in all_time_limits(work.definition):
        yield Swept(limit, since.at)
    if work.references:
        yield Referenced(work.references, since.computation_id)


class Candidates:
    """The candidates of one computation, found level by level."""

    def __init__(self, session: ComputeSession, workers: Executor, event_types: frozenset[str] | None) -> None:
        """``event_types`` are those that any segment of the computation reads, None for all."""
        self._session = session
        self._workers = workers
        self._event_types = event_types
        self._numbers: dict[Reason, int] = {}

    def reason_numbers(self, work: PlannedWork) -> list[int]:
        """The numbers of the segment's reasons in the table ``candidates``."""
        return [self._numbers[reason] for reason in reasons(work)]

    def find(self, level: Sequence[PlannedWork]) -> dict[int, int]:
        """Find the candidates of a level's segments and copy their events out; returns how many each has."""
        new = [reason for work in level for reason in reasons(work) if reason not in self._numbers]
        for reason in dict.fromkeys(new):
            self._numbers[reason] = len(self._numbers) + 1
        unseen = list(dict.fromkeys(new))
        batches = [unseen[i : i + _REASONS_PER_INSERT] for i in range(0, len(unseen), _REASONS_PER_INSERT)]
        list(self._workers.map(self._look_up, batches))
        counts, not_extracted = self._count(level)
        if not_extracted:
            self._extract({number for work in level for number in self.reason_numbers(work)})
        return counts

    def _look_up(self, batch: Sequence[Reason]) -> None:
        parameters = Parameters()
        selects = [
            f"SELECT {self._numbers[reason]} AS reason, user_id FROM (\n"
            f"{reason.users(parameters.of(f'r{self._numbers[reason]}'))}\n)"
            for reason in batch
        ]
        union = "\nUNION ALL\n".join(selects)
        self._session.run(
            "INSERT INTO candidates (computation_id, reason, user_id)\n"
            f"SELECT DISTINCT {{computation_id:UInt64}}, reason, user_id FROM (\n{union}\n)",
            parameters.values,
        )

    def _count(self, level: Sequence[PlannedWork]) -> tuple[dict[int, int], int]:
        """How many candidates each segment has, and how many have no events copied out yet."""
        columns = [f"uniqExactIf(user_id, reason IN ({_listed(self.reason_numbers(work))}))" for work in level]
        numbers = {number for work in level for number in self.reason_numbers(work)}
        columns.append(f"countIf(reason IN ({_listed(sorted(numbers))}) AND {_NOT_EXTRACTED})")
        sql = f"SELECT {', '.join(columns)} FROM candidates WHERE computation_id = {{computation_id:UInt64}}"
        (row,) = self._session.rows(sql)
        counts = {work.segment.id: int(count) for work, count in zip(level, row[:-1], strict=True)}
        return counts, int(row[-1])

    def _extract(self, numbers: Iterable[int]) -> None:
        parameters: dict[str, object] = {"reasons": sorted(numbers)}
        of_types = ""
        if self._event_types is not None:
            of_types = "AND event_type IN {event_types:Array(String)}"
            parameters["event_types"] = sorted(self._event_types)
        self._session.run(_EXTRACT.format(of_types=of_types, not_extracted=_NOT_EXTRACTED), parameters)


def event_types_read(definitions: Iterable[Definition]) -> frozenset[str] | None:
    """The event types that evaluating these definitions needs; None when that is all of them."""
    found = {IDENTIFICATION}
    for definition in definitions:
        for condition in iter_conditions(definition):
            if isinstance(condition, EventSequence):
                if condition.strict:
                    return None
                found.update(condition.events)
            event_type = getattr(condition, "event_type", None)
            if event_type is not None:
                found.add(event_type)
    return frozenset(found)


def last_computation(work: PlannedWork) -> CommittedSegment:
    """What the delta starts from. Raises ValueError when there is none, which the plan rules out."""
    if work.since is None:
        raise ValueError(f"segment {work.segment.slug} was never computed; it has no delta")
    return work.since


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
