"""Desired against acknowledged, inside ClickHouse: what is to be said about every user of a connector.

Desired are the members of the segment, acknowledged is ``activation_state``. The answer about a user is one of:

- ``add``, ``remove``: to be sent now. A request whose outcome is unknown is sent once more in its own direction.
- ``settling``: the opposite of a request whose outcome is unknown, which might still take effect, also when another
  request after it is known to have succeeded: not yet.
- ``job``: the platform is still working on a batch with this user.
- ``rejected``: waits for its next try. ``parked``: waits for a person.
- ``forget``: was rejected, never got there and is not wanted any more.
- ``none``: the platform has what it should have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from segops_orchestration.activation.session import query_settings
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.warehouse.client import TenantWarehouse

_CONNECTORS_AT_ONCE = 4

# Those who said something about themselves since the platform refused them. No more than that is looked at.
_TOLD_SINCE = """(
    SELECT user_id FROM (
      SELECT user_id, max(ingested_at) AS told_at FROM identifications
      WHERE user_id IN (
        SELECT user_id FROM activation_state FINAL
        WHERE connector_id = {{{p}connector_id:UInt64}} AND state IN ('rejected', 'parked')
      )
      GROUP BY user_id
    ) AS told
    INNER JOIN (
      SELECT user_id, at FROM activation_state FINAL
      WHERE connector_id = {{{p}connector_id:UInt64}} AND state IN ('rejected', 'parked')
    ) AS refused USING user_id
    WHERE told_at > at
  )"""

_VERDICTS = """SELECT
  if(m.wanted, m.member_id, s.user_id) AS who,
  m.wanted AS is_wanted, m.computed_at AS entered_at,
  s.state AS state, s.last_action AS last_action, s.present AS present, s.platform_id AS platform_id,
  s.attempts AS attempts, s.retry_at AS retry_at, s.reason AS reason, s.batch_id AS last_batch_id,
  s.at <= {{{p}settled_by:DateTime64(3, 'UTC')}} AS settled,
  s.retry_at <= {{{p}now:DateTime64(3, 'UTC')}} AS may_turn,
  s.state = 'rejected' AND s.retry_at <= {{{p}now:DateTime64(3, 'UTC')}} AS due,
  multiIf(
    s.state = 'adding' AND has({{{p}jobs:Array(String)}}, s.batch_id), 'job',
    m.wanted AND s.state IN ('', 'adding'), 'add',
    m.wanted AND s.state = 'removed', if(may_turn, 'add', 'settling'),
    m.wanted AND s.state = 'delivered', 'none',
    m.wanted AND s.last_action = 'remove', if(settled, 'add', 'settling'),
    m.wanted, multiIf(due{or_told}, 'add', s.state),
    s.state IN ('', 'removed'), 'none',
    s.state = 'removing', 'remove',
    s.state = 'delivered', if(may_turn, 'remove', 'settling'),
    s.last_action = 'remove', if(due, 'remove', s.state),
    s.present > 0, if(settled, 'remove', 'settling'),
    'forget'
  ) AS verdict
FROM (
  SELECT user_id AS member_id, computed_at, toUInt8(1) AS wanted
  FROM segment_memberships FINAL
  WHERE segment_id = {{{p}segment_id:UInt64}}
) AS m
FULL JOIN (
  SELECT
    user_id, toString(state) AS state, toString(action) AS last_action, present, platform_id, attempts, retry_at,
    reason, batch_id, at
  FROM activation_state FINAL
  WHERE connector_id = {{{p}connector_id:UInt64}}
) AS s ON m.member_id = s.user_id"""

_COUNT = """SELECT
  {{{p}connector_id:UInt64}} AS connector, countIf(verdict = 'add'), countIf(verdict = 'remove'),
  countIf(verdict = 'settling'), countIf(verdict = 'job'), countIf(verdict = 'rejected'), countIf(verdict = 'parked'),
  countIf(state = 'delivered'), countIf(present > 0), minIf(retry_at, verdict = 'rejected')
FROM (
{verdicts}
)"""


_ACKNOWLEDGED = """SELECT connector_id, countIf(present > 0), countIf(state IN ('rejected', 'parked'))
FROM activation_state FINAL
WHERE connector_id IN {connector_ids:Array(UInt64)}
GROUP BY connector_id"""


@dataclass(frozen=True)
class Acknowledged:
    """What the state of a connector comes to, whatever is wanted: its audience, and users who were refused."""

    audience: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Wanted:
    """What the difference of one connector is taken against.

    Attributes:
        segment_id: whose members are desired; None when nobody is.
        told: users who were refused are tried again once they say something about themselves. Looking for those takes
            longer than all the rest, so it is left out where nobody was refused.
        jobs: batches that the platform is still working on.
        settle_seconds: how long a request whose outcome is unknown may still take effect.
    """

    connector_id: int
    segment_id: int | None
    told: bool
    jobs: Sequence[str]
    settle_seconds: float

    def parameters(self, now: datetime, prefix: str = "") -> dict[str, object]:
        """What ``verdicts_sql`` leaves to be bound."""
        return {
            f"{prefix}connector_id": self.connector_id,
            f"{prefix}segment_id": self.segment_id or 0,
            f"{prefix}jobs": list(self.jobs),
            f"{prefix}now": instant_text(now),
            f"{prefix}settled_by": instant_text(now - timedelta(seconds=self.settle_seconds)),
        }


@dataclass(frozen=True)
class Backlog:
    """What of a connector is not as desired.

    Attributes:
        adds, removes: users to be added or removed by the next sync.
        settling: users whose last request may still take effect, so that the opposite one has to wait.
        in_jobs: users whom the platform is still working on.
        rejected: users whom the platform refused and who will be tried again, the first of them at ``next_retry_at``.
        parked: users whom it refused too often; ``requeue`` tries them again.
        delivered: users whom the platform has acknowledged.
        audience: users whom it may hold because we added them.
    """

    adds: int = 0
    removes: int = 0
    settling: int = 0
    in_jobs: int = 0
    rejected: int = 0
    parked: int = 0
    delivered: int = 0
    audience: int = 0
    next_retry_at: datetime | None = None

    @property
    def pending(self) -> int:
        """Users for whom something is to be sent or to be awaited, those whom the platform refused left out."""
        return self.adds + self.removes + self.settling + self.in_jobs

    @property
    def sendable(self) -> int:
        """Users whom a sync could do something about now."""
        return self.adds + self.removes + self.in_jobs


def verdicts_sql(wanted: Wanted, prefix: str = "") -> str:
    """A query of every user of the connector: ``who, verdict`` and the columns of the state."""
    told = f" OR s.user_id IN {_TOLD_SINCE.format(p=prefix)}" if wanted.told else ""
    return _VERDICTS.format(p=prefix, or_told=told)


def acknowledged(warehouse: TenantWarehouse, connector_ids: Sequence[int]) -> dict[int, Acknowledged]:
    """What the states of these connectors come to, by id, for those that have any."""
    parameters = {"connector_ids": list(connector_ids)}
    rows = warehouse.query(_ACKNOWLEDGED, parameters, query_settings(warehouse)).result_rows
    return {connector_id: Acknowledged(audience, refused) for connector_id, audience, refused in rows}


def backlogs(warehouse: TenantWarehouse, every: Iterable[Wanted], now: datetime) -> dict[int, Backlog]:
    """What is left of each of these connectors, by its id; a few of them in a query, which has one bound of memory."""
    found: dict[int, Backlog] = {}
    rest = iter(every)
    while some := list(islice(rest, _CONNECTORS_AT_ONCE)):
        found |= _backlogs(warehouse, some, now)
    return found


def _backlogs(warehouse: TenantWarehouse, every: Sequence[Wanted], now: datetime) -> dict[int, Backlog]:
    queries: list[str] = []
    parameters: dict[str, object] = {}
    for number, wanted in enumerate(every):
        prefix = f"c{number}_"
        queries.append(_COUNT.format(p=prefix, verdicts=verdicts_sql(wanted, prefix)))
        parameters.update(wanted.parameters(now, prefix))
    rows = warehouse.query("\nUNION ALL\n".join(queries), parameters, query_settings(warehouse)).result_rows
    return {row[0]: _backlog(row[1:]) for row in rows}


def _backlog(row: Sequence[Any]) -> Backlog:
    adds, removes, settling, in_jobs, rejected, parked, delivered, audience, retry_at = row
    return Backlog(
        adds, removes, settling, in_jobs, rejected, parked, delivered, audience, retry_at if rejected else None
    )
