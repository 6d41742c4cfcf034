"""The difference that one sync sends, written down in ``activation_plan`` and read in pages.

The plan does not change while it is sent, and it outlives the sync when the difference is held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from segops_orchestration.activation.difference import Wanted, verdicts_sql
from segops_orchestration.activation.platform import Action, User
from segops_orchestration.activation.session import Session
from segops_orchestration.activation.state import Entry, StateTable

Part = Literal["all", "approved"]

_WRITE = """INSERT INTO activation_plan
  (connector_id, sync_id, action, batch_id, user_id, approved, entered_at, state, last_action, present, platform_id,
  attempts, retry_at, reason, last_batch_id)
SELECT
  {{connector_id:UInt64}}, {{sync_id:UInt64}}, verdict,
  if((state = 'adding' AND verdict = 'add') OR (state = 'removing' AND verdict = 'remove'), last_batch_id, ''),
  who, {approved}, entered_at, state, last_action, present, platform_id, attempts, retry_at, reason, last_batch_id
FROM (
{verdicts}
)
WHERE verdict IN ('add', 'remove', 'forget'){only}"""

_APPROVED = """(who, verdict) IN (
    SELECT user_id, toString(action) FROM activation_plan
    WHERE connector_id = {{connector_id:UInt64}} AND sync_id = {{approved_sync:UInt64}} AND NOT approved{adds_only}
  )"""

_OF_THE_SYNC = "connector_id = {connector_id:UInt64} AND sync_id = {sync_id:UInt64}"

_COUNT = f"""SELECT toString(action), approved, count() FROM activation_plan
WHERE {_OF_THE_SYNC} GROUP BY action, approved"""

_PAGE = f"""SELECT
  batch_id, user_id, toString(entered_at), state, last_action, present, platform_id, attempts, toString(retry_at),
  reason, last_batch_id
FROM activation_plan
WHERE {_OF_THE_SYNC} AND action = {{action:String}} AND approved >= {{least_approved:UInt8}}
  AND (batch_id > {{after_batch:String}} OR (batch_id = {{after_batch:String}} AND user_id > {{after_user:String}}))
ORDER BY batch_id, user_id
LIMIT {{limit:UInt64}}"""

# As the view user_properties, for the users of one page, who lie between two user ids.
_PROPERTIES = f"""SELECT
  user_id, argMax(delivered_payload, (occurred_at, delivered_at, UUIDToNum(event_id)))
FROM (
  SELECT
    user_id, occurred_at, event_id, argMin(payload, ingested_at) AS delivered_payload, min(ingested_at) AS delivered_at
  FROM identifications
  WHERE user_id BETWEEN {{first:String}} AND {{last:String}} AND occurred_at <= now64(3, 'UTC')
    AND user_id IN (
      SELECT user_id FROM activation_plan
      WHERE {_OF_THE_SYNC} AND action = {{action:String}} AND user_id BETWEEN {{first:String}} AND {{last:String}}
    )
  GROUP BY user_id, occurred_at, event_id
)
GROUP BY user_id"""

_FORGOTTEN = f"SELECT user_id, platform_id FROM activation_plan WHERE {_OF_THE_SYNC} AND action = 'forget'"

_SAMPLE = f"""SELECT user_id FROM activation_plan
WHERE {_OF_THE_SYNC} AND action = {{action:String}} AND NOT approved
ORDER BY cityHash64(user_id) LIMIT {{limit:UInt64}}"""

_ALSO_IN = f"""SELECT countIf((user_id, action) IN (
  SELECT user_id, action FROM activation_plan
  WHERE connector_id = {{connector_id:UInt64}} AND sync_id = {{other_sync:UInt64}} AND NOT approved
)), count()
FROM activation_plan
WHERE {_OF_THE_SYNC} AND action != 'forget' AND NOT approved"""

_PARTITIONS = """SELECT DISTINCT table, partition FROM system.parts
WHERE active AND database = {database:String} AND table IN ('activation_plan', 'activation_found')"""
_PARTITION = re.compile(r"\((\d+),\s*(\d+)\)")


class Planned(NamedTuple):
    """A row of the plan: what is to be done for a user, and the row of ``activation_state`` that it starts from."""

    batch_id: str
    user_id: str
    entered_at: str
    state: str
    last_action: str
    present: int
    platform_id: str
    attempts: int
    retry_at: str
    reason: str
    last_batch_id: str

    def user(self, properties: dict[str, Any]) -> User:
        return User(self.user_id, properties, self.platform_id, self.entered_at.replace(" ", "T") + "Z")

    def before(self) -> Entry:
        """The state as it was, to be put back when nothing was sent after all."""
        return Entry(
            self.user_id,
            self.state or "removed",  # type: ignore[arg-type]  # as text from ClickHouse
            self.last_action or "remove",  # type: ignore[arg-type]
            self.present,
            self.platform_id,
            self.attempts,
            self.retry_at,
            self.reason,
            self.last_batch_id,
        )


@dataclass(frozen=True)
class PlanCounts:
    """How many users a plan adds, removes and forgets; ``approved_*`` are those among them that were let go."""

    adds: int = 0
    removes: int = 0
    forgets: int = 0
    approved_adds: int = 0
    approved_removes: int = 0


class Plan:
    """The plan of one sync."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def write(
        self,
        wanted: Wanted,
        at: datetime,
        approved_sync: int | None,
        *,
        adds_only: bool,
        leaving: str | None = None,
    ) -> PlanCounts:
        """Take the difference; ``approved_sync`` is the sync under which an approved one is kept.

        ``leaving`` is a SELECT of the only users that it is to be about, none of whom is added.
        """
        approved = "0"
        parameters = wanted.parameters(at)
        if approved_sync is not None:
            approved = _APPROVED.format(adds_only=" AND action = 'add'" if adds_only else "")
            parameters["approved_sync"] = approved_sync
        only = "" if leaving is None else f" AND verdict != 'add' AND who IN ({leaving})"
        self._session.run(_WRITE.format(approved=approved, only=only, verdicts=verdicts_sql(wanted)), parameters)
        return self.counts()

    def counts(self) -> PlanCounts:
        found: dict[tuple[str, int], int] = {
            (action, approved): rows for action, approved, rows in self._session.rows(_COUNT)
        }

        def both(action: str) -> int:
            return found.get((action, 0), 0) + found.get((action, 1), 0)

        return PlanCounts(
            both("add"), both("remove"), both("forget"), found.get(("add", 1), 0), found.get(("remove", 1), 0)
        )

    def pages(self, action: Action, part: Part, size: int) -> Iterator[list[Planned]]:
        """Its rows in a fixed order. A batch that is sent once more is never spread over two pages."""
        after_batch, after_user = "", ""
        while True:
            parameters = {
                "action": action,
                "least_approved": int(part == "approved"),
                "after_batch": after_batch,
                "after_user": after_user,
                "limit": size,
            }
            page = [Planned(*row) for row in self._session.stream(_PAGE, parameters)]
            more = len(page) == size
            if more:
                page = _whole_batches(page)
            if page:
                yield page
            if not more:
                return
            after_batch, after_user = page[-1].batch_id, page[-1].user_id

    def properties(self, action: Action, page: Sequence[Planned]) -> dict[str, dict[str, Any]]:
        """What the users of a page said about themselves last."""
        ids = [row.user_id for row in page]
        parameters = {"action": action, "first": min(ids), "last": max(ids)}
        read: dict[str, dict[str, Any]] = {}
        for user_id, payload in self._session.stream(_PROPERTIES, parameters):
            document = json.loads(payload)
            read[user_id] = document if isinstance(document, dict) else {}
        return read

    def forget(self, table: StateTable) -> None:
        """Whoever was refused, never got there and is not wanted any more starts afresh."""
        table.rewrite(_FORGOTTEN, state="removed", action="remove", present=0)

    def sample(self, action: Action, limit: int) -> list[str]:
        """Some of the users that nobody let go yet, always the same ones."""
        return [user for (user,) in self._session.rows(_SAMPLE, {"action": action, "limit": limit})]

    def share_in(self, other_sync: int) -> float:
        """How much of this plan is in that of another sync."""
        ((common, every),) = self._session.rows(_ALSO_IN, {"other_sync": other_sync})
        return common / every if every else 0.0

    def drop(self) -> None:
        drop_plan(self._session, self._session.sync_id)


def drop_plan(session: Session, sync_id: int) -> None:
    """Forget the plan of a sync."""
    session.run(f"ALTER TABLE activation_plan DROP PARTITION ({session.connector.id}, {sync_id})")


def drop_leftovers(session: Session, keep: Sequence[int]) -> None:
    """Drop what syncs of the connector left behind that died, except the plans of ``keep``.

    The caller holds the connector's lease.
    """
    for table, partition in session.rows(_PARTITIONS, {"database": session.warehouse.database}):
        match = _PARTITION.fullmatch(partition)
        if match is None:
            continue
        connector_id, sync_id = map(int, match.groups())
        if connector_id == session.connector.id and sync_id not in keep:
            session.run(f"ALTER TABLE {table} DROP PARTITION ({connector_id}, {sync_id})")


def _whole_batches(page: list[Planned]) -> list[Planned]:
    """Less the batch that is cut off by the end of the page, unless it is all there is."""
    last = page[-1].batch_id
    if not last or page[0].batch_id == last:
        return page
    return [row for row in page if row.batch_id != last]
