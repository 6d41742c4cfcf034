"""The scratch tables of delta computations: a partition per computation, dropped when it is over."""

from __future__ import annotations

from segops_orchestration.warehouse.client import TenantWarehouse

_TABLES = ("candidates", "candidate_events")


def drop_scratch(warehouse: TenantWarehouse) -> None:
    """Drop every partition. The caller holds the tenant's lease, so nobody else is using one."""
    rows = warehouse.query(
        "SELECT DISTINCT table, partition_id FROM system.parts"
        " WHERE active AND database = {database:String} AND table IN {tables:Array(String)}"
        " ORDER BY table, partition_id",
        {"database": warehouse.database, "tables": list(_TABLES)},
    ).result_rows
    for table, partition_id in rows:
        warehouse.command(f"ALTER TABLE {table} DROP PARTITION ID {{id:String}}", {"id": partition_id})
