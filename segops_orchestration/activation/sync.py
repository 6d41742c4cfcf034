"""``sync()``: the one way an audience changes, whoever asks.

Desired are the members of the segment, acknowledged is what ``activation_state`` says. The difference is taken inside
ClickHouse and written down as a plan; the plan is sent batch by batch, with its intent before and its answer after.
A crash between any two steps leaves either users who were not sent, users who were recorded, or users whose outcome is
unknown: those are sent once more, and the opposite of what was sent waits until it can no longer be overtaken.
"""

from __future__ import annotations

from collections.abc import Callable

from segops_orchestration.activation.difference import Backlog
from segops_orchestration.activation.lease import HeldConnector
from segops_orchestration.activation.opening import require_type
from segops_orchestration.activation.pending import pending
from segops_orchestration.activation.result import Outcome, PlannedUser, SyncResult
from segops_orchestration.activation.session import Clock, Session, utc_now
from segops_orchestration.activation.work import Patience, SyncWork
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector, SyncKind
from segops_orchestration.warehouse.client import Warehouse


def sync(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    connector: str,
    *,
    dry_run: bool = False,
    run_id: str | None = None,
    patience: Patience | None = None,
    clock: Clock = utc_now,
    show: Callable[[PlannedUser], None] | None = None,
) -> SyncResult:
    """Bring the platform's audience to the members of the segment.

    Args:
        connector: its slug.
        dry_run: send nothing; ``show`` is called with every row that would be sent, whatever the connector's status.
        run_id: the Dagster run on whose behalf this happens.

    Raises:
        NotFound: no such tenant or connector.
        ConnectorBusy: another sync of the connector is running, still after the wait.
        WarehouseError: ClickHouse refused or could not be reached. The next sync goes on from there.
    """
    kind: SyncKind = "dry_run" if dry_run else "sync"
    return run_sync(catalog, warehouse, tenant, connector, kind, run_id, patience or Patience(), clock, show)


def run_sync(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    slug: str,
    kind: SyncKind,
    run_id: str | None,
    patience: Patience,
    clock: Clock,
    show: Callable[[PlannedUser], None] | None = None,
    work: Callable[..., SyncWork] = SyncWork,
) -> SyncResult:
    """``sync`` of any kind; ``empty`` takes everybody out whom we added, ``work`` does something of its own."""
    catalog.connectors.get(tenant, slug)
    database = warehouse.tenant(tenant)
    with HeldConnector(catalog, tenant, slug, run_id, patience.lease, patience.wait) as held:
        database.migrate()
        connector = catalog.connectors.get(tenant, slug)
        require_type(connector)
        resting = _resting(connector, kind)
        if resting is not None:
            left = Backlog()
            if resting != "left":
                left = pending(catalog, warehouse, tenant, [slug], clock=clock)[slug]
            return SyncResult(
                connector, kind, resting, left, error=connector.status_reason, permanent=resting == "error"
            )
        record = catalog.connectors.begin_sync(tenant, slug, kind, run_id=run_id, lease=held.lease)
        session = Session(database, connector, record.id, clock)
        return work(catalog, held, session, record, patience, show).run()


def _resting(connector: Connector, kind: SyncKind) -> Outcome | None:
    """Why nothing is sent, whatever the difference."""
    if connector.segment_status == "archived" and connector.when_archived == "leave" and kind in ("sync", "dry_run"):
        return "left"
    if kind not in ("sync", "repair"):
        return None
    if connector.status in ("paused", "deleting"):
        return "paused"
    return "error" if connector.status == "error" else None
