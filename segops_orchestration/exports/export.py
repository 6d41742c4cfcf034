"""One segment's members as a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from segops_orchestration.exports.whole_file import WholeFile, whole_file
from segops_orchestration.warehouse.client import TenantWarehouse

Format = Literal["csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

# The order is that of the table's key, so neither the server nor this process ever holds more than some blocks.
_MEMBERS = """SELECT user_id, computed_at
FROM segment_memberships FINAL
WHERE segment_id = {segment_id:UInt64}
ORDER BY user_id"""

_CLICKHOUSE_FORMAT: Mapping[Format, str] = {"csv": "CSVWithNames", "parquet": "Parquet"}
_SETTINGS: Mapping[Format, Mapping[str, object]] = {
    "csv": {"date_time_output_format": "iso"},
    "parquet": {"output_format_parquet_compression_method": "snappy"},
}
# How every row of our CSV ends. Inside a user id a quote is doubled, so there this cannot occur.
_END_OF_ROW = b'Z"\n'


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written whole: its absolute path, how many members it lists, its size."""

    path: Path
    format: Format
    rows: int
    bytes: int


def export_segment(
    tenant_warehouse: TenantWarehouse, segment_id: int, slug: str, *, fmt: Format, directory: Path
) -> ExportedFile:
    """Write the segment's members to ``directory/slug.fmt``, in place of an earlier file of that name.

    Columns: ``user_id`` and ``computed_at``, the instant of the computation in which the user entered; ordered by
    user id. In CSV (UTF-8, with a header) an instant is ``2026-01-31T10:00:00.000Z``; in Parquet (Snappy) it is a UTC
    timestamp in milliseconds. Streamed: memory does not grow with the segment.

    Raises:
        SegOpsError: the file cannot be written.
        WarehouseError: ClickHouse refused, or the result broke off. No file is left, or the earlier one.
    """
    path = directory.absolute() / f"{slug}.{fmt}"
    query = tenant_warehouse.stream_bytes(
        _MEMBERS, {"segment_id": segment_id}, fmt=_CLICKHOUSE_FORMAT[fmt], settings=_SETTINGS[fmt]
    )
    with whole_file(path) as file:
        with query as chunks:
            csv_rows = _write_all(file, chunks)
        size = file.tell()
        rows = csv_rows if fmt == "csv" else _parquet_rows(file)
    return ExportedFile(path, fmt, rows, size)


def _write_all(file: WholeFile, chunks: Iterator[bytes]) -> int:
    """Write the chunks; returns how many ends of a CSV row went by."""
    rows = 0
    tail = b""
    for chunk in chunks:
        file.write(chunk)
        # A mark can lie across two chunks.
        rows += (tail + chunk).count(_END_OF_ROW)
        tail = chunk[1 - len(_END_OF_ROW) :]
    return rows


def _parquet_rows(file: WholeFile) -> int:
    """What the footer says; reading it also shows that the file is complete."""
    import pyarrow.parquet

    file.flush()
    return int(pyarrow.parquet.read_metadata(file.handle).num_rows)
