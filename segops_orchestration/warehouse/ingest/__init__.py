"""Events from files into a tenant's warehouse: CSV, JSON lines and Parquet of any size.

Rows travel in blocks of some megabytes as Arrow arrays; what is bad is refused row by row with its reason and kept in
``dead_letters``, what is good is written in INSERTs of some 200,000 events. Importing this package is light: Arrow
comes with the first call.

Row numbers count as a person does: in CSV the header is row 1 (what a spreadsheet shows, and the line number as long as
no quoted field spans lines), in JSON lines it is the line number, in Parquet the first row is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest.event import Event
from segops_orchestration.warehouse.ingest.mapping import ColumnMapping
from segops_orchestration.warehouse.ingest.report import Example, IngestReport, ProblemGroup, Progress

__all__ = [
    "ColumnMapping",
    "Event",
    "Example",
    "IngestReport",
    "ProblemGroup",
    "Progress",
    "check_files",
    "ingest_file",
    "ingest_files",
    "insert_events",
]


def ingest_files(
    tenant_warehouse: TenantWarehouse,
    paths: Sequence[Path | str],
    mapping: ColumnMapping,
    *,
    strict: bool = False,
    format: str | None = None,
    delimiter: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[IngestReport]:
    """Load files, in order. Loading a file again adds nothing, under whatever name, compressed or not.

    Args:
        mapping: which columns mean what; it holds for every file.
        strict: read and check all files first, and load none of them if any row is bad.
        format: ``csv``, ``jsonl`` or ``parquet``; None goes by each file's extension.
        delimiter: of CSV; None is a tab for .tsv, else a comma.
        progress: called after every block.

    Returns:
        One report a file. Bad rows are no error: see ``IngestReport.bad``.

    Raises:
        NotFound: a file does not exist.
        SegOpsError: a file cannot be read or its columns do not fit; then nothing of any file was written. Or one
            turned out broken later on; the message says what had been loaded by then.
        WarehouseError: ClickHouse refused a batch.
    """
    from segops_orchestration.warehouse.ingest import load

    return load.ingest_files(
        tenant_warehouse, paths, mapping, strict=strict, format=format, delimiter=delimiter, progress=progress
    )


def ingest_file(
    tenant_warehouse: TenantWarehouse,
    path: Path | str,
    mapping: ColumnMapping | None = None,
    *,
    strict: bool = False,
    format: str | None = None,
    delimiter: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Load one file; see :func:`ingest_files`."""
    (report,) = ingest_files(
        tenant_warehouse,
        [path],
        mapping or ColumnMapping(),
        strict=strict,
        format=format,
        delimiter=delimiter,
        progress=progress,
    )
    return report


def check_files(
    paths: Sequence[Path | str],
    mapping: ColumnMapping,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[IngestReport]:
    """Read and check files as :func:`ingest_files` would, and write nothing."""
    from segops_orchestration.warehouse.ingest import load

    return load.ingest_files(None, paths, mapping, format=format, delimiter=delimiter, progress=progress)


def insert_events(tenant_warehouse: TenantWarehouse, events: Iterable[Event]) -> int:
    """Write events of Python values in one INSERT, all or none; returns how many.

    Raises:
        InvalidDocument: events break rules, and none is written; a problem names the place (``events[3].user_id``).
        WarehouseError: ClickHouse refused them.
    """
    from segops_orchestration.warehouse.ingest import values

    return values.insert_events(tenant_warehouse, events)
