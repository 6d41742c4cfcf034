"""Erasing people of a shop, and looking for what is left of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import MetaData, select

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute.compute import compute
from segops_orchestration.erasure.erase import Surroundings, begin, finish
from segops_orchestration.erasure.requests import Certificate
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration_tests.activation.roster.shop import SOON, Shop

_numbers = count(1)


def order(shop: Shop, users: Iterable[str], event_type: str = "order", at: str = "2026-01-01 00:00:00.000") -> None:
    """One event of each user, as an ingester writes it."""
    rows = [
        {
            "event_id": str(UUID(int=next(_numbers))),
            "user_id": user,
            "event_type": event_type,
            "occurred_at": at,
            "payload": json.dumps({"by": user}),
        }
        for user in users
    ]
    shop.database.insert_bytes("events", ["\n".join(map(json.dumps, rows)).encode()], "JSONEachRow", tuple(rows[0]))


def run(shop: Shop) -> None:
    """Compute by delta, and sync."""
    compute(shop.catalog, shop.warehouse, shop.tenant)
    result = shop.sync()
    assert result.outcome == "succeeded", result.error


def erase(shop: Shop, user: str, exports: Path, *, force: bool = False, leave_at: Iterable[str] = ()) -> Certificate:
    around = Surroundings([exports], 5.0, 1.0, frozenset(leave_at), SOON, shop.clock)
    request = begin(shop.database, user, "the test", force=force)
    return finish(shop.catalog, shop.warehouse, shop.tenant, request, around)


def tables_with(database: TenantWarehouse, text: str) -> set[str]:
    """The tables of a tenant's database in any row of which the text stands, and ``mutations`` if it stands there."""
    tables = database.query(
        "SELECT name FROM system.tables WHERE database = {name:String} AND engine NOT LIKE '%View'",
        {"name": database.database},
    ).result_rows
    found = {
        table
        for (table,) in tables
        if _rows(database, f"SELECT count() FROM {table} WHERE position(toString(tuple(*)), {{text:String}}) > 0", text)
    }
    mutations = (
        "SELECT count() FROM system.mutations"
        " WHERE database = currentDatabase() AND position(command, {text:String}) > 0"
    )
    return found | ({"mutations"} if _rows(database, mutations, text) else set())


def _rows(database: TenantWarehouse, sql: str, text: str) -> int:
    # Rows that are only marked as deleted count too.
    ((rows,),) = database.query(sql, {"text": text}, {"apply_deleted_mask": 0}).result_rows
    return int(rows)


def catalogue_with(catalog: Catalog, text: str) -> set[str]:
    """The tables of the catalogue in any row of which the text stands."""
    engine = catalog._readers
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name
            for table in metadata.tables.values()
            for row in connection.execute(select(table))
            if any(text in str(value) for value in row)
        }


def stored(shop: Shop) -> Any:
    """What is in the tenant's segments, by segment and user."""
    return set(shop.rows("SELECT segment_id, user_id FROM segment_memberships FINAL"))
