"""What a scalar is taken for in a comparison."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.values import kind_of, parse_date, parse_number, parse_ordered


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (10, "10"),
        (-0.1, "-0.1"),
        (1e22, "1e22"),
        (0, "0"),
        ("10", "10"),
        ("+10", "10"),
        ("-2.50", "-2.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("007", "7"),
        ("0.1000000000000000000001", "0.1000000000000000000001"),
        ("99999999999999999999999999999.9", "99999999999999999999999999999.9"),
    ],
)
def test_numbers_and_numeric_texts(value: object, number: str) -> None:
    assert parse_number(value) == Decimal(number)


NO_NUMERIC_TEXTS = "1_000 1,5 0x1F inf -Infinity nan . - e3 1e --1 ١٢ 1e29 -1e29 1e999999999999999999999"


@pytest.mark.parametrize("text", ["", " ", " 10", "10 ", "10\n", "1 000", "1" * 30, *NO_NUMERIC_TEXTS.split()])
def test_texts_that_are_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize("value", [10**29, -(10**29), 1e300, math.nan, math.inf, True, False, None, [], {}, Decimal(1)])
def test_values_that_are_no_number(value: object) -> None:
    assert parse_number(value) is None


@given(st.decimals(-(10**28), 10**28, allow_nan=False))
def test_a_decimal_text_is_read_exactly(number: Decimal) -> None:
    assert parse_number(str(number)) == number


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, ms: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31", utc(2026, 1, 31)),
        ("2024-02-29", utc(2024, 2, 29)),
        ("2026-01-31T10:20", utc(2026, 1, 31, 10, 20)),
        ("2026-01-31 10:20:30", utc(2026, 1, 31, 10, 20, 30)),
        ("2026-01-31T10:20:30Z", utc(2026, 1, 31, 10, 20, 30)),
        ("2026-01-31T10:20Z", utc(2026, 1, 31, 10, 20)),
        ("2026-01-31T00:30+01:00", utc(2026, 1, 30, 23, 30)),
        ("2026-01-31T23:30-0130", utc(2026, 2, 1, 1, 0)),
        ("2026-01-31T10:20:30.5", utc(2026, 1, 31, 10, 20, 30, ms=500)),
        ("2026-01-31T10:20:30.123999Z", utc(2026, 1, 31, 10, 20, 30, ms=123)),
        ("2026-01-31T10:20:30.123456789123", utc(2026, 1, 31, 10, 20, 30, ms=123)),
    ],
)
def test_dates(text: str, instant: datetime) -> None:
    assert parse_date(text) == instant
    assert kind_of(text) == "date"


NO_DATES = """
2026-02-30 2026-02-29 2026-13-01 0000-01-01 2026-1-31 31.01.2026 20260131 2026-01
2026-01-31T 2026-01-31T10 2026-01-31T24:00 2026-01-31T10:60 2026-01-31T10:20:61
2026-01-31t10:20 2026-01-31T10:20z 2026-01-31Z 2026-01-31T10:20:30,5 2026-01-31T10:20:30.
2026-01-31T10:20+1 2026-01-31T10:20+24:00 2026-01-31T10:20+01:60
0001-01-01T00:00+01:00 9999-12-31T23:59-01:00 ٢٠٢٦-01-31 now
"""


@pytest.mark.parametrize("text", ["", " 2026-01-31", "2026-01-31\n", "2026-01-31  10:20", *NO_DATES.split()])
def test_texts_that_are_no_date(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize("value", [1769817600, 1769817600.0, None, True, datetime(2026, 1, 31, tzinfo=UTC)])
def test_values_that_are_no_date(value: object) -> None:
    assert parse_date(value) is None


@given(st.timedeltas(timedelta(0), timedelta(days=365 * 400)), st.integers(-23 * 60, 23 * 60))
def test_an_instant_is_read_back_from_its_iso_text(age: timedelta, minutes: int) -> None:
    instant = (utc(1900, 1, 2) + age).astimezone(timezone(timedelta(minutes=minutes)))
    expected = instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)
    assert parse_date(instant.isoformat()) == expected


def test_a_number_comes_before_a_date() -> None:
    assert parse_ordered("2026") == 2026
    assert (kind_of(0), kind_of("2026-01-31"), kind_of("gold"), kind_of(True)) == ("number", "date", "other", "other")
