"""SQL text is read as far as needed and no further."""

from __future__ import annotations

import pytest

from segops_orchestration.warehouse.sql import first_keyword, insert_head, is_read, split_format, split_statements


def test_statements_end_at_semicolons_outside_quotes_and_comments() -> None:
    text = """
    -- first; not an end
    CREATE TABLE a (x String DEFAULT ';'); /* ; */
    ;
    INSERT INTO a SELECT 'it''s; \\'; ', `b;c`, "d;e";
    SELECT 1
    """

    assert split_statements(text) == [
        "CREATE TABLE a (x String DEFAULT ';')",
        "INSERT INTO a SELECT 'it''s; \\'; ', `b;c`, \"d;e\"",
        "SELECT 1",
    ]


def test_a_file_of_comments_has_no_statements() -> None:
    assert split_statements("-- nothing\n/* here; */ ;") == []


@pytest.mark.parametrize(
    ("sql", "keyword", "reads"),
    [
        (b"select 1", b"SELECT", True),
        (b" -- select\n(( SELECT 1))", b"SELECT", True),
        (b"/* x */ with 1 as a select a", b"WITH", True),
        (b"INSERT INTO t SELECT 1", b"INSERT", False),
        (b"", b"", False),
    ],
)
def test_the_first_keyword_tells_the_kind(sql: bytes, keyword: bytes, reads: bool) -> None:
    assert (first_keyword(sql), is_read(sql)) == (keyword, reads)


@pytest.mark.parametrize(
    ("sql", "body", "fmt"),
    [
        (b"SELECT 1 FORMAT CSV", b"SELECT 1 ", "CSV"),
        (b"SELECT 1\n format Native ; -- end", b"SELECT 1\n ", "Native"),
        (b"SELECT 1 -- FORMAT CSV", b"SELECT 1", None),
        (b"SELECT 'FORMAT CSV'", b"SELECT 'FORMAT CSV'", None),
        (b"SELECT format FROM t;", b"SELECT format FROM t", None),
    ],
)
def test_a_trailing_format_is_taken_off(sql: bytes, body: bytes, fmt: str | None) -> None:
    tail = split_format(sql)

    assert (tail.body, tail.format) == (body, fmt)


@pytest.mark.parametrize(
    ("sql", "target", "settings", "fmt", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1\n", b"INSERT INTO t", b"", "CSV", b"1\n"),
        (
            b"INSERT INTO t (`FORMAT`, b) FORMAT Native\n\n\x01",
            b"INSERT INTO t (`FORMAT`, b)",
            b"",
            "Native",
            b"\n\x01",
        ),
        (b"insert into t settings a = 1 format CSV \r\n1", b"insert into t", b"settings a = 1", "CSV", b"1"),
        (
            b"INSERT INTO FUNCTION file('FORMAT x') FORMAT TSV 1",
            b"INSERT INTO FUNCTION file('FORMAT x')",
            b"",
            "TSV",
            b"1",
        ),
    ],
)
def test_the_data_of_an_insert_begins_after_its_format(
    sql: bytes, target: bytes, settings: bytes, fmt: str, data: bytes
) -> None:
    head = insert_head(sql)

    assert head is not None
    assert (head.target, head.settings, head.format, sql[head.data_start :]) == (target, settings, fmt, data)


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t VALUES ('FORMAT CSV')",
        b"INSERT INTO t SELECT 1 FORMAT Null",
        b"INSERT INTO t (a) WITH 1 AS a SELECT a",
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t (a",
        b"INSERT INTO t FORMAT",
    ],
)
def test_other_statements_carry_no_data(sql: bytes) -> None:
    assert insert_head(sql) is None
