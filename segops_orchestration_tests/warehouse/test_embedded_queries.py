"""clickhouse_connect, unmodified, asks the embedded warehouse."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from segops_orchestration.warehouse.embedded.lifecycle import Endpoint
from segops_orchestration_tests.warehouse.servers import credentials, request

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


AT = datetime(2024, 2, 29, 1, 2, 3, 4000, UTC)


def test_the_servers_zone_is_utc(client: Client) -> None:
    assert client.command("SELECT timezone()") == "UTC"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("String", 'it\'s a "quote", a \\ and a `tick`', 'it\'s a "quote", a \\ and a `tick`'),
        ("String", "tab\tnewline\nreturn\rend", "tab\tnewline\nreturn\rend"),
        ("String", "Grüße, 你好, 🎉 & a=b; #?%41", "Grüße, 你好, 🎉 & a=b; #?%41"),
        ("String", "", ""),
        ("String", "\\N", "\\N"),
        ("String", "'); DROP TABLE t --", "'); DROP TABLE t --"),
        ("Nullable(String)", None, None),
        ("Nullable(Int64)", -(2**63), -(2**63)),
        ("UInt64", 2**64 - 1, 2**64 - 1),
        ("Float64", 0.1, 0.1),
        ("Float64", -math.inf, -math.inf),
        ("Bool", True, True),
        ("Date", date(2024, 2, 29), date(2024, 2, 29)),
        ("DateTime64(3,'UTC')", AT, AT.replace(tzinfo=None)),
        ("Decimal(18, 4)", Decimal("12345678901234.5678"), Decimal("12345678901234.5678")),
        ("UUID", UUID(int=2**128 - 2), UUID(int=2**128 - 2)),
        ("Array(String)", ["a", "it's", "", "x,y", "]"], ["a", "it's", "", "x,y", "]"]),
        ("Array(UInt8)", [], []),
        ("Array(Nullable(String))", ["a", None], ["a", None]),
        ("Array(Array(Int32))", [[1], [], [2, 3]], [[1], [], [2, 3]]),
        ("Tuple(String, UInt8)", ("a'b", 7), ("a'b", 7)),
    ],
)
def test_a_parameter_arrives_as_it_was(client: Client, kind: str, value: object, expected: object) -> None:
    result = client.query(f"SELECT {{value:{kind}}}", parameters={"value": value})

    assert result.result_rows == [(expected,)]


def test_parameters_too_long_for_a_url_arrive_too(client: Client) -> None:
    words = [f"wörd '{number}' \r\n" for number in range(3000)]

    result = client.query("SELECT {words:Array(String)}, {last:String}", parameters={"words": words, "last": "\r\n--x"})

    assert result.result_rows == [(words, "\r\n--x")]


def test_a_parameter_binds_in_insert_select_and_ddl(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32, s String) ENGINE = MergeTree ORDER BY n")

    client.command("INSERT INTO t SELECT {n:UInt32}, {s:String}", parameters={"n": 7, "s": "it's"})
    client.command("INSERT INTO t VALUES ({n:UInt32}, {s:String})", parameters={"n": 8, "s": "b"})
    client.command("ALTER TABLE t DELETE WHERE n = {n:UInt32} SETTINGS mutations_sync = 1", parameters={"n": 8})

    assert client.query("SELECT * FROM t").result_rows == [(7, "it's")]


def test_an_external_table_can_be_joined(client: Client) -> None:
    rows = ExternalData(file_name="vip", data=b'1,"a,b"\r\n3,c\r\n', fmt="CSV", structure=["id UInt32", "name String"])

    result = client.query(
        "SELECT number, name FROM numbers({n:UInt8}) AS n JOIN vip ON id = number ORDER BY number",
        parameters={"n": 5},
        external_data=rows,
    )

    assert result.result_rows == [(1, "a,b"), (3, "c")]


def test_a_setting_holds_for_its_query_alone(client: Client) -> None:
    ask = "SELECT getSetting('max_block_size'), getSetting('log_comment')"
    before = client.query(ask).result_rows

    inside = client.query(ask, settings={"max_block_size": 1234, "log_comment": "tenant=a'b\\c"}).result_rows

    assert inside == [(1234, "tenant=a'b\\c")]
    assert client.query(ask).result_rows == before


def test_a_setting_of_a_failed_query_is_gone_too(client: Client) -> None:
    with pytest.raises(DatabaseError):
        client.query("SELECT throwIf(1)", settings={"max_block_size": 1234})

    assert client.query("SELECT getSetting('max_block_size')").result_rows != [(1234,)]


def test_the_database_of_a_read_is_not_that_of_the_next_one(endpoint: Endpoint) -> None:
    ask = b"SELECT currentDatabase()"
    answers = [
        request(endpoint, "POST", f"/?database={name}" if name else "/", ask, credentials(endpoint))[2]
        for name in ("system", "", "information_schema", "system", "")
    ]
    assert answers == [b"system\n", b"default\n", b"information_schema\n", b"system\n", b"default\n"]


def test_max_execution_time_ends_a_query(client: Client) -> None:
    with pytest.raises(DatabaseError, match="TIMEOUT_EXCEEDED") as caught:
        client.query("SELECT sum(cityHash64(number)) FROM numbers(1e12)", settings={"max_execution_time": 0.2})

    assert caught.value.code == 159


@pytest.mark.parametrize(
    ("sql", "own", "code", "name"),
    [
        ("SELECT FROM WHERE", {}, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", {}, 60, "UNKNOWN_TABLE"),
        ("SELECT nothing", {}, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT {x:UInt8}", {}, 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT 1", {"max_blck_size": 1}, 115, "UNKNOWN_SETTING"),
        ("SELECT throwIf(number = 300000) FROM numbers(400000)", {}, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("DROP TABLE nowhere", {}, 60, "UNKNOWN_TABLE"),
    ],
)
def test_an_error_has_clickhouses_code_and_name(
    client: Client, sql: str, own: dict[str, Any], code: int, name: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql, settings=own)

    assert (caught.value.code, caught.value.name) == (code, name)


def test_an_unknown_database_is_an_error(client: Client) -> None:
    client.database = "nowhere"

    with pytest.raises(DatabaseError, match="UNKNOWN_DATABASE"):
        client.query("SELECT 1")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a;b' AS x;",
        "SELECT 'a;b' AS x -- FORMAT CSV",
        "/* SELECT */ SELECT 'a;b' AS x",
        "WITH 'a;b' AS x SELECT x",
        "(SELECT 'a;b' AS x)",
        "FROM (SELECT 'a;b' AS x) SELECT x",
        "SELECT 'a;b' AS x SETTINGS max_threads = 1",
    ],
)
def test_every_spelling_of_a_select_is_read(client: Client, sql: str) -> None:
    assert client.query(sql).result_rows == [("a;b",)]


def test_statements_without_stream_answer_too(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8) ENGINE = Memory")

    assert client.query("SHOW TABLES").result_rows == [("t",)]
    assert client.query("DESCRIBE TABLE t").result_rows[0][:2] == ("a", "UInt8")
    assert client.query("EXISTS TABLE t").result_rows == [(1,)]
    assert "ReadFromSystemOne" in str(client.command("EXPLAIN SELECT 1"))


def test_a_command_reports_what_it_read_and_wrote(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")

    summary: Any = client.command("INSERT INTO t SELECT number FROM numbers(1000)")
    read = client.query("SELECT sum(n) FROM t").summary

    assert (summary.summary["read_rows"], summary.summary["written_rows"]) == ("1000", "1000")
    assert (read["read_rows"], read["result_rows"]) == ("1000", "1")


def test_a_query_id_comes_back(client: Client) -> None:
    assert client.query("SELECT 1", settings={"query_id": "mine"}).summary["query_id"] == "mine"


def test_query_df_gives_a_frame(client: Client) -> None:
    frame = client.query_df("SELECT number AS n, toString(number) AS s FROM numbers(100000)")

    assert list(frame.columns) == ["n", "s"]
    assert (len(frame), int(frame["n"].sum()), frame["s"].iloc[-1]) == (100_000, 4_999_950_000, "99999")


def test_query_arrow_gives_one_table(client: Client) -> None:
    table = client.query_arrow("SELECT number AS n, [number] AS a FROM numbers(200000)")

    assert (table.column_names, table.num_rows) == (["n", "a"], 200_000)
    assert table.column("n")[199_999].as_py() == 199_999


@pytest.mark.parametrize("rows", [0, 1, 200_000])
def test_a_format_with_head_and_foot_is_one_document(client: Client, rows: int) -> None:
    parameters = {"rows": rows}

    csv = client.raw_query("SELECT number AS n FROM numbers({rows:UInt64})", parameters, fmt="CSVWithNames")
    document = json.loads(client.raw_query("SELECT number AS n FROM numbers({rows:UInt64})", parameters, fmt="JSON"))

    assert csv.decode().splitlines() == ['"n"', *map(str, range(rows))]
    assert document["rows"] == len(document["data"]) == rows


def test_totals_come_after_the_rows(client: Client) -> None:
    text = client.raw_query(
        "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k", fmt="TabSeparated"
    )

    assert text == b"0\t5\n1\t5\n\n0\t10\n"


def test_a_session_keeps_its_temporary_tables_and_settings(client: Client, endpoint: Endpoint) -> None:
    client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    client.command("INSERT INTO mine VALUES (3)")
    client.command("SET max_block_size = 4321")

    assert client.query("SELECT x, getSetting('max_block_size') FROM mine").result_rows == [(3, 4321)]
    assert client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 99}).result_rows == [(99,)]
    _, _, other = request(endpoint, "POST", "/", b"SELECT count() FROM mine", credentials(endpoint))
    assert b"UNKNOWN_TABLE" in other


def test_a_session_runs_one_query_at_a_time(client: Client, endpoint: Endpoint) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(50000000)") as blocks:
        next(iter(blocks))
        session = client.get_client_setting("session_id")
        _, headers, _ = request(endpoint, "POST", f"/?session_id={session}", b"SELECT 1", credentials(endpoint))

    assert headers["X-ClickHouse-Exception-Code"] == "373"


def test_what_is_not_in_a_session_leaves_nothing_behind(endpoint: Endpoint) -> None:
    request(endpoint, "POST", "/", b"SET max_block_size = 4321", credentials(endpoint))

    _, _, answer = request(endpoint, "POST", "/", b"SELECT getSetting('max_block_size')", credentials(endpoint))

    assert answer != b"4321\n"


def test_a_map_binds_in_clickhouses_own_notation(endpoint: Endpoint) -> None:
    path = "/?param_m=%7B'a':1,'b':2%7D"

    _, _, answer = request(endpoint, "POST", path, b"SELECT {m:Map(String, UInt8)}['b']", credentials(endpoint))

    assert answer == b"2\n"


def test_a_get_request_asks_as_well(endpoint: Endpoint) -> None:
    status, headers, answer = request(
        endpoint, "GET", "/?query=SELECT+%7Bx:UInt8%7D&param_x=5&default_format=CSV", headers=credentials(endpoint)
    )

    assert (status, answer, headers["X-ClickHouse-Format"]) == (200, b"5\n", "CSV")


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/", b"", {}),
        ("/?max%20x=1", b"SELECT 1", {}),
        ("/", b"SELECT 1", {"Content-Encoding": "rot13"}),
        ("/", b"no gzip", {"Content-Encoding": "gzip"}),
        ("/", b"--x", {"Content-Type": "multipart/form-data"}),
        ("/?session_id=a&session_timeout=soon", b"SELECT 1", {}),
    ],
)
def test_a_request_without_sense_is_refused(
    endpoint: Endpoint, path: str, body: bytes, headers: dict[str, str]
) -> None:
    status, answer, _ = request(endpoint, "POST", path, body, headers | credentials(endpoint))

    assert (status, answer["X-ClickHouse-Exception-Code"]) == (400, "36")
