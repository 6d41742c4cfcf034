"""What a proposed definition would do to a segment's members, found inside ClickHouse: ids stay there but a sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

from segops_orchestration.compiler.conditions import ResolveSegment
from segops_orchestration.compiler.segment import compile_members
from segops_orchestration.compiler.source import EVERYONE, ONE_BUCKET
from segops_orchestration.compute.buckets import first_buckets, in_buckets
from segops_orchestration.compute.compared import compared_with_stored
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.models import Definition

_COMPARE = """SELECT
  countIf(was > 0), countIf(is_in > 0), countIf(is_in > was), countIf(is_in < was),
  groupArraySortedIf({sample})(user_id, is_in > was), groupArraySortedIf({sample})(user_id, is_in < was)
FROM {compared}"""

_LEAVE = """SELECT count(), groupArraySorted({sample})(user_id)
FROM segment_memberships FINAL
WHERE segment_id = {{segment_id:UInt64}}"""


@dataclass(frozen=True)
class Effect:
    """Members now (as stored by the last computation) and as they would be; the samples are the first ids in order."""

    members: int
    would_be: int
    entered: int
    exited: int
    entered_sample: tuple[str, ...] = ()
    exited_sample: tuple[str, ...] = ()

    @property
    def changed_percent(self) -> float:
        """Users who enter or leave, in percent of the members now; of nobody, any change is 100 %."""
        moved = self.entered + self.exited
        if not self.members:
            return 100.0 if moved else 0.0
        return 100.0 * moved / self.members


NOBODY = Effect(0, 0, 0, 0)


@dataclass(frozen=True)
class Proposal:
    """A definition to evaluate. ``reached`` are the definitions it refers to, through chains, for ``resolve`` to give.

    ``segment_id`` is that of the segment whose members are compared with, None when there is none yet.
    """

    slug: str
    segment_id: int | None
    definition: Definition
    reached: tuple[Definition, ...]


def evaluate(session: ComputeSession, proposal: Proposal, resolve: ResolveSegment, users: int, sample: int) -> Effect:
    """Evaluate everyone at the session's instant and compare with the stored members; nothing is written.

    Args:
        users: about how many users the tenant has; that many decide how many passes there are.
        sample: how many user ids of each side to give.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    parts: list[Effect] = []

    def one_bucket(bucket: int, of: int) -> int:
        source = EVERYONE if of == 1 else ONE_BUCKET
        query = compile_members(proposal.definition, source, resolve)
        # An aggregate over 0 sorted values is refused.
        sql = _COMPARE.format(compared=compared_with_stored(query.sql, source.user_filters), sample=max(1, sample))
        bound = {} if of == 1 else {"bucket": bucket, "buckets": of}
        (row,) = session.rows(sql, {**query.parameters, **bound, "segment_id": proposal.segment_id or 0})
        parts.append(_effect(row))
        return 0

    buckets = first_buckets(session, users, [proposal.definition, *proposal.reached])
    in_buckets(f"segment {proposal.slug}", buckets, one_bucket, lambda bucket, of: None)
    return _sum(parts, sample)


def everyone_leaves(session: ComputeSession, segment_id: int, sample: int) -> Effect:
    """What archiving does."""
    ((members, users),) = session.rows(_LEAVE.format(sample=max(1, sample)), {"segment_id": segment_id})
    return Effect(members, 0, 0, members, (), tuple(users[:sample]))


def _effect(row: tuple[Any, ...]) -> Effect:
    members, would_be, entered, exited, enter, leave = row
    return Effect(int(members), int(would_be), int(entered), int(exited), tuple(enter), tuple(leave))


def _sum(parts: Iterable[Effect], sample: int) -> Effect:
    """The buckets together."""
    given = list(parts)

    def first(samples: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        # In the order of ClickHouse: that of the UTF-8 bytes.
        return tuple(nsmallest(sample, (user for one in samples for user in one), key=str.encode))

    return Effect(
        sum(one.members for one in given),
        sum(one.would_be for one in given),
        sum(one.entered for one in given),
        sum(one.exited for one in given),
        first(one.entered_sample for one in given),
        first(one.exited_sample for one in given),
    )
