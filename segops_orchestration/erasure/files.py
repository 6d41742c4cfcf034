"""Exported files that hold somebody who is being erased."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.erasure.requests import ErasedFile
from segops_orchestration.errors import SegOpsError
from segops_orchestration.exports.export import FORMATS, Format, export_segment
from segops_orchestration.warehouse.client import TenantWarehouse

_LOCK_SECONDS = 600
# As the exports of Dagster lock their directory.
_LOCK = ".lock"


def erase_files(
    catalog: Catalog, database: TenantWarehouse, directory: Path, user_ids: frozenset[str]
) -> list[ErasedFile]:
    """Write those files of a tenant anew that hold one of these ids; delete those that belong to no segment any more.

    The ids are out of the segments by now.

    Raises:
        SegOpsError: a file cannot be read or written, or the directory is in use for too long.
    """
    if not directory.is_dir():
        return []
    try:
        with FileLock(directory / _LOCK, timeout=_LOCK_SECONDS):
            return [_erase(catalog, database, file) for file in _files(directory) if _holds(file, user_ids)]
    except Timeout as error:
        raise SegOpsError(f"{directory}: another process has been exporting into it for too long") from error
    except OSError as error:
        raise SegOpsError(f"{error.filename or directory}: {error.strerror or error}") from error


def _files(directory: Path) -> Iterator[Path]:
    """Files of members, those that were never finished too."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and _format(path) is not None:
            yield path


def _format(path: Path) -> Format | None:
    """By its name; one in the making is ``.vip.csv.host@pid-0a1b2c3d.partial``."""
    name = path.name if path.suffix != ".partial" else path.name.rsplit("-", 1)[0].rsplit("@", 1)[0]
    return next((fmt for fmt in FORMATS if f".{fmt}" in name[-len(fmt) - 1 :] or f".{fmt}." in name), None)


def _erase(catalog: Catalog, database: TenantWarehouse, file: Path) -> ErasedFile:
    slugs = {one.slug: one.id for one in catalog.list_segments(database.slug)}
    fmt = _format(file)
    if fmt is not None and file.name == f"{file.stem}.{fmt}" and file.stem in slugs:
        export_segment(database, slugs[file.stem], file.stem, fmt=fmt, directory=file.parent)
        return ErasedFile(str(file), "rewritten")
    file.unlink(missing_ok=True)
    return ErasedFile(str(file), "deleted")


def _holds(file: Path, user_ids: frozenset[str]) -> bool:
    if file.suffix == ".partial":
        # It may be cut off anywhere, so it is searched as bytes.
        return _mentions(file, [one.encode() for one in user_ids])
    return any(user in user_ids for user in (_csv_users(file) if file.suffix == ".csv" else _parquet_users(file)))


def _csv_users(file: Path) -> Iterator[str]:
    csv.field_size_limit(min(sys.maxsize, 1 << 30))
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            yield row[0] if row else ""


def _parquet_users(file: Path) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        for batch in parquet.iter_batches(columns=["user_id"]):
            for user in batch.column(0).to_pylist():
                yield user.decode() if isinstance(user, bytes) else user
    except pyarrow.ArrowException as error:
        raise SegOpsError(f"{file}: it cannot be read, so nobody knows whom it holds; delete it: {error}") from error


def _mentions(file: Path, names: list[bytes]) -> bool:
    overlap = max(map(len, names))
    with file.open("rb") as handle:
        tail = b""
        while chunk := handle.read(1 << 20):
            tail += chunk
            if any(name in tail for name in names):
                return True
            tail = tail[-overlap:]
    return False
