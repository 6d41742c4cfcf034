"""Whom a delta evaluates: the users whose answer can have changed since the last computation, and nobody else.

Candidates are rows of the scratch table ``candidates`` under a *scope*. Users with new arrivals are the same for
all segments that were last computed together, so they have one scope per such baseline; users moved by time or by a
referenced segment have the scope of their segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segops_orchestration.catalog.records import CommittedSegment
from segops_orchestration.compiler.moved import compile_moved
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compute.plan import PlannedWork
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.models import Definition, EventSequence
from segops_orchestration.dsl.references import iter_conditions

# Segment scopes begin where baseline scopes never reach.
_SEGMENT_SCOPES = 1 << 32

_INSERT = "INSERT INTO candidates (computation_id, scope, user_id)\n"

# Both conditions say "arrived since": the block number is exact in commit order whatever the clocks say, the time
# catches a sequence that began anew after every row of the table had expired.
_ARRIVED = f"""{_INSERT}SELECT DISTINCT {{computation_id:UInt64}}, {{scope:UInt64}}, user_id
FROM arrivals
WHERE _block_number > {{since_block:UInt64}} OR ingested_at > {{since_at:DateTime64(3, 'UTC')}}"""

_REFERENCED_CHANGED = """SELECT user_id
FROM membership_changes
WHERE segment_id IN {references:Array(UInt64)}
  AND computation_id > {since_computation:UInt64}"""

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
      WHERE computation_id = {{computation_id:UInt64}} AND scope IN {{scopes:Array(UInt64)}}
        AND user_id NOT IN (
          SELECT user_id FROM candidate_events WHERE computation_id = {{computation_id:UInt64}}
        )
    )
)
GROUP BY event_type, user_id, occurred_at, event_id"""


class Candidates:
    """The candidates of one computation, found level by level."""

    def __init__(self, session: ComputeSession, event_types: frozenset[str] | None) -> None:
        """``event_types`` are those that any segment of the computation reads, None for all."""
        self._session = session
        self._event_types = event_types
        self._baselines: dict[tuple[int, object], int] = {}

    def scopes(self, work: PlannedWork) -> list[int]:
        """The scopes whose users are the segment's candidates."""
        return [self._baselines[_baseline(_since(work))], _SEGMENT_SCOPES + work.segment.id]

    def find(self, level: Sequence[PlannedWork]) -> dict[int, int]:
        """Find the candidates of a level's segments and copy their events out; returns how many each has."""
        for work in level:
            self._find_arrived(_since(work))
            self._find_moved(work)
        counts = self._count(level)
        if any(counts.values()):
            self._extract([scope for work in level for scope in self.scopes(work)])
        return counts

    def _find_arrived(self, since: CommittedSegment) -> None:
        key = _baseline(since)
        if key in self._baselines:
            return
        self._baselines[key] = len(self._baselines) + 1
        parameters = {
            "scope": self._baselines[key],
            "since_block": since.watermark_block,
            "since_at": instant_text(since.watermark_at or since.at),
        }
        self._session.run(_ARRIVED, parameters)

    def _find_moved(self, work: PlannedWork) -> None:
        since = _since(work)
        moved = compile_moved(work.definition)
        selects = [moved.sql]
        parameters: dict[str, object] = {
            **moved.parameters,
            "scope": _SEGMENT_SCOPES + work.segment.id,
            "from_at": instant_text(since.at),
        }
        if work.references:
            selects.append(_REFERENCED_CHANGED)
            parameters["references"] = list(work.references)
            parameters["since_computation"] = since.computation_id
        union = "\nUNION ALL\n".join(selects)
        insert = f"{_INSERT}SELECT DISTINCT {{computation_id:UInt64}}, {{scope:UInt64}}, user_id\nFROM (\n{union}\n)"
        self._session.run(insert, parameters, segment=work.segment.slug)

    def _count(self, level: Sequence[PlannedWork]) -> dict[int, int]:
        columns = ", ".join(f"uniqExactIf(user_id, scope IN ({_listed(self.scopes(work))}))" for work in level)
        sql = f"SELECT {columns} FROM candidates WHERE computation_id = {{computation_id:UInt64}}"
        (row,) = self._session.rows(sql)
        return {work.segment.id: int(count) for work, count in zip(level, row, strict=True)}

    def _extract(self, scopes: Iterable[int]) -> None:
        parameters: dict[str, object] = {"scopes": sorted(set(scopes))}
        of_types = ""
        if self._event_types is not None:
            of_types = "AND event_type IN {event_types:Array(String)}"
            parameters["event_types"] = sorted(self._event_types)
        self._session.run(_EXTRACT.format(of_types=of_types), parameters)


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


def _since(work: PlannedWork) -> CommittedSegment:
    if work.since is None:
        raise ValueError(f"segment {work.segment.slug} was never computed; it has no delta")
    return work.since


def _baseline(since: CommittedSegment) -> tuple[int, object]:
    return since.watermark_block, since.watermark_at


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
