"""From the evaluated answer to the difference from the stored memberships, which is staged to be applied later.

An INSERT ... SELECT inside ClickHouse. What is staged is written to ``membership_changes`` first, so that applying it
can be repeated after a crash with the same outcome, and no change is recorded twice or lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segops_orchestration.compiler.segment import CompiledQuery, compile_members, compile_predicate, with_sets
from segops_orchestration.compiler.source import CANDIDATES, EVERYONE, ONE_BUCKET, Source, existing_users
from segops_orchestration.compiler.sql import indent
from segops_orchestration.compute.buckets import in_buckets
from segops_orchestration.compute.compared import compared_with_stored
from segops_orchestration.compute.plan import PlannedWork, Resolver
from segops_orchestration.compute.session import ComputeSession

_STAGE = """INSERT INTO membership_changes (segment_id, computation_id, user_id, change, computed_at)
SELECT
  {{segment_id:UInt64}}, {{computation_id:UInt64}}, user_id, if(is_in > 0, 'entered', 'exited'),
  {{at:DateTime64(3, 'UTC')}}
FROM {compared}
WHERE is_in != was"""

# Evaluates several segments for each candidate at once: planning a statement takes longer than running it.
_STAGE_DELTA = """INSERT INTO membership_changes (segment_id, computation_id, user_id, change, computed_at)
{sets}SELECT
  answer.1 AS segment_id, {{computation_id:UInt64}}, user_id, if(answer.3, 'entered', 'exited'),
  {{at:DateTime64(3, 'UTC')}}
FROM (
  SELECT user_id, arrayJoin([
{answers}
  ]) AS answer
  FROM (
    SELECT user_id, groupUniqArray(reason) AS reasons FROM candidates
    WHERE computation_id = {{computation_id:UInt64}} AND reason IN {{reasons:Array(UInt64)}}
      AND {is_candidate}
    GROUP BY user_id
  )
)
WHERE answer.2 AND answer.3 != ((answer.1, user_id) IN (
  SELECT segment_id, user_id FROM segment_memberships FINAL
  WHERE segment_id IN {{segment_ids:Array(UInt64)}} AND {is_candidate}
))"""

_COUNT_CHANGES = """SELECT segment_id, countIf(change = 'entered'), countIf(change = 'exited')
FROM membership_changes
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}
GROUP BY segment_id"""

_COUNT_MEMBERS = """SELECT segment_id, count()
FROM segment_memberships FINAL
WHERE segment_id IN {segment_ids:Array(UInt64)}
GROUP BY segment_id"""

_FORGET = """ALTER TABLE membership_changes DELETE
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}
  AND cityHash64(user_id) % {buckets:UInt64} = {bucket:UInt64}"""

# The candidates of one bucket, for when there are too many for one query.
_CANDIDATES_OF_A_BUCKET = replace(
    CANDIDATES,
    filters=(*CANDIDATES.filters, *ONE_BUCKET.user_filters),
    user_filters=(*CANDIDATES.user_filters, *ONE_BUCKET.user_filters),
    universe=existing_users((*CANDIDATES.user_filters, *ONE_BUCKET.user_filters)),
)


def stage_full(session: ComputeSession, work: PlannedWork, resolver: Resolver, buckets: int) -> int:
    """Evaluate every user, one bucket after another, and write down who enters and who exits; returns rows read."""

    def evaluate(bucket: int, of: int) -> int:
        source = EVERYONE if of == 1 else ONE_BUCKET
        query = compile_members(work.definition, source, resolver.id)
        return _stage(session, work, query, source, {} if of == 1 else {"bucket": bucket, "buckets": of})

    def take_back(bucket: int, of: int) -> None:
        forget_changes(session, [work.segment.id], bucket, of)

    return in_buckets(f"segment {work.segment.slug}", buckets, evaluate, take_back)


def stage_deltas(
    session: ComputeSession, reasons: Mapping[PlannedWork, Sequence[int]], resolver: Resolver, buckets: int = 1
) -> int:
    """The same for several segments, and for the candidates alone that each segment's ``reasons`` number."""
    segment_ids = [work.segment.id for work in reasons]

    def evaluate(bucket: int, of: int) -> int:
        source = CANDIDATES if of == 1 else _CANDIDATES_OF_A_BUCKET
        return _stage_deltas(session, reasons, resolver, source, {} if of == 1 else {"bucket": bucket, "buckets": of})

    def take_back(bucket: int, of: int) -> None:
        forget_changes(session, segment_ids, bucket, of)

    slugs = ", ".join(work.segment.slug for work in reasons)
    return in_buckets(f"delta of {slugs}", buckets, evaluate, take_back)


def _stage_deltas(
    session: ComputeSession,
    reasons: Mapping[PlannedWork, Sequence[int]],
    resolver: Resolver,
    source: Source,
    bound: Mapping[str, object],
) -> int:
    sets: list[str] = []
    answers: list[str] = []
    parameters: dict[str, object] = {**bound}
    for work, numbers in reasons.items():
        compiled = compile_predicate(work.definition, source, resolver.id, prefix=f"s{work.segment.id}_")
        sets += compiled.sets
        parameters.update(compiled.parameters)
        is_candidate = f"hasAny(reasons, [{', '.join(map(str, numbers))}])"
        answers.append(f"({work.segment.id}, {is_candidate}, {compiled.predicate})")
    parameters["reasons"] = sorted({number for numbers in reasons.values() for number in numbers})
    parameters["segment_ids"] = [work.segment.id for work in reasons]
    sql = _STAGE_DELTA.format(
        sets=with_sets(sets),
        answers=indent(indent(",\n".join(answers))),
        is_candidate=" AND ".join(source.user_filters),
    )
    return session.run(sql, parameters)


def _stage(
    session: ComputeSession, work: PlannedWork, query: CompiledQuery, source: Source, bound: dict[str, object]
) -> int:
    sql = _STAGE.format(compared=compared_with_stored(query.sql, source.user_filters))
    parameters = {**query.parameters, **bound, "segment_id": work.segment.id}
    return session.run(sql, parameters, segment=work.segment.slug)


def count_changes(session: ComputeSession, segment_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many entered and exited by what is staged, for the segments with any change."""
    rows = session.rows(_COUNT_CHANGES, {"segment_ids": list(segment_ids)})
    return {segment_id: (entered, exited) for segment_id, entered, exited in rows}


def count_members(session: ComputeSession, segment_ids: Sequence[int]) -> dict[int, int]:
    """How many members the segments have now, for those with any."""
    return dict(session.rows(_COUNT_MEMBERS, {"segment_ids": list(segment_ids)}))


def forget_changes(session: ComputeSession, segment_ids: Sequence[int], bucket: int = 0, buckets: int = 1) -> None:
    """Take back what was staged, of one bucket of the users or of all, and never will be applied."""
    if count_changes(session, segment_ids):
        bound = {"segment_ids": list(segment_ids), "bucket": bucket, "buckets": buckets}
        session.run(_FORGET + " SETTINGS mutations_sync = 2", bound)
