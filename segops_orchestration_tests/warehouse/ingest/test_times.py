"""What is a time, and what it is in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file
from segops_orchestration.warehouse.ingest import times as ingest_times
from segops_orchestration_tests.warehouse.ingest.helpers import csv_file, reasons, refused, times, utc

GOOD = [
    ("2026-01-31", utc(2026, 1, 31)),
    ("2026-01-31T10:20:30", utc(2026, 1, 31, 10, 20, 30)),
    ("2026-01-31 10:20:30", utc(2026, 1, 31, 10, 20, 30)),
    ("2026-01-31T10:20", utc(2026, 1, 31, 10, 20)),
    ("2026-01-31T10:20:30Z", utc(2026, 1, 31, 10, 20, 30)),
    ("2026-01-31T10:20:30+02:00", utc(2026, 1, 31, 8, 20, 30)),
    ("2026-01-31T23:20:30-0330", utc(2026, 2, 1, 2, 50, 30)),
    ("2026-01-31 10:20:30+02", utc(2026, 1, 31, 8, 20, 30)),
    ("2026-01-31T10:20:30.5", utc(2026, 1, 31, 10, 20, 30, 500)),
    ("2026-01-31T10:20:30.123Z", utc(2026, 1, 31, 10, 20, 30, 123)),
    ("2026-01-31T10:20:30.999999999Z", utc(2026, 1, 31, 10, 20, 30, 999)),
    ("2024-02-29", utc(2024, 2, 29)),
    ("2000-02-29", utc(2000, 2, 29)),
    ("1970-01-01", utc(1970, 1, 1)),
    ("1970-01-01T01:00:00+01:00", utc(1970, 1, 1)),
    ("2200-12-31T23:59:59.999Z", utc(2200, 12, 31, 23, 59, 59, 999)),
]
NO_TIME = ["", " ", "never", "31.01.2026", "2026-1-31", "2026-01-31T", "2026-01-31T10", "2026-01-31T10:20:30.Z"]
NO_TIME += ["2026-01-31T10:20:30 Z", "2026-01-31t10:20:30", "2026-01-31T10:20:30z", "2026/01/31", "２026-01-31"]
IMPOSSIBLE = ["2026-02-30", "2023-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-04-31"]
IMPOSSIBLE += ["2026-01-31T24:00:00", "2026-01-31T10:60:00", "2026-01-31T10:20:60", "2026-01-31T10:20:30+24:00"]
OUTSIDE = ["1969-12-31", "0001-01-01", "2201-01-01", "9999-12-31", "1970-01-01T00:30:00+01:00"]
NUMBERS = ["1700000000", "1700000000000", "20260131", "1700000000.5", "-1"]


def test_times_are_read_as_iso_and_without_a_zone_as_utc(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, *[f"u{place:02},a,{text}" for place, (text, _) in enumerate(GOOD)])

    report = ingest_file(tenant_warehouse, path)

    assert report.bad == 0
    assert times(tenant_warehouse) == [instant for _, instant in GOOD]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (NO_TIME[1:], "not a date or time"),
        (NO_TIME[:1], "missing"),
        (IMPOSSIBLE, "no such day or time"),
        (OUTSIDE, "outside the years 1970 to 2200"),
        (NUMBERS, "a number, not a date: if it counts from 1970, say so with --occurred-at-format epoch_seconds"),
    ],
)
def test_anything_else_is_refused_with_its_reason(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, texts: list[str], reason: str
) -> None:
    report = ingest_file(tenant_warehouse, csv_file(tmp_path, *[f"u1,a,{text}" for text in texts]))

    assert (report.loaded, report.bad) == (0, len(texts))
    assert reasons(report)["occurred_at"].startswith(reason)


@pytest.mark.parametrize(
    ("time_format", "text", "instant"),
    [
        ("epoch_seconds", "1769854830", utc(2026, 1, 31, 10, 20, 30)),
        ("epoch_seconds", "1769854830.1239", utc(2026, 1, 31, 10, 20, 30, 123)),
        ("epoch_milliseconds", "1769854830123", utc(2026, 1, 31, 10, 20, 30, 123)),
        ("%Y%m%d", "20260131", utc(2026, 1, 31)),
        ("%d/%m/%Y %H:%M:%S", "31/01/2026 10:20:30", utc(2026, 1, 31, 10, 20, 30)),
        ("%d/%m/%Y %H:%M:%S", "3/1/2026 1:2:3", utc(2026, 1, 3, 1, 2, 3)),
        ("%d %b %Y", "31 Jan 2026", utc(2026, 1, 31)),
        ("%Y-%m-%dT%H:%M:%S%z", "2026-01-31T10:20:30+0200", utc(2026, 1, 31, 8, 20, 30)),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-01-31 10:20:30.123999", utc(2026, 1, 31, 10, 20, 30, 123)),
    ],
)
def test_other_formats_are_read_when_they_are_named(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, time_format: str, text: str, instant: datetime
) -> None:
    path = csv_file(tmp_path, f"u1,a,{text}")

    ingest_file(tenant_warehouse, path, ColumnMapping(occurred_at_format=time_format))

    assert times(tenant_warehouse) == [instant]


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("epoch_seconds", "2026-01-31"),
        ("epoch_seconds", "1e9"),
        ("epoch_milliseconds", "soon"),
        ("%Y%m%d", "20260230"),
        ("%Y%m%d", "2026-01-31"),
        ("%d/%m/%Y", "01/31/2026"),
    ],
)
def test_a_text_not_of_the_named_format_is_refused(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, time_format: str, text: str
) -> None:
    path = csv_file(tmp_path, f"u1,a,{text}")

    report = ingest_file(tenant_warehouse, path, ColumnMapping(occurred_at_format=time_format))

    assert refused(report) == {("occurred_at", 2)}
    assert reasons(report)["occurred_at"] == "not written in the format given with --occurred-at-format"


@pytest.mark.parametrize("text", ["-1", "-0.5", "999999999999"])
def test_epoch_numbers_outside_the_years_are_refused(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, text: str
) -> None:
    path = csv_file(tmp_path, f"u1,a,{text}")

    report = ingest_file(tenant_warehouse, path, ColumnMapping(occurred_at_format="epoch_seconds"))

    assert reasons(report)["occurred_at"] == "outside the years 1970 to 2200"


@pytest.mark.parametrize("time_format", ["epoch", "%H:%M", "%Y-%m", "%Q", "%", ""])
def test_a_time_format_that_names_no_day_is_refused_at_once(time_format: str) -> None:
    with pytest.raises(SegOpsError, match="time format"):
        ColumnMapping(occurred_at_format=time_format)


_moments = st.datetimes(utc(1970, 1, 2).replace(tzinfo=None), utc(2200, 12, 30).replace(tzinfo=None))
_layouts = st.sampled_from(["%Y%m%d %H%M%S", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%S:%M:%H %d-%m-%Y"])


@settings(max_examples=300, deadline=None)
@given(st.lists(_moments, min_size=1, max_size=20), st.integers(-14 * 60, 14 * 60), st.integers(0, 9))
def test_iso_times_are_read_as_python_reads_them(moments: list[datetime], offset: int, digits: int) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    fraction = "" if digits == 0 else "." + "123456789"[:digits]
    texts = [f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}" for moment in moments]

    read = ingest_times.parse(pa.array(texts, pa.string()), None)

    whole = [moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=offset) for moment in moments]
    cut = int("123456789"[:digits].ljust(3, "0")[:3]) if digits else 0
    assert read.status.tolist() == [ingest_times.GOOD] * len(moments)
    assert read.milliseconds.tolist() == [int(each.timestamp()) * 1000 + cut for each in whole]


@settings(max_examples=200, deadline=None)
@given(st.lists(_moments, min_size=1, max_size=20), _layouts)
def test_formats_of_fixed_width_are_read_as_strptime_reads_them(moments: list[datetime], layout: str) -> None:
    texts = [moment.strftime(layout) for moment in moments]

    read = ingest_times.parse(pa.array(texts, pa.string()), layout)

    expected = [datetime.strptime(text, layout).replace(tzinfo=UTC) for text in texts]
    assert read.milliseconds.tolist() == [int(each.timestamp()) * 1000 for each in expected]
