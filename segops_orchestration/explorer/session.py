"""What bounds a query that somebody waits for."""

from __future__ import annotations

import json

from segops_orchestration.compute.session import memory_settings
from segops_orchestration.warehouse.client import TenantWarehouse

MAX_SECONDS = 20
# The part of a computation's memory that one look may hold: several people look at once, beside computations.
_MEMORY_SHARE = 4
_LEAST_MEMORY = 256 << 20


def look_settings(warehouse: TenantWarehouse, what: str) -> dict[str, object]:
    """ClickHouse settings of one look at a tenant: its time, its memory, and what it is called in the server's log."""
    return {
        **memory_settings(max(warehouse.query_memory // _MEMORY_SHARE, min(_LEAST_MEMORY, warehouse.query_memory))),
        "max_execution_time": MAX_SECONDS,
        "log_comment": json.dumps({"tenant": warehouse.slug, "look": what}),
    }
