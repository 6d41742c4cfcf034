from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest

from segops_orchestration.compute.members import count_members, iter_members
from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.exports.export import FORMATS, Format, export_segment
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse

ENTERED = datetime(2026, 1, 31, 10, 0, 0, 123_000, tzinfo=UTC)
NASTY = [
    "plain",
    "comma,comma",
    'quote " and ""',
    "line\nbreak\r\n",
    'fooled? Z"\nZ""\n,Z"',
    " blanks ",
    "",
    "\\N",
    "NULL",
    "0123",
    "用户 Ünï 🎉",
    "back\\slash\ttab",
    "'; DROP TABLE events; --",
]


def enter(tenant: TenantWarehouse, users: Sequence[str], segment_id: int = 1) -> None:
    rows = [[segment_id, user, ENTERED, 1, 0] for user in users]
    columns = ["segment_id", "user_id", "computed_at", "version", "is_deleted"]
    tenant.insert("segment_memberships", rows, columns)


def read(path: Path, fmt: Format) -> list[tuple[str, datetime]]:
    """What pandas makes of a CSV and pyarrow of a Parquet file."""
    if fmt == "csv":
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        assert list(frame.columns) == ["user_id", "computed_at"]
        return [(user, datetime.fromisoformat(at)) for user, at in frame.itertuples(index=False)]
    table = pyarrow.parquet.read_table(path)
    return list(zip(table["user_id"].to_pylist(), table["computed_at"].to_pylist(), strict=True))


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_file_lists_exactly_the_members_in_order(
    fmt: Format, tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    enter(tenant_warehouse, NASTY)
    enter(tenant_warehouse, ["somebody else"], segment_id=2)
    tenant_warehouse.command(
        "INSERT INTO segment_memberships (segment_id, user_id, computed_at, version, is_deleted)"
        " VALUES (1, 'left again', 0, 1, 0), (1, 'left again', 0, 2, 1)"
    )

    file = export_segment(tenant_warehouse, 1, "vip", fmt=fmt, directory=tmp_path / "new" / "folder")

    assert file.path == tmp_path / "new" / "folder" / f"vip.{fmt}"
    assert read(file.path, fmt) == [(user, ENTERED) for user in sorted(NASTY, key=str.encode)]
    assert (file.format, file.rows, file.bytes) == (fmt, len(NASTY), file.path.stat().st_size)
    assert os.listdir(file.path.parent) == [f"vip.{fmt}"]


def test_csv_is_plain_text_with_iso_instants(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    enter(tenant_warehouse, ["a", 'b "c"'])

    file = export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path)

    assert file.path.read_bytes() == (
        b'"user_id","computed_at"\n"a","2026-01-31T10:00:00.123Z"\n"b ""c""","2026-01-31T10:00:00.123Z"\n'
    )


def test_parquet_has_plain_types_and_snappy(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    enter(tenant_warehouse, ["a"])

    file = export_segment(tenant_warehouse, 1, "vip", fmt="parquet", directory=tmp_path)

    schema = pyarrow.parquet.read_schema(file.path)
    assert [(field.name, str(field.type)) for field in schema] == [
        ("user_id", "string"),
        ("computed_at", "timestamp[ms, tz=UTC]"),
    ]
    assert pyarrow.parquet.read_metadata(file.path).row_group(0).column(0).compression == "SNAPPY"


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_empty_segment_is_a_file_without_rows(
    fmt: Format, tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    file = export_segment(tenant_warehouse, 1, "vip", fmt=fmt, directory=tmp_path)

    assert (file.rows, read(file.path, fmt)) == (0, [])
