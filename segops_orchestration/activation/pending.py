"""What of a tenant's connectors is still to be delivered."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.activation.difference import Acknowledged, Backlog, acknowledged, backlogs
from segops_orchestration.activation.opening import require_type
from segops_orchestration.activation.session import Clock, utc_now
from segops_orchestration.activation.work import Patience, wanted_of
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse


def pending(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    connectors: Sequence[str] | None = None,
    *,
    clock: Clock = utc_now,
) -> dict[str, Backlog]:
    """What is left to be delivered, by connector: for all of a tenant's, or for those named.

    A connector whose segment is archived and whose audience stays as it is has nothing left.

    Raises:
        NotFound: no such tenant.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    every = [one for one in catalog.connectors.every(tenant) if connectors is None or one.slug in connectors]
    asked = [one for one in every if one.segment_status == "active" or one.when_archived == "empty"]
    found: dict[int, Backlog] = {}
    if asked:
        database = warehouse.tenant(tenant)
        database.migrate()
        stored = acknowledged(database, [one.id for one in asked])
        wanted = [
            wanted_of(catalog, one, require_type(one), Patience(), stored.get(one.id, Acknowledged())) for one in asked
        ]
        found = backlogs(database, wanted, clock())
    return {one.slug: found.get(one.id, Backlog()) for one in every}
