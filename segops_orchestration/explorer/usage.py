"""How much a tenant's database holds and how many events come, for figures that are polled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.explorer.session import look_settings
from segops_orchestration.warehouse.client import TenantWarehouse

DAYS = 30

# A day's events lie in one month's partition: parts of one month are merged with each other alone.
_ONE_MONTH_AT_A_TIME = {"do_not_merge_across_partitions_select_final": 1}
_BY_DAY = """SELECT toDate(occurred_at, 'UTC') AS day, count()
FROM events FINAL
WHERE occurred_at >= {start:DateTime64(3, 'UTC')} AND occurred_at <= {now:DateTime64(3, 'UTC')}
GROUP BY day
ORDER BY day"""
_SINCE = """SELECT count() FROM events FINAL
WHERE occurred_at > {start:DateTime64(3, 'UTC')} AND occurred_at <= {now:DateTime64(3, 'UTC')}"""

_STORED = """SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE database = {database:String} AND active
GROUP BY table
ORDER BY table"""


@dataclass(frozen=True)
class StoredTable:
    """A table with its rows, several deliveries of one event among them until they are merged, and bytes on disk."""

    table: str
    rows: int
    bytes: int


def events_by_day(warehouse: TenantWarehouse, now: datetime) -> list[tuple[date, int]]:
    """Events that occurred on each of the last ``DAYS`` days in UTC, today included; a day without any is 0.

    Raises:
        WarehouseError: ClickHouse refused, could not be reached, or it took too long.
    """
    first = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    start = datetime.combine(first, time(), UTC)
    counts = dict(warehouse.query(_BY_DAY, _bound(start, now), _settings(warehouse, "events by day")).result_rows)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return [(day, int(counts.get(day, 0))) for day in days]


def recent_events(warehouse: TenantWarehouse, now: datetime) -> int:
    """Events that occurred in the last ``DAYS`` times 24 hours.

    Raises:
        WarehouseError: ClickHouse refused, could not be reached, or it took too long.
    """
    start = now - timedelta(days=DAYS)
    ((count,),) = warehouse.query(_SINCE, _bound(start, now), _settings(warehouse, "events")).result_rows
    return int(count)


def stored_tables(warehouse: TenantWarehouse) -> Sequence[StoredTable]:
    """The tables that hold something, by name.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    rows = warehouse.query(_STORED, {"database": warehouse.database}, look_settings(warehouse, "storage")).result_rows
    return [StoredTable(table, int(count), int(size)) for table, count, size in rows]


def _bound(start: datetime, now: datetime) -> dict[str, object]:
    return {"start": instant_text(start), "now": instant_text(now)}


def _settings(warehouse: TenantWarehouse, what: str) -> dict[str, object]:
    return {**look_settings(warehouse, what), **_ONE_MONTH_AT_A_TIME}
