"""The stored membership of a user, and why it differs from what holds at the instant asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from segops_orchestration.catalog.records import CommittedSegment, Segment
from segops_orchestration.explain.history import UserEvents, instant_of

ReasonKind = Literal[
    "archived",
    "definition_edited",
    "referenced_segment_edited",
    "events_arrived",
    "time_passed",
    "unexplained",
]

_STORED = """SELECT count(), toUnixTimestamp64Milli(max(computed_at))
FROM segment_memberships FINAL
WHERE segment_id = {segment_id:UInt64}
  AND user_id = {user_id:String}"""

_ARRIVED = """SELECT count(), toUnixTimestamp64Milli(max(ingested_at))
FROM arrivals
WHERE user_id = {user_id:String}
  AND _block_number > {block:UInt64}"""


@dataclass(frozen=True)
class Reason:
    """Why the stored membership is another one; ``text`` is a sentence without a full stop."""

    kind: ReasonKind
    text: str


@dataclass(frozen=True)
class StoredMembership:
    """What the last committed computation of the segment left.

    Attributes:
        at: the computation's instant; ``committed_at``: when it was done; ``version``: of the definition.
        entered_at: the instant of the computation in which the user entered, None when not a member.
        agrees: whether it is what holds at the instant asked about; if not, ``reasons`` say why.
    """

    is_member: bool
    entered_at: datetime | None
    computation_id: int
    at: datetime
    committed_at: datetime
    version: int
    agrees: bool
    reasons: tuple[Reason, ...]


def stored_membership(
    user: UserEvents,
    segment: Segment,
    referenced: Sequence[Segment],
    committed: Mapping[int, CommittedSegment],
    *,
    holds: bool,
    held_then: bool,
) -> StoredMembership | None:
    """What is stored; None when the segment was never computed.

    Args:
        referenced: the segments that it refers to, through chains.
        committed: the last committed computation of each segment.
        holds: what holds at the user's ``at``; ``held_then``: the same at the instant of the last computation, by what
            has arrived until now and as the definitions are now.
    """
    since = committed.get(segment.id)
    if since is None:
        return None
    ((count, entered_ms),) = user.rows(_STORED, {"segment_id": segment.id})
    is_member = bool(count)
    agrees = is_member == holds
    found = () if agrees else tuple(_reasons(user, segment, referenced, committed, is_member, held_then))
    return StoredMembership(
        is_member=is_member,
        entered_at=instant_of(entered_ms) if is_member else None,
        computation_id=since.computation_id,
        at=since.at,
        committed_at=since.committed_at,
        version=since.segment_version,
        agrees=agrees,
        reasons=found or (() if agrees else (_UNEXPLAINED,)),
    )


_UNEXPLAINED = Reason("unexplained", "nothing accounts for it: compute the segment in full, and tell its maintainers")


def _reasons(
    user: UserEvents,
    segment: Segment,
    referenced: Sequence[Segment],
    committed: Mapping[int, CommittedSegment],
    was_member: bool,
    held_then: bool,
) -> Iterator[Reason]:
    since = committed[segment.id]
    if segment.status == "archived":
        yield Reason("archived", "the segment is archived, so it is not computed any more")
    if held_then == was_member:
        # The same events and definition give the stored answer at the instant of the computation.
        yield Reason("time_passed", _passed(since.at, user.at))
        return
    if since.segment_version != segment.version:
        text = f"the definition was edited: version {since.segment_version} was computed, {segment.version} is current"
        yield Reason("definition_edited", text)
    for other in referenced:
        theirs = committed.get(other.id)
        if theirs is None or theirs.segment_version != other.version or theirs.computation_id > since.computation_id:
            yield Reason(
                "referenced_segment_edited",
                f"the segment {other.slug}, which it refers to, was edited or computed since",
            )
    ((arrived, last_ms),) = user.rows(_ARRIVED, {"block": since.watermark_block})
    if arrived:
        text = f"events of the user arrived since it was computed, the last at {_text(instant_of(last_ms))}"
        yield Reason("events_arrived", text)


def _passed(then: datetime, now: datetime) -> str:
    if now < then:
        return f"it was computed for a later instant, {_text(then)}, when the answer is another one"
    return f"time has passed: at {_text(then)}, for which it was computed, the answer was another one"


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
