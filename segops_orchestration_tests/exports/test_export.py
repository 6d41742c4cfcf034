from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest

from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.exports import export
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


# Many


def test_a_million_members_pass_through_little_memory(
    settings: Settings, tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    tenant_warehouse.command(
        "INSERT INTO segment_memberships (segment_id, user_id, computed_at, version, is_deleted)"
        " SELECT 1, concat('a customer with rather a long name ', toString(number)), now64(3, 'UTC'), 1, 0"
        " FROM numbers(1200000)"
    )

    grown, *files = json.loads(in_another_process("measure", tenant_warehouse.slug, tmp_path).stdout)

    assert files == [
        ["csv", 1_200_000, (tmp_path / "vip.csv").stat().st_size],
        ["parquet", 1_200_000, (tmp_path / "vip.parquet").stat().st_size],
    ]
    assert (tmp_path / "vip.csv").stat().st_size > 80_000_000
    assert grown < 40_000_000


# Failures


def test_a_process_that_is_killed_leaves_no_partial_file_behind_its_name(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    enter(tenant_warehouse, ["a"])
    earlier = export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path).path.read_bytes()
    enter(tenant_warehouse, ["b"])

    killed = in_another_process("die", tenant_warehouse.slug, tmp_path)

    assert killed.returncode == -signal.SIGKILL
    left = sorted(os.listdir(tmp_path))
    assert (len(left), left[1]) == (2, "vip.csv")
    assert (tmp_path / "vip.csv").read_bytes() == earlier

    export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path)
    assert os.listdir(tmp_path) == ["vip.csv"]


def test_only_what_nobody_is_writing_is_cleaned_away(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    host, mine = socket.gethostname(), os.getpid()
    alive = tmp_path / f".vip.csv.{host}@{mine}-00000000.partial"
    elsewhere = tmp_path / ".vip.csv.elsewhere@1-00000000.partial"
    another_segment = tmp_path / f".gold.csv.{host}@{2**31 - 1}-00000000.partial"
    kept = [alive, elsewhere, another_segment]
    dead = tmp_path / f".vip.csv.{host}@{2**31 - 1}-00000000.partial"
    number_reused = tmp_path / f".vip.csv.{host}@{mine}-11111111.partial"
    long_ago = tmp_path / ".vip.csv.elsewhere@2-00000000.partial"
    for file in [*kept, dead, number_reused, long_ago]:
        file.touch()
    for file in [number_reused, long_ago]:
        os.utime(file, (0, 0))

    export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "vip.csv"])


def test_a_full_disk_is_one_message_and_no_file(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    enter(tenant_warehouse, [f"user {number}" for number in range(10_000)])

    refused = in_another_process("fill", tenant_warehouse.slug, tmp_path)

    assert refused.stdout == f"{tmp_path}/vip.csv: cannot be written: File too large\n"
    assert os.listdir(tmp_path) == []


def test_a_target_that_cannot_be_is_one_message(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "vip.csv").mkdir()

    with pytest.raises(SegOpsError, match=r"/file/vip\.csv: cannot be written: (File exists|Not a directory)$"):
        export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path / "file")
    with pytest.raises(SegOpsError, match=r"/vip\.csv: cannot be written: Is a directory$"):
        export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["file", "vip.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_one_message(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(SegOpsError, match=r"/vip\.csv: cannot be written: Permission denied$"):
        export_segment(tenant_warehouse, 1, "vip", fmt="csv", directory=tmp_path)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_result_that_breaks_off_leaves_the_earlier_file(
    fmt: Format, tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tenant_warehouse, ["a"])
    earlier = export_segment(tenant_warehouse, 1, "vip", fmt=fmt, directory=tmp_path).path.read_bytes()
    breaks = (
        "SELECT toString(number) AS user_id, now64(3, 'UTC') + throwIf(number = 2000000, 'broken') AS computed_at"
        " FROM numbers(3000000) WHERE {segment_id:UInt64} = 1"
    )
    monkeypatch.setattr(export, "_MEMBERS", breaks)

    with pytest.raises(WarehouseError, match="broken"):
        export_segment(tenant_warehouse, 1, "vip", fmt=fmt, directory=tmp_path)

    assert os.listdir(tmp_path) == [f"vip.{fmt}"]
    assert (tmp_path / f"vip.{fmt}").read_bytes() == earlier


def in_another_process(action: str, tenant: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segops_orchestration_tests.exports.exporting", action, tenant, str(directory)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
