"""Taking persons out of the platforms for good: they are removed there, and then forgotten here.

In this order, because what is known about a user is what a removal needs. The persons are in no segment any more, so a
removal is what the difference says about them, also to a sync that runs by itself; here it is taken for them alone, and
goes out whatever the connector's status is and whatever its breaker holds back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from segops_orchestration.activation.difference import Acknowledged, Wanted, acknowledged, verdicts_sql
from segops_orchestration.activation.jobs import follow_jobs, follow_until
from segops_orchestration.activation.lease import HeldConnector
from segops_orchestration.activation.opening import require_type
from segops_orchestration.activation.planned import Plan, drop_leftovers
from segops_orchestration.activation.platform import Platform
from segops_orchestration.activation.rejections import requeue_users
from segops_orchestration.activation.result import Outcome, SyncResult
from segops_orchestration.activation.session import Clock, Session, utc_now
from segops_orchestration.activation.work import Patience, SyncWork, wanted_of
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector
from segops_orchestration.errors import ConnectorBusy, SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

ACTIVATION_TABLES = ("activation_state", "activation_changes", "activation_plan", "activation_found")

Answer = Literal["never sent", "removed", "left", "waiting"]

_WHY = {
    "remove": "the platform has not taken the removal yet",
    "settling": "an earlier request may still take effect; the removal goes out after that",
    "job": "the platform is still working on an earlier request",
    "rejected": "the platform refused the removal",
    "parked": "the platform refused the removal",
    "add": "the user is in the segment again",
}


@dataclass(frozen=True)
class ConnectorErasure:
    """What came of the removal at one connector.

    Attributes:
        answer: ``never sent``: the platform was never told of the user. ``removed``: it has acknowledged the removal,
            or never took the user. ``left``: somebody chose not to wait for that. ``waiting``: not yet; ``why`` says
            what for.
        retry_at: when another try can succeed at the earliest, where that is known.
    """

    connector: str
    type: str
    answer: Answer
    why: str = ""
    retry_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done there."""
        return self.answer != "waiting"


@dataclass(frozen=True)
class _Left:
    verdict: str
    reason: str
    retry_at: datetime


class EraseWork(SyncWork):
    """A sync about some users alone."""

    of_users = ""

    def deliver(self, platform: Platform) -> Outcome:
        hold = self._catalog.connectors.latest_hold(self.connector)
        drop_leftovers(self.session, [] if hold is None else [hold.sync_id])
        desk = self._desk(platform)
        lost_after = timedelta(seconds=self._patience.job)
        follow_jobs(desk, self._jobs(), self._finish_job, lost_after)
        # A platform that has refused is asked once more: somebody insists.
        requeue_users(self.session, self._their_ids())
        plan = Plan(self.session)
        self._counts = plan.write(
            self.wanted(platform), self.session.clock(), None, adds_only=False, leaving=self.of_users
        )
        if self._counts.forgets:
            plan.forget(desk.table)
        self._send(plan, desk, only_approved=False)
        plan.drop()
        follow_until(desk, self._jobs(), self._finish_job, lost_after, self._patience.follow)
        return "succeeded"

    def wanted(self, platform: type[Platform] | Platform) -> Wanted:
        stored = acknowledged(self.session.warehouse, [self.connector.id]).get(self.connector.id, Acknowledged())
        self._audience = stored.audience
        return wanted_of(self._catalog, self.connector, platform, self._patience, stored)

    def _their_ids(self) -> list[str]:
        return [user for (user,) in self.session.rows(self.of_users)]


def erase_at(
    catalog: Catalog,
    warehouse: Warehouse,
    connector: Connector,
    users: str,
    *,
    leave: bool = False,
    patience: Patience | None = None,
    clock: Clock = utc_now,
) -> ConnectorErasure:
    """Remove users at one connector's platform and forget them here; forgotten is who is removed, or is to be left.

    Args:
        users: a SELECT of user ids, which must not name any.
        leave: forget them also when the platform does not acknowledge the removal.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached. The next call goes on from there.
    """
    database = warehouse.tenant(connector.tenant)
    patience = patience or Patience(wait=30.0)

    def answered(answer: Answer, why: str = "", retry_at: datetime | None = None) -> ConnectorErasure:
        return ConnectorErasure(connector.slug, connector.type, answer, why, retry_at)

    try:
        with HeldConnector(catalog, connector.tenant, connector.slug, None, patience.lease, patience.wait) as held:
            if not _is_known(database, connector, users):
                _forget(database, connector, users)
                return answered("never sent")
            result = _remove(catalog, held, database, connector, users, patience, clock)
            left = _left(catalog, database, connector, users, patience, clock)
            if left is None or leave:
                _forget(database, connector, users)
                return answered("removed") if left is None else answered("left", _why(left, result))
            return answered("waiting", _why(left, result), left.retry_at if left.verdict == "settling" else None)
    except ConnectorBusy as busy:
        return answered("waiting", str(busy))


def forget_everywhere(database: TenantWarehouse, users: str) -> None:
    """Forget users also where connectors are gone."""
    for table in ACTIVATION_TABLES:
        _delete(database, table, f"user_id IN ({users})")


def _remove(
    catalog: Catalog,
    held: HeldConnector,
    database: TenantWarehouse,
    connector: Connector,
    users: str,
    patience: Patience,
    clock: Clock,
) -> SyncResult | str:
    """Have the platform told; a text is why that could not even begin."""
    try:
        require_type(connector)
        # "empty" is the kind of sync that takes out whom we added because somebody has asked for just that.
        record = catalog.connectors.begin_sync(connector.tenant, connector.slug, "empty", run_id=None, lease=held.lease)
        work = EraseWork(catalog, held, Session(database, connector, record.id, clock), record, patience)
        work.of_users = users
        return work.run()
    except ConnectorBusy:
        raise
    except SegOpsError as error:
        held.check()
        return str(error)


def _is_known(database: TenantWarehouse, connector: Connector, users: str) -> bool:
    sql = f"SELECT 1 FROM activation_state WHERE connector_id = {{id:UInt64}} AND user_id IN ({users}) LIMIT 1"
    return bool(database.query(sql, {"id": connector.id}).result_rows)


def _left(
    catalog: Catalog, database: TenantWarehouse, connector: Connector, users: str, patience: Patience, clock: Clock
) -> _Left | None:
    """What is still to be done for one of the users; None when nothing is."""
    stored = acknowledged(database, [connector.id]).get(connector.id, Acknowledged())
    wanted = wanted_of(catalog, connector, require_type(connector), patience, stored)
    sql = (
        f"SELECT if(is_wanted, 'add', verdict), reason, retry_at FROM (\n{verdicts_sql(wanted)}\n)\n"
        f"WHERE who IN ({users}) AND (verdict != 'none' OR is_wanted) ORDER BY who LIMIT 1"
    )
    rows: Sequence[Sequence[object]] = Session(database, connector, 0, clock).rows(sql, wanted.parameters(clock()))
    return _Left(*rows[0]) if rows else None  # type: ignore[arg-type]  # as the query has them


def _why(left: _Left, result: SyncResult | str) -> str:
    said = result if isinstance(result, str) else result.error
    return ": ".join(part for part in (_WHY.get(left.verdict, left.verdict), said or left.reason) if part)


def _forget(database: TenantWarehouse, connector: Connector, users: str) -> None:
    """The state last: it says that there is something to forget."""
    for table in reversed(ACTIVATION_TABLES):
        _delete(database, table, f"connector_id = {connector.id} AND user_id IN ({users})")


def _delete(database: TenantWarehouse, table: str, where: str) -> None:
    if database.query(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1").result_rows:
        database.command(f"ALTER TABLE {table} DELETE WHERE {where}", None, {"mutations_sync": 1})
