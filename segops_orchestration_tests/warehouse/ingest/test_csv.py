"""CSV: what the columns of a row become, and which rows are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, csv_reader, ingest_file
from segops_orchestration_tests.warehouse.ingest.helpers import (
    DAY,
    HEADER,
    column,
    csv_file,
    payloads,
    reasons,
    refused,
    times,
    utc,
)

NATURAL_TYPES = [
    ("1.10", "1.10"),
    ("0", "0"),
    ("-0.5", "-0.5"),
    ("1e5", "1e5"),
    ("12345678901234567890123", "12345678901234567890123"),
    ("007", '"007"'),
    ("+1", '"+1"'),
    (".5", '".5"'),
    ("5.", '"5."'),
    ("1,5", '"1,5"'),
    ("NaN", '"NaN"'),
    ("Infinity", '"Infinity"'),
    ("0x10", '"0x10"'),
    ("true", "true"),
    ("False", "false"),
    ("TRUE", "true"),
    ("yes", '"yes"'),
    ("null", '"null"'),
    ("NULL", '"NULL"'),
    ("2026-01-31", '"2026-01-31"'),
    (" 1", '" 1"'),
    ('say "hi"', '"say \\"hi\\""'),
    ("back\\slash", '"back\\\\slash"'),
    ("tab\there", '"tab\\there"'),
    ("two\nlines", '"two\\nlines"'),
    ("Zoë 🎉", '"Zoë 🎉"'),
]


def test_columns_of_the_reserved_names_are_taken_as_such(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    header = "payload,event_id,occurred_at,event_type,user_id"
    row = '"{""total"":1.10}",0b7e3b1c-93a5-4c55-8a3c-2f0b8a6f9f11,2026-01-31T10:00:00Z,order_placed,u1'

    report = ingest_file(tenant_warehouse, csv_file(tmp_path, row, header=header))

    assert (report.rows, report.loaded, report.bad, report.problems) == (1, 1, 0, ())
    assert tenant_warehouse.query(
        "SELECT toString(event_id), user_id, event_type, payload FROM events"
    ).result_rows == [("0b7e3b1c-93a5-4c55-8a3c-2f0b8a6f9f11", "u1", "order_placed", '{"total":1.10}')]
    assert times(tenant_warehouse) == [utc(2026, 1, 31, 10)]


def test_options_map_other_columns_and_the_rest_become_properties(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, "00001,1997-01-01,1,11.77", header="customer_id,date,quantity,total")
    mapping = ColumnMapping(user_id="customer_id", occurred_at="date", event_type="order placed")

    report = ingest_file(tenant_warehouse, path, mapping)

    assert report.event_type_constant == "order placed"
    assert tenant_warehouse.query("SELECT user_id, event_type, payload FROM events").result_rows == [
        ("00001", "order placed", '{"quantity":1,"total":11.77}')
    ]


def test_the_event_type_is_a_column_if_there_is_one_of_that_name(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,clicked,{DAY}", header="user_id,kind,occurred_at")

    report = ingest_file(tenant_warehouse, path, ColumnMapping(event_type="kind"))

    assert report.event_type_constant is None
    assert column(tenant_warehouse, "event_type") == ["clicked"]
    assert payloads(tenant_warehouse) == ["{}"]


def test_a_property_has_its_natural_json_type(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    rows = [
        f"u{place:02},a,{DAY}," + '"' + text.replace('"', '""') + '"' for place, (text, _) in enumerate(NATURAL_TYPES)
    ]

    ingest_file(tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",x"))

    assert payloads(tenant_warehouse) == ['{"x":' + json + "}" for _, json in NATURAL_TYPES]


def test_a_number_beyond_a_double_stays_text_because_clickhouse_could_not_read_the_payload(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},1e999,here", f"u2,a,{DAY},1e299,here", header=HEADER + ",x,y")

    ingest_file(tenant_warehouse, path)

    assert payloads(tenant_warehouse) == ['{"x":"1e999","y":"here"}', '{"x":1e299,"y":"here"}']
    assert column(tenant_warehouse, "JSONExtractString(payload, 'y')") == ["here", "here"]


def test_an_empty_field_is_no_property(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    rows = (f"u1,a,{DAY},,2", f"u2,a,{DAY},1,", f'u3,a,{DAY},"",', f"u4,a,{DAY},3,4")

    ingest_file(tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",x,y"))

    assert payloads(tenant_warehouse) == ['{"y":2}', '{"x":1}', "{}", '{"x":3,"y":4}']


def test_property_names_are_written_as_json(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    ingest_file(tenant_warehouse, csv_file(tmp_path, f"u1,a,{DAY},1,2", header=HEADER + ',"say ""hi""",größe'))

    assert payloads(tenant_warehouse) == ['{"say \\"hi\\"":1,"größe":2}']


def test_a_dropped_column_is_left_out(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},1,2", header=HEADER + ",x,")

    ingest_file(tenant_warehouse, path, ColumnMapping(drop=("x", "")))

    assert payloads(tenant_warehouse) == ["{}"]


def test_quoted_fields_may_span_lines_and_hold_delimiters(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    rows = (f'u1,a,{DAY},"one,\ntwo"', f"u2,a,{DAY},three")

    report = ingest_file(tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",note"))

    assert report.loaded == 2
    assert payloads(tenant_warehouse) == ['{"note":"one,\\ntwo"}', '{"note":"three"}']


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_will_do(tenant_warehouse: TenantWarehouse, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(ending.join([HEADER + ",x", f"u1,a,{DAY},1", f"u2,a,{DAY},2"]).encode())

    assert ingest_file(tenant_warehouse, path).loaded == 2
    assert payloads(tenant_warehouse) == ['{"x":1}', '{"x":2}']


def test_a_byte_order_mark_is_not_part_of_the_first_column(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\nu1,a,{DAY}\n".encode())

    assert ingest_file(tenant_warehouse, path).loaded == 1


@pytest.mark.parametrize(
    ("name", "delimiter", "given"), [("a.csv", ";", ";"), ("a.csv", "\t", "\t"), ("a.tsv", "\t", None)]
)
def test_other_delimiters(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, name: str, delimiter: str, given: str | None
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}".replace(",", delimiter), header=HEADER.replace(",", delimiter), name=name)

    assert ingest_file(tenant_warehouse, path, delimiter=given).loaded == 1


def test_gzip_is_undone(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    # Two members, as `cat a.gz b.gz` and log rotation make them.
    path.write_bytes(gzip.compress(f"{HEADER}\nu1,a,{DAY}\n".encode()) + gzip.compress(f"u2,a,{DAY}\n".encode()))

    assert ingest_file(tenant_warehouse, path).loaded == 2


def test_blank_rows_are_skipped_and_still_counted_in_row_numbers(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}", "", ",,", f"u2,a,{DAY}", "u3,a,never", "")

    report = ingest_file(tenant_warehouse, path)

    assert (report.rows, report.loaded, report.bad) == (3, 2, 1)
    assert refused(report) == {("occurred_at", 6)}


def test_the_header_is_row_one(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    report = ingest_file(tenant_warehouse, csv_file(tmp_path, "u1,a,never"))

    assert refused(report) == {("occurred_at", 2)}


def test_a_row_counts_once_however_many_lines_it_spans(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f'u1,a,{DAY},"1\n2\n3"', "u2,a,never,x", header=HEADER + ",note")

    assert refused(ingest_file(tenant_warehouse, path)) == {("occurred_at", 3)}


def test_rows_with_too_few_or_too_many_fields_are_refused(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}", "u2,a", f"u3,a,{DAY},more", f"u4,a,{DAY}", "u5")

    report = ingest_file(tenant_warehouse, path)

    assert (report.loaded, report.bad) == (2, 3)
    assert {(group.reason, group.count) for group in report.problems} == {
        ("has 2 fields, the header 3", 1),
        ("has 4 fields, the header 3", 1),
        ("has 1 field, the header 3", 1),
    }
    assert refused(report) == {("(row)", 3), ("(row)", 4), ("(row)", 6)}


def test_bytes_that_are_not_utf8_refuse_their_row_alone(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, f"u1,a,{DAY},x", b"u2,a,2026-01-31,caf\xe9", b"u3,\xff", f"u4,a,{DAY},\x1a", header=HEADER + ",n"
    )

    report = ingest_file(tenant_warehouse, path)

    assert refused(report) >= {("n", 3), ("(row)", 4)}
    assert reasons(report)["n"] == "not UTF-8"
    assert report.problems[0].examples[0].value in ("caf\ufffd", "u3,\ufffd")


def test_text_in_other_alphabets_across_block_borders_is_kept(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 100)
    path = csv_file(tmp_path, *[f"u{n:03},a,{DAY},日本語{n}ü🎉" for n in range(100, 200)], header=HEADER + ",n")

    assert ingest_file(tenant_warehouse, path).loaded == 100
    assert payloads(tenant_warehouse) == [f'{{"n":"日本語{n}ü🎉"}}' for n in range(100, 200)]


def test_row_numbers_hold_across_block_borders(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    rows = [f"u{n},a,{DAY}" for n in range(2, 202)]
    for number in (2, 9, 10, 11, 77, 150, 201):
        rows[number - 2] = "short,row" if number % 2 else "u,a,never"
    path = csv_file(tmp_path, *rows)

    report = ingest_file(tenant_warehouse, path)

    letters = tenant_warehouse.query("SELECT row_number, field FROM dead_letters ORDER BY row_number").result_rows
    assert [row for row, _ in letters] == [2, 9, 10, 11, 77, 150, 201]
    assert {field for row, field in letters if row % 2} == {"(row)"}
    assert report.loaded == 193


def test_a_quote_never_closed_refuses_the_row_it_opens_in(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},x", f'u2,a,{DAY},"open', f"u3,a,{DAY},x", header=HEADER + ",note")

    report = ingest_file(tenant_warehouse, path)

    assert (report.loaded, refused(report)) == (1, {("note", 3)})
    assert reasons(report)["note"] == "a quote is opened and not closed before the end of the file"


def test_a_last_field_that_ends_in_a_quoted_line_break_is_good(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f'u1,a,{DAY},"say ""hi""\n"', header=HEADER + ",note")

    assert ingest_file(tenant_warehouse, path).loaded == 1
    assert payloads(tenant_warehouse) == ['{"note":"say \\"hi\\"\\n"}']


def test_a_header_alone_is_a_file_without_rows(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    report = ingest_file(tenant_warehouse, csv_file(tmp_path))

    assert (report.rows, report.loaded, report.bad) == (0, 0, 0)
