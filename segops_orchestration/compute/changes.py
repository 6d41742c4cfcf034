"""From the evaluated answer to stored memberships: stage the difference, then apply it.

Both steps are INSERT ... SELECT inside ClickHouse. What is staged is written to ``membership_changes`` first, so that
applying it can be repeated after a crash with the same outcome, and no change is recorded twice or lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.segment import CompiledQuery, compile_members
from segops_orchestration.compiler.source import CANDIDATES, EVERYONE, ONE_BUCKET, Source
from segops_orchestration.compute.plan import PlannedWork, Resolver
from segops_orchestration.compute.session import ComputeSession

_STAGE = """INSERT INTO membership_changes (segment_id, computation_id, user_id, change, computed_at)
SELECT
  {{segment_id:UInt64}}, {{computation_id:UInt64}}, user_id, if(is_in > 0, 'entered', 'exited'),
  {{at:DateTime64(3, 'UTC')}}
FROM (
  SELECT user_id, sum(now_in) AS is_in, sum(was_in) AS was
  FROM (
    SELECT user_id, 1 AS now_in, 0 AS was_in FROM (
{members}
    )
    UNION ALL
    SELECT user_id, 0 AS now_in, 1 AS was_in FROM segment_memberships FINAL
    WHERE {current}
  )
  GROUP BY user_id
)
WHERE is_in != was"""

_APPLY = """INSERT INTO segment_memberships (segment_id, user_id, computed_at, version, is_deleted)
SELECT segment_id, user_id, computed_at, {membership_version:UInt64}, change = 'exited'
FROM membership_changes
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}"""

_COUNT_CHANGES = """SELECT segment_id, countIf(change = 'entered'), countIf(change = 'exited')
FROM membership_changes
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}
GROUP BY segment_id"""

_COUNT_MEMBERS = """SELECT segment_id, count()
FROM segment_memberships FINAL
WHERE segment_id IN {segment_ids:Array(UInt64)}
GROUP BY segment_id"""

_FORGET = """ALTER TABLE membership_changes DELETE
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}"""


def stage_full(session: ComputeSession, work: PlannedWork, resolver: Resolver, buckets: int) -> int:
    """Evaluate every user, one bucket after another, and write down who enters and who exits; returns rows read."""
    if buckets == 1:
        return _stage(session, work, compile_members(work.definition, EVERYONE, resolver.id), EVERYONE, {})
    query = compile_members(work.definition, ONE_BUCKET, resolver.id)
    return sum(
        _stage(session, work, query, ONE_BUCKET, {"bucket": bucket, "buckets": buckets}) for bucket in range(buckets)
    )


def stage_delta(session: ComputeSession, work: PlannedWork, resolver: Resolver, reasons: Sequence[int]) -> int:
    """The same for the candidates that ``reasons`` number, alone."""
    query = compile_members(work.definition, CANDIDATES, resolver.id)
    return _stage(session, work, query, CANDIDATES, {"reasons": list(reasons)})


def _stage(
    session: ComputeSession, work: PlannedWork, query: CompiledQuery, source: Source, bound: dict[str, object]
) -> int:
    current = " AND ".join(["segment_id = {segment_id:UInt64}", *source.user_filters])
    sql = _STAGE.format(members=query.sql, current=current)
    parameters = {**query.parameters, **bound, "segment_id": work.segment.id}
    return session.run(sql, parameters, segment=work.segment.slug)


def count_changes(session: ComputeSession, segment_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many entered and exited by what is staged, for the segments with any change."""
    rows = session.rows(_COUNT_CHANGES, {"segment_ids": list(segment_ids)})
    return {segment_id: (entered, exited) for segment_id, entered, exited in rows}


def apply_changes(session: ComputeSession, segment_ids: Sequence[int]) -> None:
    """Make the staged changes the members. Repeating it changes nothing."""
    session.run(_APPLY, {"segment_ids": list(segment_ids)})


def count_members(session: ComputeSession, segment_ids: Sequence[int]) -> dict[int, int]:
    """How many members the segments have now, for those with any."""
    return dict(session.rows(_COUNT_MEMBERS, {"segment_ids": list(segment_ids)}))


def forget_changes(session: ComputeSession, segment_ids: Sequence[int]) -> None:
    """Take back what was staged and never will be applied."""
    if count_changes(session, segment_ids):
        session.run(_FORGET + " SETTINGS mutations_sync = 2", {"segment_ids": list(segment_ids)})
