"""Taking users out of a tenant's data, so that what is left is as if they had never been there.

A delta after it equals a full computation: who has no events is not in ``users``, so no definition holds for them, and
no reason to be a candidate is left, because arrivals, times and recorded changes are gone as well. The caller holds the
tenant's lease and has recovered what a computation left behind.

Events come in meanwhile, into several tables one after another. Nothing may be left half taken: the inserts that were
running when the tables were emptied are waited for, and what they wrote is taken out too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Lease
from segops_orchestration.compute.apply import drop_staging
from segops_orchestration.compute.lookup import TABLE as LOOKUP
from segops_orchestration.compute.lookup import drop_unfinished_lookup
from segops_orchestration.compute.scratch import empty_scratch
from segops_orchestration.errors import WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse

EVENT_TABLES = ("events", "events_by_user", "events_by_time", "identifications", "users")
MEMBERSHIP_TABLES = ("segment_memberships", "membership_changes")
_ROUNDS = 20
_MOST_SECONDS = 3600
_MUTATION: Mapping[str, object] = {"mutations_sync": 1, "max_execution_time": _MOST_SECONDS}
_AT_ONCE = 4

_INSERTS = """SELECT query_id FROM system.processes
WHERE current_database = {database:String} AND query_kind IN ('Insert', 'AsyncInsertFlush')"""

_MASKED = """SELECT DISTINCT table FROM system.parts
WHERE active AND database = {database:String} AND has_lightweight_delete"""


def take_out(database: TenantWarehouse, users: str, tables: Sequence[str]) -> None:
    """Delete all rows of these users, for good: from their parts on disk, too, once ClickHouse drops the old ones.

    Args:
        users: a SELECT of user ids. It becomes part of what ClickHouse keeps about a deletion, so it must not name any.

    Raises:
        WarehouseError: ClickHouse refused, or events of these users do not stop coming in.
    """
    hold_watermark(database)
    for _ in range(_ROUNDS):
        delete_users(database, users, tables)
        wait_for_inserts(database)
        if not any(count_rows(database, users, tables).values()):
            return
    raise WarehouseError(f"{database.slug}: events of the user keep coming in; stop what sends them, and try again")


def hold_watermark(database: TenantWarehouse) -> None:
    """Have the newest arrival be nobody's. Were the newest part emptied, the sequence of arrivals would step back."""
    database.command("INSERT INTO arrivals (ingested_at, user_id) SELECT now64(3, 'UTC'), ''")


def count_rows(database: TenantWarehouse, users: str, tables: Sequence[str]) -> dict[str, int]:
    """How many rows of these users each table holds."""
    counts = [f"SELECT '{table}', count() FROM {table} WHERE user_id IN ({users})" for table in tables]
    rows = database.query("\nUNION ALL\n".join(counts)).result_rows
    return {table: int(count) for table, count in rows}


def delete_users(database: TenantWarehouse, users: str, tables: Sequence[str]) -> None:
    """Delete what is visible of these users now."""
    holding = [table for table, count in count_rows(database, users, tables).items() if count]

    def delete(table: str) -> None:
        database.command(f"ALTER TABLE {table} DELETE WHERE user_id IN ({users})", None, _MUTATION)

    with ThreadPoolExecutor(_AT_ONCE) as workers:
        list(workers.map(delete, holding))


def purge_masked(database: TenantWarehouse) -> None:
    """Have rows removed from disk that were only marked as deleted when events were moved."""
    for (table,) in database.query(_MASKED, {"database": database.database}).result_rows:
        database.command(f"ALTER TABLE {table} APPLY DELETED MASK", None, _MUTATION)


def wait_for_inserts(database: TenantWarehouse) -> None:
    """Wait until every INSERT that is running now is over: its rows are then in all tables, or in none."""
    bound = {"database": database.database}
    running = {query for (query,) in database.query(_INSERTS, bound).result_rows}
    deadline, pause = time.monotonic() + _MOST_SECONDS, 0.02
    while running:
        if time.monotonic() > deadline:
            raise WarehouseError(f"{database.slug}: an INSERT has been running for {_MOST_SECONDS} s")
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
        running &= {query for (query,) in database.query(_INSERTS, bound).result_rows}


def clear_scratch(database: TenantWarehouse) -> None:
    """Empty what computations leave lying about that died."""
    empty_scratch(database)
    drop_staging(database)
    drop_unfinished_lookup(database)


def has_lookup(database: TenantWarehouse) -> bool:
    """Whether the tenant has the table ``memberships_by_user``."""
    return bool(database.query(f"EXISTS TABLE {LOOKUP}").result_rows[0][0])


def recount_members(catalog: Catalog, database: TenantWarehouse, lease: Lease) -> None:
    """Have the ledger say how many members each segment has now: deltas add to that number."""
    rows = database.query("SELECT segment_id, count() FROM segment_memberships FINAL GROUP BY segment_id").result_rows
    catalog.persons.recount_members(database.slug, dict(rows), lease=lease)
