"""The scratch tables of delta computations, emptied when one is over."""

from __future__ import annotations

from segops_orchestration.warehouse.client import TenantWarehouse

_TABLES = ("candidates", "candidate_events")


def empty_scratch(warehouse: TenantWarehouse) -> None:
    """Empty them, leftovers of crashed computations included.

    The caller holds the tenant's lease, so nobody else is using them.
    """
    for table in _TABLES:
        warehouse.command(f"TRUNCATE TABLE {table}")
