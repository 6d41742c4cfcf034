"""What the compiler relies on in ClickHouse's JSON functions, asked of the engine itself.

Payload values are read by the engine, values in a definition by ``dsl.values``: the two must agree on every text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.parameters import EXACT, Parameters
from segops_orchestration.dsl.values import NUMBER_SCALE, parse_date, parse_number
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

VALUE = JsonValue("doc", ["'v'"])


@pytest.fixture(scope="module")
def database(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    tenant = warehouse.tenant("t_json_value")
    tenant.migrate()
    tenant.command("CREATE TABLE docs (i UInt32, doc String) ENGINE = MergeTree ORDER BY i")
    yield tenant
    tenant.drop()


def ask(database: TenantWarehouse, expressions: str, documents: Sequence[str]) -> list[Any]:
    """The expression's value for each document, in order."""
    database.command("TRUNCATE TABLE docs")
    rows = "\n".join(json.dumps({"i": index, "doc": document}) for index, document in enumerate(documents))
    database.insert_bytes("docs", [rows.encode()], "JSONEachRow")
    return [row[0] for row in database.query(f"SELECT {expressions} FROM docs ORDER BY i").result_rows]


def holding(*values: str) -> list[str]:
    """Documents with these JSON texts at ``v``."""
    return [f'{{"v": {value}}}' for value in values]


# Types and texts


@pytest.mark.parametrize(
    "document",
    ['{"other": 1}', '{"v": null}', "{}", "", "null", "3", '"v"', "[1]", '{"v": 1', "not json", '{"v": {"w": 1}'],
)
def test_what_is_absent_null_or_no_json_is_missing(database: TenantWarehouse, document: str) -> None:
    assert ask(database, f"[{VALUE.type}, toString({VALUE.is_missing}), {VALUE.text}]", [document]) == [
        ["Null", "1", ""]
    ]


@pytest.mark.parametrize(
    ("value", "json_type", "text"),
    [
        ('"gold"', "String", "gold"),
        ('""', "String", ""),
        ('"Z\\u00fcrich \\ud83c\\udf89"', "String", "Zürich 🎉"),
        ('"a\\nb\\\\c\\"d\\u0000e"', "String", 'a\nb\\c"d\0e'),
        ("94107", "Int64", "94107"),
        ("-1", "Int64", "-1"),
        ("18446744073709551615", "UInt64", "18446744073709551615"),
        ("12.5", "Double", "12.5"),
        ("true", "Bool", "true"),
        ("false", "Bool", "false"),
        ("[]", "Array", "[]"),
        ("{}", "Object", "{}"),
    ],
)
def test_a_value_is_what_json_says_and_numbers_and_booleans_have_their_text(
    database: TenantWarehouse, value: str, json_type: str, text: str
) -> None:
    assert ask(database, f"({VALUE.type}, {VALUE.text}, {VALUE.is_missing})", holding(value)) == [(json_type, text, 0)]


def test_text_numbers_and_booleans_are_textual_and_nothing_else(database: TenantWarehouse) -> None:
    textual = ['"a"', '""', "1", "-1", "18446744073709551615", "1.5", "true", "false"]
    others = ["null", "[]", '["a"]', "{}", '{"a": "b"}']

    assert ask(database, VALUE.is_textual, holding(*textual, *others)) == [1] * len(textual) + [0] * len(others)


def test_raw_text_tells_a_text_from_a_number_and_a_boolean(database: TenantWarehouse) -> None:
    values = ["10", '"10"', "true", '"true"', "null"]

    assert ask(database, VALUE.raw, holding(*values)) == ["10", '"10"', "true", '"true"', "null"]


def test_elements_are_json_texts_and_no_array_has_none(database: TenantWarehouse) -> None:
    found = ask(database, VALUE.elements, holding('["a", 1, true, null, ["b"], {"c": 1}]', "[]", '"[1]"', "{}", "null"))

    assert found == [['"a"', "1", "true", "null", '["b"]', '{"c":1}'], [], [], [], []]


# Numbers


def expected_number(value: object) -> Decimal | None:
    number = parse_number(value)
    return None if number is None else number.quantize(Decimal(1).scaleb(-NUMBER_SCALE), ROUND_DOWN, EXACT)


# fmt: off
NUMBER_TEXTS = [
    "0", "-0", "+0", "00", "007", "10", "+10", "-10", "10.", ".5", "-.5", "+.5", "0.1", "1.10", "-2.50", "1_000",
    "1e3", "1E3", "1e+3", "1e-3", "1.5e2", ".5e1", "5.e1", "-1e2", "+1e2", "1e", "e1", "1e1.5", "1e 3", "1e-9",
    "1e-10", "1e-40", "1e28", "9e28", "1e29", "1e30", "1e400", "1e-400", "1e99999", "0e29", "1e9999999999999999999",
    "", " ", " 10", "10 ", "1 0", "10\n", "\n10", "1,000", "1.000,5", "1.2.3", "--1", "+-1", "1-", "$10", "10%",
    "inf", "-inf", "Infinity", "nan", "NaN", "0x10", "0b1", "1f", "1d", "true", "ten", "½", "١٠", "１０", "−1", "1e١",
    "99999999999999999999999999999", "-99999999999999999999999999999", "100000000000000000000000000000",
    "99999999999999999999999999999.999999999", "123456789012345678901.123456789123", "0.1234567899", "0.0000000001",
    "-0.1234567899", "12345678901234567890123456789012345678901234567890", "0." + "3" * 60, "1" + "0" * 28,
    "0" * 50 + "1", "0" * 50 + ".5", "9007199254740993", "18446744073709551616", "2026", "2026-01-31", "\0", "10\0",
    "1" * 38 + "e-10", "0." + "0" * 28 + "1e29",
]
# As JSON has them.
JSON_NUMBERS = [
    "0", "-0", "10", "-10", "0.1", "1.10", "-2.50", "1e3", "1E3", "1e+3", "1e-3", "1.5e2", "-1e2", "10.0", "1e-9",
    "9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "123456.123456",
    "0.30000000000000004", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "1e28", "1e29", "1e30", "-1e30", "1e-10",
]
# Beyond anything that is written in earnest; the language takes them for numbers.
NUMBERS_TO_THE_LANGUAGE_ALONE = ["0e30", "0e99999", "0." + "0" * 29 + "1e30", "1" * 39 + "e-11"]
# fmt: on


def test_a_text_is_a_number_to_the_engine_exactly_when_it_is_one_to_the_language(database: TenantWarehouse) -> None:
    found = ask(database, VALUE.number, holding(*map(json.dumps, NUMBER_TEXTS)))

    assert dict(zip(NUMBER_TEXTS, found, strict=True)) == {text: expected_number(text) for text in NUMBER_TEXTS}


def test_the_engine_knows_no_exponent_above_29_and_no_more_than_38_digits(database: TenantWarehouse) -> None:
    assert None not in [parse_number(text) for text in NUMBERS_TO_THE_LANGUAGE_ALONE]

    assert ask(database, VALUE.number, holding(*map(json.dumps, NUMBERS_TO_THE_LANGUAGE_ALONE))) == [None] * 4


def test_a_json_number_has_the_value_that_the_language_reads(database: TenantWarehouse) -> None:
    found = ask(database, VALUE.number, holding(*JSON_NUMBERS))

    assert dict(zip(JSON_NUMBERS, found, strict=True)) == {
        text: expected_number(json.loads(text)) for text in JSON_NUMBERS
    }


def test_what_is_neither_text_nor_number_is_no_number(database: TenantWarehouse) -> None:
    assert ask(database, VALUE.number, holding("null", "true", "false", "[]", "[10]", "{}", '{"a": 1}')) == [None] * 7


def test_amounts_in_cents_are_exact(database: TenantWarehouse) -> None:
    """Every amount below 1,000.00, and every hundredth one up to 100,000.00 from a start that changes with it."""
    cents = [*range(100_000), *(step * 100 + step % 100 for step in range(1_000, 100_000))]
    amounts = [f"{cent // 100}.{cent % 100:02}" for cent in cents]

    found = ask(database, VALUE.number, holding(*amounts))

    assert found == [Decimal(amount) for amount in amounts]


def test_amounts_of_six_decimals_are_exact(database: TenantWarehouse) -> None:
    draw = random.Random(20260131)
    amounts = [f"{draw.randrange(10**9)}.{draw.randrange(10**6):06}" for _ in range(50_000)]

    assert ask(database, VALUE.number, holding(*amounts)) == [Decimal(amount) for amount in amounts]


def test_a_sum_of_amounts_is_exact_in_any_order(database: TenantWarehouse) -> None:
    draw = random.Random(7)
    amounts = [f"{draw.randrange(10**9)}.{draw.randrange(10**6):06}" for _ in range(20_000)]
    exact = sum(map(Decimal, amounts), Decimal())

    for threads in (1, 4):
        ask(database, VALUE.number, holding(*amounts))
        ((total,),) = database.query(
            f"SELECT sum({VALUE.number}) FROM docs", settings={"max_threads": threads, "max_block_size": 100}
        ).result_rows
        assert total == exact
        draw.shuffle(amounts)


# Dates

# fmt: off
DATE_TEXTS = [
    "2026-01-31", "2026-02-28", "2026-02-29", "2024-02-29", "2026-02-30", "2026-04-31", "2026-00-10", "2026-13-01",
    "2026-01-00", "2026-01-32", "1900-02-29", "2000-02-29", "9999-12-31", "0001-01-01", "0000-01-01", "10000-01-01",
    "1969-12-31", "1970-01-01", "1899-12-31", "2299-12-31", "2300-01-01", "26-01-31", "2026-1-31", "2026/01/31",
    "20260131", "2026-01", "2026-W05", "2026-031", "31.01.2026", "Jan 31 2026", "now", "today", "1769817600", "",
    "2026-01-31T10:00", "2026-01-31 10:00", "2026-01-31t10:00", "2026-01-31  10:00", "2026-01-31T", "2026-01-31T10",
    "2026-01-31T10:00:00", "2026-01-31T23:59:59", "2026-01-31T24:00", "2026-01-31T24:00:00", "2026-01-31T10:60",
    "2026-01-31T10:00:60", "2026-01-31T1:00", "2026-01-31T10:0", "2026-01-31T10:00:0", "2026-01-31T10:00:00.",
    "2026-01-31T10:00:00.1", "2026-01-31T10:00:00.12", "2026-01-31T10:00:00.123", "2026-01-31T10:00:00.1239",
    "2026-01-31T10:00:00.000999999999", "2026-01-31T10:00:00,5", "2026-01-31T10:00.5", "2026-01-31T23:59:59.9999",
    "2026-01-31T10:00Z", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00.5Z", "2026-01-31Z", "2026-01-31T10:00:00z",
    "2026-01-31T10:00:00+02:00", "2026-01-31T10:00:00-0530", "2026-01-31T10:00+14:00", "2026-01-31T10:00:00+02",
    "2026-01-31T10:00:00+23:59", "2026-01-31T10:00:00-23:59", "2026-01-31T10:00:00+24:00", "2026-01-31T10:00+2:00",
    "2026-01-31T10:00:00 +02:00", "2026-01-31T10:00:00 Z", "2026-01-31T10:00:00UTC", "2026-01-31+02:00",
    "2026-01-31T00:30:00+02:00", "2026-12-31T23:30:00-02:00", "2026-01-31T10:00:00.123456+00:00", "-2026-01-31",
    "0001-01-01T00:00:00+00:00", "0001-01-02T00:00:00+01:00", "9999-12-31T23:59:59.999Z", "9999-12-31T20:00:00-02:00",
    "0000-12-31", "0000-12-31T23:00:00-02:00", "0010-01-01", "0100-01-01", "0999-12-31T23:59:59.999", "0000-00-00",
    " 2026-01-31", "2026-01-31 ", "2026-01-31\n", "2026-01-31\0", "２０２６-01-31", "٢٠٢٦-01-31",
]
# An offset carries them out of the calendar that the language knows.
DATES_TO_THE_ENGINE_ALONE = ["0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-02:00"]
# fmt: on


def test_a_text_is_a_date_to_the_engine_exactly_when_it_is_one_to_the_language(database: TenantWarehouse) -> None:
    milliseconds = f"toUnixTimestamp64Milli({VALUE.date})"
    found = ask(database, milliseconds, holding(*map(json.dumps, DATE_TEXTS)))

    assert dict(zip(DATE_TEXTS, found, strict=True)) == {
        text: unix_milliseconds(parse_date(text)) for text in DATE_TEXTS
    }


def test_the_engine_knows_instants_just_beyond_the_calendar(database: TenantWarehouse) -> None:
    assert [parse_date(text) for text in DATES_TO_THE_ENGINE_ALONE] == [None, None]

    found = ask(database, f"toUnixTimestamp64Milli({VALUE.date})", holding(*map(json.dumps, DATES_TO_THE_ENGINE_ALONE)))

    assert found == [-62_135_600_400_000, 253_402_304_400_000]


@pytest.mark.parametrize("text", ["0001-01-01", "0099-12-31", "0987-06-05T04:03:02.001", "1899-12-31", "9999-12-31"])
def test_a_date_of_any_year_travels_as_a_parameter(database: TenantWarehouse, text: str) -> None:
    instant = parse_date(text)
    assert instant is not None
    parameters = Parameters()
    placeholder = parameters.of("c0").instant("value", instant)

    (row,) = database.query(f"SELECT toUnixTimestamp64Milli({placeholder})", parameters.values).result_rows

    assert row == (unix_milliseconds(instant),)


def unix_milliseconds(instant: datetime | None) -> int | None:
    return None if instant is None else round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def test_what_is_no_text_is_no_date(database: TenantWarehouse) -> None:
    assert (
        ask(database, VALUE.date, holding("null", "true", "1769817600", "20260131", "2026", "[]", "{}")) == [None] * 7
    )


def test_every_minute_offset_and_fraction_is_read_alike(database: TenantWarehouse) -> None:
    draw = random.Random(31)

    def text() -> str:
        day = f"{draw.randrange(1900, 2300):04}-{draw.randrange(1, 13):02}-{draw.randrange(1, 32):02}"
        time = f"{draw.choice('T ')}{draw.randrange(25):02}:{draw.randrange(61):02}"
        seconds = draw.choice(["", f":{draw.randrange(61):02}", f":{draw.randrange(60):02}.{draw.randrange(10**6)}"])
        offset = draw.choice(
            ["", "Z", f"{draw.choice('+-')}{draw.randrange(25):02}{draw.choice([':', ''])}{draw.randrange(61):02}"]
        )
        return day + draw.choice(["", time + seconds + offset])

    texts = [text() for _ in range(20_000)]
    found = ask(database, f"toUnixTimestamp64Milli({VALUE.date})", holding(*map(json.dumps, texts)))

    assert [pair for pair in zip(texts, found, strict=True) if pair[1] != unix_milliseconds(parse_date(pair[0]))] == []
