"""The scratch tables of delta computations, emptied when one is over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from segops_orchestration.warehouse.client import TenantWarehouse

_TABLES = ("candidates", "candidate_events")


def empty_scratch(warehouse: TenantWarehouse) -> None:
    """Empty them, leftovers of crashed computations included.

    The caller holds the tenant's lease, so nobody else is using them.
    """
    with ThreadPoolExecutor(len(_TABLES)) as workers:
        list(workers.map(lambda table: warehouse.command(f"TRUNCATE TABLE {table}"), _TABLES))
