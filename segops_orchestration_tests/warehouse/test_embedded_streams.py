"""Long results, long inserts, and many queries at once."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clickhouse_connect.driver.exceptions import StreamFailureError

from segops_orchestration.errors import WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import Endpoint
from segops_orchestration_tests.warehouse.servers import Server, credentials, eventually, running

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

MIB = 1 << 20
LIMIT = 512 * MIB
BREAKS_LATE = "SELECT number, throwIf(number = 3000000) AS late FROM numbers(4000000)"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may use 512 MiB."""
    with running(tmp_path_factory.mktemp("small"), {"SEGOPS_WAREHOUSE_MEMORY": "512MiB"}) as server:
        server.warehouse.tenant("acme").migrate()
        server.warehouse.tenant("acme").command(
            "CREATE TABLE wide (n UInt64, pad String) ENGINE = MergeTree ORDER BY n"
        )
        yield server


@contextmanager
def memory_bounded(server: Server) -> Iterator[None]:
    """Resident memory never grows by as much as the limit, though more than the limit is streamed in the block."""
    server.forget_peak()
    before = server.memory("VmRSS")
    yield
    assert server.memory("VmHWM") - before < LIMIT


def wide_csv(rows: int) -> Iterator[bytes]:
    """About 270 bytes a row."""
    pad = "x" * 260
    for start in range(0, rows, 10_000):
        yield "".join(f"{number},{pad}\n" for number in range(start, start + 10_000)).encode()


def parquet_pieces(rows: int) -> Iterator[bytes]:
    """Uncompressed, 256 bytes a row that do not compress."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    schema = pa.schema([("n", pa.uint64()), ("pad", pa.binary())])
    random = np.random.default_rng(1)
    with pq.ParquetWriter(buffer, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, 50_000):
            block = random.bytes(256 * 50_000)
            pad = [block[at : at + 256] for at in range(0, len(block), 256)]
            numbers = np.arange(start, start + 50_000, dtype=np.uint64)
            writer.write_table(pa.table({"n": numbers, "pad": pad}, schema=schema))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


@pytest.mark.parametrize("fmt", ["CSV", "CSVWithNames", "Native"])
def test_a_result_larger_than_the_memory_limit_streams_out(small: Server, fmt: str) -> None:
    tenant = small.warehouse.tenant("acme")

    with (
        memory_bounded(small),
        tenant.stream_bytes("SELECT number, repeat('x', 260) FROM numbers(2500000)", fmt=fmt) as chunks,
    ):
        size = sum(len(chunk) for chunk in chunks)

    assert size > LIMIT


def test_an_insert_larger_than_the_memory_limit_streams_in(small: Server) -> None:
    tenant = small.warehouse.tenant("acme")
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for piece in wide_csv(2_500_000):
            sent += len(piece)
            yield piece

    with memory_bounded(small):
        tenant.insert_bytes("wide", counted(), "CSV")

    assert sent > LIMIT
    assert tenant.query("SELECT count(), uniqExact(n), max(n) FROM wide").result_rows == [
        (2_500_000,) * 2 + (2_499_999,)
    ]


def test_a_parquet_file_larger_than_the_memory_limit_streams_in(small: Server) -> None:
    tenant = small.warehouse.tenant("acme")
    tenant.command("TRUNCATE TABLE wide")

    with memory_bounded(small):
        tenant.insert_bytes("wide", parquet_pieces(2_200_000), "Parquet")

    assert tenant.query(
        "SELECT count(), sum(length(pad)) > {limit:UInt64} FROM wide", {"limit": LIMIT}
    ).result_rows == [(2_200_000, True)]


def test_rows_read_back_block_by_block_stay_bounded(small: Server) -> None:
    client = small.warehouse.tenant("acme").client

    with (
        memory_bounded(small),
        client.query_row_block_stream("SELECT number, repeat('x', 260) FROM numbers(2500000)") as blocks,
    ):
        assert sum(len(block) for block in blocks) == 2_500_000


def test_a_query_that_needs_too_much_memory_is_refused_and_the_server_lives(small: Server) -> None:
    tenant = small.warehouse.tenant("acme")

    with pytest.raises(WarehouseError, match="MEMORY_LIMIT_EXCEEDED"):
        tenant.query("SELECT length(groupArray(number)) FROM numbers(200000000)")

    assert tenant.query("SELECT 1").result_rows == [(1,)]


@pytest.mark.parametrize("fmt", ["CSV", "CSVWithNames", "Parquet"])
def test_a_result_that_breaks_off_says_why_instead_of_ending(warehouse: Warehouse, fmt: str) -> None:
    tenant = warehouse.tenant("streams")
    tenant.migrate()

    with pytest.raises(WarehouseError, match="FUNCTION_THROW_IF"), tenant.stream_bytes(BREAKS_LATE, fmt=fmt) as chunks:
        for _ in chunks:
            pass


def test_rows_that_break_off_raise_in_the_unmodified_client(client: Client) -> None:
    received: list[int] = []

    def read() -> None:
        with client.query_row_block_stream(BREAKS_LATE) as blocks:
            received.extend(len(block) for block in blocks)

    with pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF"):
        read()

    assert 0 < sum(received) < 4_000_000


def test_a_broken_result_is_not_ended_on_the_wire(endpoint: Endpoint) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in credentials(endpoint).items())
    query = BREAKS_LATE.encode() + b" FORMAT CSV"

    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(query)}\r\n\r\n".encode() + query)
        answer = b""
        while received := connection.recv(MIB):
            answer += received

    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"0\r\n\r\n")


def running_queries(warehouse: Warehouse, mark: str) -> int:
    result = warehouse.admin.query(
        "SELECT count() FROM system.processes WHERE position(query, {mark:String}) > 0 AND query NOT LIKE '%system%'",
        parameters={"mark": mark},
    )
    return int(result.result_rows[0][0])


def test_leaving_a_stream_early_cancels_its_query(warehouse: Warehouse, tenant_warehouse: TenantWarehouse) -> None:
    endless = "SELECT 'left early', number FROM numbers(1000000000000)"

    with tenant_warehouse.stream_bytes(endless, fmt="CSV") as chunks:
        next(chunks)
        assert running_queries(warehouse, "left early") == 1

    assert eventually(lambda: running_queries(warehouse, "left early") == 0)


@pytest.mark.parametrize("fmt", ["Native", "JSON"])
def test_a_client_that_goes_away_while_its_query_computes_cancels_it(
    warehouse: Warehouse, endpoint: Endpoint, fmt: str
) -> None:
    query = f"SELECT 'went away', sum(cityHash64(number)) FROM numbers(1000000000000) FORMAT {fmt}".encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in credentials(endpoint).items())
    path = "/?cancel_http_readonly_queries_on_client_close=1"

    with socket.create_connection((endpoint.host, endpoint.port)) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(query)}\r\n\r\n".encode() + query
        )
        assert eventually(lambda: running_queries(warehouse, "went away") == 1)

    assert eventually(lambda: running_queries(warehouse, "went away") == 0)


def test_point_reads_finish_while_a_heavy_query_runs(client: Client, tenant_warehouse: TenantWarehouse) -> None:
    heavy = "SELECT sum(cityHash64(number, {seed:UInt8})) FROM numbers(400000000)"
    done = threading.Event()
    during = 0

    def run_heavy() -> None:
        client.query(heavy, parameters={"seed": 1})
        done.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_heavy)
        slowest = 0.0
        while not done.is_set() and not future.done():
            started = time.perf_counter()
            tenant_warehouse.query("SELECT count() FROM events WHERE user_id = {user:String}", {"user": "u1"})
            if not done.is_set():
                during += 1
                slowest = max(slowest, time.perf_counter() - started)
        future.result()

    assert during >= 3
    assert slowest < 1.0


def test_one_client_serves_many_threads(tenant_warehouse: TenantWarehouse) -> None:
    def ask(number: int) -> int:
        rows = tenant_warehouse.query("SELECT {n:UInt32} + sleepEachRow(0.01)", {"n": number}).result_rows
        return int(rows[0][0])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))


def test_streamed_inserts_and_reads_run_side_by_side(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    tenant_warehouse.command("CREATE TABLE side (n UInt64) ENGINE = MergeTree ORDER BY n")

    def insert(start: int) -> None:
        pieces = (f"{start + number}\n".encode() for number in range(2000))
        tenant_warehouse.insert_bytes("side", pieces, "TSV")

    def read(_: int) -> int:
        with tenant_warehouse.stream_bytes("SELECT n FROM side", fmt="CSV") as chunks:
            return sum(chunk.count(b"\n") for chunk in chunks)

    with ThreadPoolExecutor(8) as pool:
        inserted = [pool.submit(insert, start) for start in range(0, 20_000, 2000)]
        counts = list(pool.map(read, range(20)))
        for future in inserted:
            future.result()

    assert all(count % 2000 == 0 for count in counts)
    assert read(0) == 20_000
