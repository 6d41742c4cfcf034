"""Parquet: native types become JSON types, ids and times."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file
from segops_orchestration_tests.warehouse.ingest.helpers import (
    column,
    count,
    payloads,
    reasons,
    refused,
    times,
    utc,
)

NOON = datetime(2026, 1, 31, 12, 0, 0, 123999, tzinfo=UTC)


def parquet_file(directory: Path, rows: int = 1, **columns: Any) -> Path:
    """A Parquet file of good events with some columns set."""
    whole = {
        "user_id": pa.array([f"u{place}" for place in range(rows)]),
        "event_type": pa.array(["a"] * rows),
        "occurred_at": pa.array([NOON] * rows, pa.timestamp("us")),
    } | columns
    path = directory / "events.parquet"
    pq.write_table(pa.table(whole), path)
    return path


@pytest.mark.parametrize(
    ("values", "json"),
    [
        (pa.array([7], pa.int64()), "7"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([0.1], pa.float64()), "0.1"),
        (pa.array([0.1], pa.float32()), "0.1"),
        (pa.array([1e300], pa.float64()), "1e+300"),
        (pa.array([Decimal("1.10")]), "1.10"),
        (pa.array([True]), "true"),
        (pa.array(["007"]), '"007"'),
        (pa.array(['say "é"']), '"say \\"é\\""'),
        (pa.array(["x"]).dictionary_encode(), '"x"'),
        (pa.array(["x"], pa.large_string()), '"x"'),
        (pa.array([NOON], pa.timestamp("us")), '"2026-01-31T12:00:00.123Z"'),
        (pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")), '"2026-01-31T12:00:00.123Z"'),
        (pa.array([date(2026, 1, 31)]), '"2026-01-31"'),
        (pa.array([time(10, 20, 30)], pa.time32("ms")), '"10:20:30.000"'),
        (pa.array([[1, None, 3]]), "[1,null,3]"),
        (pa.array([{"a": 1, "b": {"c": "x"}}]), '{"a":1,"b":{"c":"x"}}'),
        (pa.array([[{"price": Decimal("1.10"), "at": NOON}]]), '[{"price":1.10,"at":"2026-01-31T12:00:00.123Z"}]'),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '{"k":1}'),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_property_has_the_json_type_of_its_column(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, values: Any, json: str
) -> None:
    report = ingest_file(tenant_warehouse, parquet_file(tmp_path, x=values))

    assert report.problems == ()
    assert payloads(tenant_warehouse) == ['{"x":' + json + "}"]


def test_null_is_no_property(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    columns = {"a": pa.array([None, 1]), "b": pa.array([1.5, None]), "c": pa.nulls(2), "d": pa.array([None, [1]])}

    ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=2, **columns))

    assert payloads(tenant_warehouse) == ['{"b":1.5}', '{"a":1,"d":[1]}']


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_hold_refuses_its_row(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, bad: float
) -> None:
    columns = {"x": pa.array([1.0, bad, None]), "y": pa.array([[1.0], [1.0], [bad]])}

    report = ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=3, **columns))

    assert refused(report) == {("x", 2), ("y", 3)}
    assert set(reasons(report).values()) == {"NaN or infinity, which JSON cannot hold"}
    assert report.loaded == 1


@pytest.mark.parametrize(
    ("values", "instant"),
    [
        (pa.array([NOON], pa.timestamp("us")), utc(2026, 1, 31, 12, 0, 0, 123)),
        (pa.array([NOON], pa.timestamp("ns", "America/New_York")), utc(2026, 1, 31, 12, 0, 0, 123)),
        (pa.array([1769860800], pa.timestamp("s")), utc(2026, 1, 31, 12)),
        (pa.array([date(2026, 1, 31)], pa.date32()), utc(2026, 1, 31)),
        (pa.array([date(2026, 1, 31)], pa.date64()), utc(2026, 1, 31)),
        (pa.array(["2026-01-31T12:00:00+01:00"]), utc(2026, 1, 31, 11)),
        (pa.array(["2026-01-31"]).dictionary_encode(), utc(2026, 1, 31)),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_times_may_have_any_type_of_time(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, values: Any, instant: datetime
) -> None:
    ingest_file(tenant_warehouse, parquet_file(tmp_path, occurred_at=values))

    assert times(tenant_warehouse) == [instant]


@pytest.mark.parametrize(
    ("values", "time_format", "instant"),
    [
        (pa.array([1769860800]), "epoch_seconds", utc(2026, 1, 31, 12)),
        (pa.array([1769860800123], pa.uint64()), "epoch_milliseconds", utc(2026, 1, 31, 12, 0, 0, 123)),
        (pa.array([1769860800.1239]), "epoch_seconds", utc(2026, 1, 31, 12, 0, 0, 123)),
        (pa.array([20260131], pa.int32()), "%Y%m%d", utc(2026, 1, 31)),
    ],
    ids=["seconds", "milliseconds", "fractions", "digits"],
)
def test_numbers_are_times_when_a_format_says_so(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, values: Any, time_format: str, instant: datetime
) -> None:
    path = parquet_file(tmp_path, occurred_at=values)

    ingest_file(tenant_warehouse, path, ColumnMapping(occurred_at_format=time_format))

    assert times(tenant_warehouse) == [instant]


def test_times_out_of_range_and_missing_are_refused_by_row(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    values = pa.array([NOON, utc(1960, 1, 1), None, utc(2999, 1, 1)], pa.timestamp("us"))

    report = ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=4, occurred_at=values))

    assert refused(report) == {("occurred_at", 2), ("occurred_at", 3), ("occurred_at", 4)}
    assert {group.reason for group in report.problems} == {"missing", "outside the years 1970 to 2200"}


def test_user_ids_may_be_whole_numbers(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    report = ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=2, user_id=pa.array([42, None])))

    assert column(tenant_warehouse, "user_id") == ["42"]
    assert refused(report) == {("user_id", 2)}


def test_event_ids_may_be_uuids_or_sixteen_bytes(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    given = [uuid.uuid4(), uuid.uuid4()]
    raw = [each.bytes for each in given]

    ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=2, event_id=pa.array(raw, pa.binary(16))))
    ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=2, event_id=pa.array(raw, pa.uuid())))

    assert set(column(tenant_warehouse, "event_id")) == {str(each) for each in given}
    assert count(tenant_warehouse) == 2


def test_a_payload_may_be_json_text_or_a_struct(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    ingest_file(tenant_warehouse, parquet_file(tmp_path, rows=2, payload=pa.array(['{"a": 1}', None])))
    assert payloads(tenant_warehouse) == ['{"a": 1}', "{}"]

    ingest_file(tenant_warehouse, parquet_file(tmp_path, payload=pa.array([{"a": 1, "b": None}])))
    assert '{"a":1,"b":null}' in payloads(tenant_warehouse)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": pa.array([1.5])}, "column 'user_id' holds double; it must hold text or whole numbers"),
        ({"user_id": pa.array([True])}, "column 'user_id' holds bool; it must hold text or whole numbers"),
        ({"event_type": pa.array([3])}, "column 'event_type' holds int64; it must hold text"),
        ({"occurred_at": pa.array([1769860800])}, "column 'occurred_at' holds int64; .*--occurred-at-format"),
        ({"payload": pa.array([3])}, "column 'payload' holds int64; it must hold JSON text or a struct"),
        ({"event_id": pa.array([1.5])}, "column 'event_id' holds double; it must hold text, whole numbers or UUIDs"),
        ({"raw": pa.array([b"x"])}, "column 'raw' holds binary, which has no JSON form; leave it out with --drop"),
        ({"took": pa.array([timedelta(1)])}, r"column 'took' holds duration\[us\], which has no JSON form"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_column_that_cannot_be_what_it_is_mapped_to_is_refused_before_any_row(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(SegOpsError, match=f"events.parquet: {message}"):
        ingest_file(tenant_warehouse, parquet_file(tmp_path, **columns))

    assert (count(tenant_warehouse), count(tenant_warehouse, "dead_letters")) == (0, 0)


def test_a_column_without_a_json_form_may_be_dropped(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = parquet_file(tmp_path, raw=pa.array([b"x"]))

    assert ingest_file(tenant_warehouse, path, ColumnMapping(drop=("raw",))).loaded == 1


def test_a_file_cut_short_is_refused_before_any_row(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = parquet_file(tmp_path, rows=1000)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(SegOpsError, match=r"events.parquet: the Parquet file is broken or cut short"):
        ingest_file(tenant_warehouse, path)


def test_a_file_broken_in_the_middle_says_how_far_it_was_read(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = tmp_path / "events.parquet"
    groups, per_group = 12, 30_000
    with pq.ParquetWriter(path, pa.schema([("user_id", pa.string()), ("occurred_at", pa.date32())])) as writer:
        for group in range(groups):
            users = pa.array([f"{group}-{place}" for place in range(per_group)])
            days = pa.array([date(2026, 1, 31)] * per_group)
            writer.write_table(pa.table({"user_id": users, "occurred_at": days}))
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(groups - 1).column(0).file_offset or (
        pq.ParquetFile(path).metadata.row_group(groups - 1).column(0).data_page_offset
    )
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)

    with pytest.raises(SegOpsError, match=r"events.parquet: after row [\d,]+ the Parquet file is broken") as caught:
        ingest_file(tenant_warehouse, path, ColumnMapping(event_type="a"))

    loaded = count(tenant_warehouse)
    assert loaded > 0
    assert f"{loaded:,} of its events were loaded before" in str(caught.value)
