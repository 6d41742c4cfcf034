"""clickhouse_connect, unmodified, writes to the embedded warehouse."""

from __future__ import annotations

import gzip
import http.client
import io
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from segops_orchestration.warehouse.embedded.lifecycle import Endpoint
from segops_orchestration_tests.warehouse.servers import credentials, eventually, request

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@pytest.fixture(autouse=True)
def table(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt32, s Nullable(String)) ENGINE = MergeTree ORDER BY n")


def rows(client: Client) -> list[tuple[int, str | None]]:
    return [(n, s) for n, s in client.query("SELECT n, s FROM t ORDER BY n, s").result_rows]


def parquet(numbers: range) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    table = pa.table({"n": pa.array(numbers, pa.uint32()), "s": [f"s{number}" for number in numbers]})
    pq.write_table(table, buffer, row_group_size=1000)
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    import sys

    module = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    return bytes(module.compress(data))


def lz4(data: bytes) -> bytes:
    return bytes(import_module("lz4.frame").compress(data))


def test_rows_of_python_values(client: Client) -> None:
    summary = client.insert("t", [[1, "it's"], [2, None]], column_names=["n", "s"])

    assert summary.written_rows == 2
    assert rows(client) == [(1, "it's"), (2, None)]


def test_insert_df(client: Client) -> None:
    import pandas as pd

    client.command("CREATE TABLE f (n UInt32, at DateTime64(3, 'UTC'), s Nullable(String)) ENGINE = Memory")
    at = datetime(2024, 1, 2, 3, 4, 5, 678000, UTC)
    frame = pd.DataFrame({"n": range(100_000), "at": at, "s": ["x", None] * 50_000})

    client.insert_df("f", frame)

    found = client.query("SELECT count(), sum(n), min(at), countIf(s IS NULL) FROM f").result_rows
    assert found == [(100_000, 4_999_950_000, at.replace(tzinfo=None), 50_000)]


def test_insert_arrow(client: Client) -> None:
    import pyarrow as pa

    client.insert_arrow("t", pa.table({"n": pa.array([1, 2], pa.uint32()), "s": ["a", None]}))

    assert rows(client) == [(1, "a"), (2, None)]


def test_raw_insert_of_csv(client: Client) -> None:
    summary = client.raw_insert("t", ["n", "s"], '1,"a, ""b"""\n2,\\N\n', fmt="CSV")

    assert summary.written_rows == 2
    assert rows(client) == [(1, 'a, "b"'), (2, None)]


def test_raw_insert_of_csv_in_pieces_that_cut_rows(client: Client) -> None:
    content = "".join(f"{number},{'ä' * 50}{number}\n" for number in range(30_000)).encode()
    pieces = (content[start : start + 777] for start in range(0, len(content), 777))

    client.raw_insert("t", ["n", "s"], pieces, fmt="CSV")

    expected = [(30_000, "ä" * 50 + "29999")]
    assert client.query("SELECT count(), argMax(s, n) FROM t").result_rows == expected


def test_raw_insert_of_parquet(client: Client) -> None:
    summary = client.raw_insert("t", insert_block=parquet(range(5000)), fmt="Parquet")

    assert summary.written_rows == 5000
    assert client.query("SELECT count(), sum(n), max(s) FROM t").result_rows == [(5000, 12_497_500, "s999")]


def test_raw_insert_of_parquet_in_pieces_with_settings_in_the_statement(client: Client) -> None:
    content = parquet(range(5000))
    pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))

    client.raw_insert("t (n, s) SETTINGS max_insert_threads = 1", insert_block=pieces, fmt="Parquet")

    assert client.query("SELECT count(), sum(n) FROM t").result_rows == [(5000, 12_497_500)]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd), ("lz4", lz4)])
def test_a_compressed_body_of_several_frames(client: Client, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = compress(b"1,a\n2,") + compress(b"b\n")

    client.raw_insert("t", ["n", "s"], body, fmt="CSV", compression=encoding)

    assert rows(client) == [(1, "a"), (2, "b")]


def test_a_compressed_body_that_ends_early_is_refused(client: Client) -> None:
    body = gzip.compress(b"1,a\n2,b\n")[:-4]

    with pytest.raises(DatabaseError, match="middle of a frame"):
        client.raw_insert("t", ["n", "s"], body, fmt="CSV", compression="gzip")


@pytest.mark.parametrize(
    "statement",
    [
        b"INSERT INTO t (n, s) FORMAT CSV\n1,FORMAT\n",
        b"insert into t (n, s) settings max_insert_threads = 1 format CSV 1,FORMAT\n",
        b"-- FORMAT TSV\nINSERT INTO t (`n`, /* FORMAT */ s) FORMAT CSV\r\n1,FORMAT\n",
        b"INSERT INTO t (n, s) FORMAT Values (1, 'FORMAT')",
        b"INSERT INTO t (n, s) VALUES (1, 'FORMAT')",
        b"INSERT INTO t (n, s) SELECT 1, 'FORMAT'",
    ],
)
def test_every_spelling_of_an_insert_is_understood(client: Client, endpoint: Endpoint, statement: bytes) -> None:
    path = f"/?database={client.database}"

    status, _, answer = request(endpoint, "POST", path, statement, credentials(endpoint))

    assert (status, answer) == (200, b"")
    assert rows(client) == [(1, "FORMAT")]


@pytest.mark.parametrize(
    ("block", "fmt", "code"),
    [
        (b"1,a\nx,b\n", "CSV", 27),
        (b"1,a,too many\n", "CSV", 117),
        (b"not parquet", "Parquet", 117),
        (b'{"n": 1, "s": "a"}\n{"n": x}', "JSONEachRow", 27),
    ],
)
def test_a_malformed_row_is_refused_with_its_code(client: Client, block: bytes, fmt: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("t", ["n", "s"], block, fmt=fmt)

    assert caught.value.code == code
    assert rows(client) == []


def test_an_unknown_table_is_said_though_the_client_is_still_sending(client: Client) -> None:
    pieces = (b"1,a\n" * 100_000 for _ in range(50))

    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.raw_insert("nowhere", insert_block=pieces, fmt="CSV")

    assert client.command("SELECT 1") == 1


def test_an_insert_whose_client_breaks_off_stores_nothing_and_frees_its_session(client: Client) -> None:
    class Broken(Exception):
        pass

    def pieces() -> Iterator[bytes]:
        yield b"1,a\n"
        raise Broken

    with pytest.raises(Broken):
        client.raw_insert("t", ["n", "s"], pieces(), fmt="CSV")  # type: ignore[arg-type]

    assert eventually(lambda: client.command("SELECT 1") == 1, ignore=(DatabaseError,))
    assert rows(client) == []


def test_a_body_shorter_than_announced_stores_nothing(client: Client, endpoint: Endpoint) -> None:
    statement = b"INSERT INTO t (n, s) FORMAT CSV\n1,a\n"
    head = f"POST /?database={client.database} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(statement) + 1}\r\n"
    for name, value in credentials(endpoint).items():
        head += f"{name}: {value}\r\n"

    with socket.create_connection((endpoint.host, endpoint.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"\r\n" + statement)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)

    assert answer == b""
    assert rows(client) == []


def test_connections_that_idle_after_a_chunked_insert_hold_up_nobody(client: Client, endpoint: Endpoint) -> None:
    path = f"/?database={client.database}&query=INSERT+INTO+t+FORMAT+CSV"
    connections = [http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=30) for _ in range(80)]
    for number, connection in enumerate(connections):
        row = f"{number},a\n".encode()
        connection.request("POST", path, body=iter([row]), headers=credentials(endpoint), encode_chunked=True)
        assert connection.getresponse().read() == b""

    assert len(rows(client)) == len(connections)
    for connection in connections:
        connection.request("POST", "/", body=b"SELECT 1", headers=credentials(endpoint))
        assert connection.getresponse().read() == b"1\n"
        connection.close()
