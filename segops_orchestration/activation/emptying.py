"""Taking everybody out of an audience whom we added, and deleting connectors."""

from __future__ import annotations

from segops_orchestration.activation.lease import HeldConnector
from segops_orchestration.activation.result import SyncResult
from segops_orchestration.activation.session import Clock, utc_now
from segops_orchestration.activation.sync import run_sync
from segops_orchestration.activation.work import Patience
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

# The changelog and the runs stay: they say what was done to whom.
_FORGOTTEN = ("activation_state", "activation_plan", "activation_found")


def empty(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    connector: str,
    *,
    run_id: str | None = None,
    patience: Patience | None = None,
    clock: Clock = utc_now,
) -> SyncResult:
    """Remove all users from the audience whom we added, whatever the connector's status; nobody else.

    The breaker does not hold it: somebody has asked for just this. A connector that stays active fills the audience
    again with its next sync.

    Raises:
        NotFound, ConnectorBusy, WarehouseError: as ``sync``.
    """
    return run_sync(catalog, warehouse, tenant, connector, "empty", run_id, patience or Patience(), clock)


def delete_connector(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    connector: str,
    *,
    empty_first: bool,
    patience: Patience | None = None,
    clock: Clock = utc_now,
    actor: Actor | None = None,
) -> tuple[Connector, SyncResult | None]:
    """Delete a connector, with its audience emptied before or left as it is.

    When the emptying does not come to its end the connector stays, with the status ``deleting``: calling this again
    goes on. Returns the connector as it was last, and what the emptying came to.

    Raises:
        NotFound, ConnectorBusy, WarehouseError: as ``sync``.
    """
    emptied: SyncResult | None = None
    if empty_first:
        catalog.connectors.set_status(tenant, connector, "deleting", "its audience is being emptied")
        emptied = empty(catalog, warehouse, tenant, connector, patience=patience, clock=clock)
        if emptied.outcome != "succeeded" or emptied.backlog.audience:
            return catalog.connectors.get(tenant, connector), emptied
    with HeldConnector(catalog, tenant, connector, None) as held:
        # Once its state is forgotten nothing may be sent any more, should this break off.
        catalog.connectors.set_status(tenant, connector, "deleting", "it is being deleted", lease=held.lease)
        record = catalog.connectors.get(tenant, connector)
        database = warehouse.tenant(tenant)
        database.migrate()
        _forget(database, record)
        catalog.connectors.delete(tenant, connector, lease=held.lease, actor=actor)
        held.given_up()
    return record, emptied


def _forget(database: TenantWarehouse, connector: Connector) -> None:
    for table in _FORGOTTEN:
        database.command(
            f"ALTER TABLE {table} DELETE WHERE connector_id = {{connector_id:UInt64}}",
            {"connector_id": connector.id},
            {"mutations_sync": 1},
        )
