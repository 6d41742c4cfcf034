"""Which connectors have something left to deliver, and when to try them. No Dagster in here.

The catalogue alone says it, no warehouse is asked: a change of a segment that no sync has seen, a sync that failed or
left something, a refused user whose next try has come, or a connector that somebody has touched since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from segops_orchestration.catalog.connector_records import Connector, Delivery

# After a sync that failed or left something, and twice as long after each further one in a row.
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=10)


@dataclass(frozen=True)
class Undelivered:
    """A connector with something left: why, since when, and from when on it may be tried.

    ``is_new``: nothing but changes that no sync has seen yet, as each computation leaves them.
    """

    delivery: Delivery
    reason: str
    since: datetime
    due_at: datetime
    is_new: bool = False

    @property
    def connector(self) -> Connector:
        return self.delivery.connector


def undelivered(delivery: Delivery, now: datetime) -> Undelivered | None:
    """What is left of a connector that is active or held; None when nothing is, or its status keeps it."""
    connector, last = delivery.connector, delivery.last
    if connector.status not in ("active", "held"):
        return None
    if connector.segment_status == "archived" and (connector.when_archived == "leave" or last is None):
        return None
    ended = (last.finished_at or last.started_at) if last else connector.created_at
    touched = connector.updated_at > ended
    due_at = ended + pause(last.unfinished) if last and last.unfinished and not touched else now
    if delivery.approved:
        return Undelivered(delivery, "a held change was approved", connector.updated_at, due_at)
    if last and last.unfinished:
        reason = "its last sync failed" if last.status in ("failed", "abandoned") else "its last sync left something"
        return Undelivered(delivery, reason, last.unfinished_since or ended, due_at)
    if delivery.archived_at is not None:
        if last and delivery.archived_at > last.started_at:
            return Undelivered(delivery, "its segment was archived", delivery.archived_at, now)
        return None
    if delivery.changed_since is not None:
        return Undelivered(delivery, "its segment changed", delivery.changed_since, now, is_new=True)
    if last and last.counts.next_try_at is not None and last.counts.next_try_at <= now:
        return Undelivered(delivery, "refused users are to be tried again", last.counts.next_try_at, now)
    if last and touched:
        return Undelivered(delivery, "somebody changed it", connector.updated_at, now)
    return None


def pause(unfinished: int) -> timedelta:
    """How long a connector rests after so many syncs in a row that failed or left something."""
    return min(FIRST_PAUSE * (1 << min(unfinished - 1, 10)), LONGEST_PAUSE)


def fingerprint(every: Iterable[Undelivered], told_since: datetime | None) -> str:
    """Changes when what is left of a tenant does, or how often it was tried."""
    parts = [
        f"{one.connector.id}:{one.delivery.last.id if one.delivery.last else 0}:{one.delivery.changed_up_to}"
        f":{one.connector.updated_at.isoformat()}:{one.reason}"
        for one in every
    ]
    return hashlib.sha256("\n".join([*sorted(parts), str(told_since)]).encode()).hexdigest()[:12]
