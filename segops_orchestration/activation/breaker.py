"""The breaker: a difference that is too large for the audience is held until somebody approves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segops_orchestration.activation.planned import Plan, PlanCounts
from segops_orchestration.activation.session import Session
from segops_orchestration.catalog.connector_records import Sync

SAMPLE_USERS = 10
# Fewer events than this share of a usual day count as few, more than its inverse as many.
_FEW = 0.5
_USUAL_DAYS = 7

_LAST_SUCCESS = """SELECT segment_version, computation_id, audience, toString(started_at)
FROM activation_runs FINAL
WHERE connector_id = {connector_id:UInt64} AND status = 'succeeded' AND kind != 'verify'
ORDER BY sync_id DESC
LIMIT 1"""

_ARRIVALS = """SELECT
  countIf(ingested_at > now64(3) - INTERVAL 1 DAY), countIf(ingested_at <= now64(3) - INTERVAL 1 DAY) / {days:UInt8},
  countIf(ingested_at > parseDateTime64BestEffort({since:String}, 3, 'UTC'))
FROM arrivals
WHERE ingested_at > now64(3) - INTERVAL 1 DAY - INTERVAL {days:UInt8} DAY"""

_LATE = """SELECT count() FROM events
WHERE ingested_at > parseDateTime64BestEffort({since:String}, 3, 'UTC')
  AND occurred_at < ingested_at - INTERVAL 1 DAY"""


@dataclass(frozen=True)
class LastSuccess:
    """The last sync that ended well: of which version and computation of the segment, and what it left."""

    segment_version: int
    computation_id: int
    audience: int
    started_at: str


def last_success(session: Session) -> LastSuccess | None:
    """The last sync of the connector that ended well, if any did."""
    for row in session.rows(_LAST_SUCCESS):
        return LastSuccess(*row)
    return None


def trips(session: Session, counts: PlanCounts, audience: int) -> bool:
    """Whether what nobody approved yet is too much for the audience.

    An empty audience is filled unasked, and so is one whose filling broke off.
    """
    connector = session.connector

    def too_many(users: int) -> bool:
        return users >= max(1, connector.hold_users) and users > connector.hold_share * audience

    if audience == 0:
        return False
    if too_many(counts.removes - counts.approved_removes):
        return True
    return too_many(counts.adds - counts.approved_adds) and not _filling(session)


def _filling(session: Session) -> bool:
    """Whether no sync has ended well that left anybody in the audience."""
    last = last_success(session)
    return last is None or last.audience == 0


def sample_of(plan: Plan) -> dict[str, Any]:
    """Some of those who would be added and removed."""
    return {"add": plan.sample("add", SAMPLE_USERS), "remove": plan.sample("remove", SAMPLE_USERS)}


def likely_cause(session: Session, sync: Sync, last: LastSuccess | None) -> str:
    """What has probably led to so large a difference, in words."""
    if last is None:
        return "no sync of this connector has ended well yet"
    if sync.segment_version != last.segment_version:
        return (
            f"the segment was edited: version {sync.segment_version} now, version {last.segment_version} at the last"
            " sync that ended well"
        )
    ((today, usual, since),) = session.rows(_ARRIVALS, {"days": _USUAL_DAYS, "since": last.started_at})
    ((late,),) = session.rows(_LATE, {"since": last.started_at})
    if usual and today < _FEW * usual:
        return f"fewer events: {today:,} arrivals in the last 24 hours, {usual:,.0f} on a day before that"
    if late and late * 2 >= since:
        return f"late events: {late:,} events that have arrived since the last sync were more than a day old"
    if usual and today > usual / _FEW:
        return f"more events: {today:,} arrivals in the last 24 hours, {usual:,.0f} on a day before that"
    if not since:
        return "time alone: no event has arrived since the last sync that ended well"
    return "events as usual, the segment unchanged: users whose time in it began or ran out, or changed behaviour"
