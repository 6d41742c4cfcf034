"""Reading an audience back and comparing it with what was acknowledged.

A repair writes what was found into ``activation_state`` and lets a sync send the difference, through the breaker like
any other. People whom we did not add stay, unless somebody asks for their removal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from segops_orchestration.activation.difference import Wanted, verdicts_sql
from segops_orchestration.activation.platform import Platform, User
from segops_orchestration.activation.result import Outcome, SyncResult
from segops_orchestration.activation.session import Clock, utc_now
from segops_orchestration.activation.sync import run_sync
from segops_orchestration.activation.work import Patience, SyncWork
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import Warehouse

DriftKind = Literal["missing", "surplus", "stranger"]

SAMPLE_USERS = 10
_FOUND_AT_ONCE = 10_000
# Each page takes the difference anew, so they are large.
_TOUCHED_AT_ONCE = 100_000

# Whoever is wanted or ever had to do with the connector: a platform that lists nobody is asked about these.
_TOUCHED = """SELECT who, platform_id FROM (
{verdicts}
)
WHERE who > {{after:String}}
ORDER BY who
LIMIT {{limit:UInt64}}"""

_DRIFT = """SELECT multiIf(
    NOT v.listed, 'stranger',
    NOT f.found AND v.is_wanted AND v.state = 'delivered', 'missing',
    f.found AND NOT v.is_wanted AND (
      v.state = 'removed' OR (v.state IN ('rejected', 'parked') AND v.last_action = 'add' AND v.present = 0)
    ), 'surplus',
    ''
  ) AS drift,
  if(v.listed, v.who, f.user_id) AS user_id, v.platform_id AS platform_id
FROM (SELECT who, platform_id, state, last_action, present, is_wanted, 1 AS listed FROM (
{verdicts}
)) AS v
FULL JOIN (
  SELECT DISTINCT user_id, 1 AS found FROM activation_found
  WHERE connector_id = {{connector_id:UInt64}} AND sync_id = {{sync_id:UInt64}}
) AS f ON v.who = f.user_id
WHERE drift != ''"""

_COUNT = f"SELECT drift, count(), groupArraySorted({SAMPLE_USERS})(user_id) FROM ({{drift}}) GROUP BY drift"


@dataclass(frozen=True)
class Drift:
    """How a platform's audience differs from what it has acknowledged: counts and some of the users.

    Attributes:
        missing: members of the segment who were delivered and are not there.
        surplus: users who are there although they were removed, or refused, and are not in the segment.
        strangers: people who are there and whom we have never had to do with.
    """

    found: int = 0
    missing: int = 0
    surplus: int = 0
    strangers: int = 0
    missing_users: tuple[str, ...] = ()
    surplus_users: tuple[str, ...] = ()
    stranger_users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What reading back came to. ``result`` is its line of the log, and for a repair what was sent."""

    result: SyncResult
    drift: Drift | None


def verify(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    connector: str,
    *,
    repair: bool = False,
    remove_strangers: bool = False,
    run_id: str | None = None,
    patience: Patience | None = None,
    clock: Clock = utc_now,
) -> Verification:
    """Read the platform back and compare.

    Args:
        repair: bring the audience to the members of the segment again.
        remove_strangers: with ``repair``, remove also people whom we did not add.

    Raises:
        NotFound, ConnectorBusy, WarehouseError: as ``sync``.
        SegOpsError: the platform cannot be read back.
    """
    works: list[VerifyWork] = []

    def work(*arguments: Any) -> VerifyWork:
        works.append(VerifyWork(*arguments))
        works[0].removes_strangers = remove_strangers
        return works[0]

    kind: Literal["repair", "verify"] = "repair" if repair else "verify"
    result = run_sync(catalog, warehouse, tenant, connector, kind, run_id, patience or Patience(), clock, None, work)
    return Verification(result, works[0].drift if works else None)


class VerifyWork(SyncWork):
    """A verification; with the kind ``repair`` it ends in a sync."""

    removes_strangers = False
    drift: Drift | None = None

    def deliver(self, platform: Platform) -> Outcome:
        if not platform.reads_back:
            raise SegOpsError(
                f"connector {self.connector.slug!r} of tenant {self.connector.tenant!r}: {platform.title} cannot be"
                " read back with this configuration"
            )
        self._read(platform)
        self.drift = self._compare(platform)
        if self.record.kind == "repair":
            self._acknowledge(platform)
        self.session.run(f"ALTER TABLE activation_found DROP PARTITION ({self.connector.id}, {self.record.id})")
        return super().deliver(platform) if self.record.kind == "repair" else "succeeded"

    def _read(self, platform: Platform) -> None:
        there = platform.read_back(self._touched(self.wanted(platform)))
        while users := list(islice(there, _FOUND_AT_ONCE)):
            self.held.check()
            self.session.insert("activation_found", ("connector_id", "sync_id", "user_id"), self._found_rows(users))

    def _touched(self, wanted: Wanted) -> Iterator[User]:
        """In pages: a query does not wait for the platform."""
        sql, parameters = _TOUCHED.format(verdicts=verdicts_sql(wanted)), wanted.parameters(self.session.clock())
        after: str | None = ""
        while after is not None:
            page = list(self.session.stream(sql, {**parameters, "after": after, "limit": _TOUCHED_AT_ONCE}))
            yield from (User(user_id, platform_id=name) for user_id, name in page)
            after = page[-1][0] if len(page) == _TOUCHED_AT_ONCE else None

    def _found_rows(self, users: list[str]) -> Iterator[str]:
        return (json.dumps([self.connector.id, self.record.id, user]) for user in users)

    def _compare(self, platform: Platform) -> Drift:
        sql, parameters = self._drift(platform)
        found = {
            kind: (count, tuple(users))
            for kind, count, users in self.session.rows(_COUNT.format(drift=sql), parameters)
        }
        ((there,),) = self.session.rows(
            "SELECT uniqExact(user_id) FROM activation_found"
            " WHERE connector_id = {connector_id:UInt64} AND sync_id = {sync_id:UInt64}"
        )
        missing, surplus, strangers = (found.get(kind, (0, ())) for kind in ("missing", "surplus", "stranger"))
        return Drift(there, missing[0], surplus[0], strangers[0], missing[1], surplus[1], strangers[1])

    def _acknowledge(self, platform: Platform) -> None:
        """Write what was found into the state: the difference from there is what a repair sends."""
        self.held.check()
        sql, parameters = self._drift(platform)
        there: list[DriftKind] = ["surplus", "stranger"] if self.removes_strangers else ["surplus"]
        drift = self.drift or Drift()
        if drift.missing:
            chosen = f"SELECT user_id, platform_id FROM ({sql}) WHERE drift = 'missing'"
            self.table.rewrite(
                chosen, parameters, state="removed", action="remove", present=0, change="missing", reason="verify"
            )
        if drift.surplus or (self.removes_strangers and drift.strangers):
            kinds = ", ".join(f"'{kind}'" for kind in there)
            chosen = f"SELECT user_id, platform_id FROM ({sql}) WHERE drift IN ({kinds})"
            self.table.rewrite(
                chosen, parameters, state="delivered", action="add", present=1, change="found", reason="verify"
            )

    def _drift(self, platform: Platform) -> tuple[str, dict[str, object]]:
        wanted = self.wanted(platform)
        return _DRIFT.format(verdicts=verdicts_sql(wanted)), wanted.parameters(self.session.clock())
