"""Small files in, events out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import IngestReport

HEADER = "user_id,event_type,occurred_at"
DAY = "2026-01-31"


def csv_file(directory: Path, *rows: str | bytes, header: str = HEADER, name: str = "events.csv") -> Path:
    """A CSV file of these lines below a header."""
    path = directory / name
    lines = [header.encode(), *(row if isinstance(row, bytes) else row.encode() for row in rows)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def jsonl_file(directory: Path, *rows: object, name: str = "events.jsonl") -> Path:
    """A file with one JSON document a line; text is taken as a line already written."""
    path = directory / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def event(**fields: object) -> dict[str, object]:
    """A good event as a JSON object, with some fields set; a field set to None is left out."""
    whole = {"user_id": "u1", "event_type": "order_placed", "occurred_at": DAY} | fields
    return {name: value for name, value in whole.items() if value is not None}


def payloads(tenant: TenantWarehouse) -> list[str]:
    """Payloads of all events, by user."""
    return column(tenant, "payload")


def column(tenant: TenantWarehouse, name: str) -> list[str]:
    """One column of all events as text, by user and id. ``name`` is SQL of the test's own."""
    found = tenant.query(f"SELECT toString({name}) FROM events ORDER BY user_id, event_id").result_rows
    return [value for (value,) in found]


def times(tenant: TenantWarehouse) -> list[datetime]:
    """Times of all events, by user."""
    return [value for (value,) in tenant.query("SELECT occurred_at FROM events ORDER BY user_id, event_id").result_rows]


def count(tenant: TenantWarehouse, table: str = "events") -> int:
    """Rows as they lie in the table, merged or not."""
    return int(tenant.query(f"SELECT count() FROM {table}").result_rows[0][0])


def utc(*parts: int) -> datetime:
    """An instant in UTC; the seventh part is milliseconds."""
    year, month, day, hour, minute, second, milli = (*parts, *(0,) * (7 - len(parts)))
    return datetime(year, month, day, hour, minute, second, milli * 1000, tzinfo=UTC)


def refused(report: IngestReport) -> set[tuple[str, int]]:
    """(field, row) of the examples of what was refused."""
    return {(group.field, each.row) for group in report.problems for each in group.examples}


def reasons(report: IngestReport) -> dict[str, str]:
    """The reason given for each field; for tests with one reason a field."""
    return {group.field: group.reason for group in report.problems}


def repeated(rows: Iterable[str], times: int) -> list[str]:
    """The rows, over and over."""
    return [row for _ in range(times) for row in rows]
