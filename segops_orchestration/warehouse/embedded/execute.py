"""Running one request on one chdb connection, with bounded memory in both directions.

How results get out (measured with chdb 4.4):

- ``send_query`` streams SELECTs block by block, but encodes each block as a document of its own. That is harmless
  for formats without head or foot; these go this way.
- Any other format is written by the engine ``INTO OUTFILE`` of a pipe, so that the document is one.
- What isn't a SELECT cannot be streamed (chdb answers code 36) and is small.

How data gets in: ``send_insert`` parses while it reads, except for formats that need to seek, which it would collect
in memory; those are put into a scratch file first.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segops_orchestration.warehouse.embedded.errors import EngineError
from segops_orchestration.warehouse.embedded.request import Request
from segops_orchestration.warehouse.embedded.sessions import quote
from segops_orchestration.warehouse.sql import InsertHead, Tail, first_keyword, split_format

_DIVISIBLE = frozenset({"native", "tabseparated", "tsv", "csv", "rowbinary"})
_SEEKING = frozenset({"parquet", "orc", "arrow"})
# Statements besides SELECT that answer with rows.
_TELLING = frozenset({b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"KILL"})
_PIPE_BYTES = 256 * 1024


@dataclass
class Counts:
    """What a query read and wrote: the numbers of ClickHouse's X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add(self, result: Any) -> None:
        """Add the numbers of a chdb result, or of one block of a streamed result."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()
        self.result_rows += result.rows_read()

    def summary(self) -> str:
        """The header's value: JSON whose numbers are texts."""
        numbers = {
            "read_rows": self.read_rows,
            "read_bytes": self.read_bytes,
            "written_rows": self.written_rows,
            "written_bytes": self.written_bytes,
            "total_rows_to_read": self.read_rows,
            "result_rows": self.result_rows,
            "result_bytes": self.result_bytes,
            "elapsed_ns": int((time.perf_counter() - self.started) * 1e9),
        }
        return json.dumps({name: str(number) for name, number in numbers.items()})


@dataclass(frozen=True)
class Answer:
    """A result on its way: its format and its bytes, which are computed as they are read.

    ``chunks`` must be read to its end or closed. ``counts`` is complete after that. ``has_result`` is False for
    statements such as DDL and INSERT, which have no result to speak of.
    """

    format: str
    chunks: Generator[bytes, None, None]
    counts: Counts
    has_result: bool = True


def execute(connection: Any, request: Request, marker: str, scratch: Path) -> Answer:
    """Run the request.

    Args:
        marker: a comment that is put after a read, so that it can be found and cancelled.
        scratch: directory for temporary files.

    Raises:
        EngineError: here, or while the answer is read.
    """
    counts = Counts()
    if request.insert is not None:
        _insert(connection, request, request.insert, counts, scratch)
        return Answer("", _nothing(), counts, has_result=False)
    tail = split_format(request.sql)
    fmt = tail.format or request.default_format
    if not request.is_read:
        result = _whole(connection, request, fmt, counts)
        return Answer(fmt, result, counts, has_result=first_keyword(request.sql) in _TELLING)
    # Totals come after the last block, and send_query leaves them out.
    if fmt.lower() in _DIVISIBLE and b"TOTALS" not in request.sql.upper():
        return Answer(fmt, _blocks(connection, request, tail, fmt, marker, counts), counts)
    return Answer(fmt, _piped(connection, request, tail, fmt, marker, counts), counts)


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


def _whole(connection: Any, request: Request, fmt: str, counts: Counts) -> Generator[bytes, None, None]:
    try:
        result = connection.query(request.sql.decode(), fmt, params=dict(request.parameters))
    except RuntimeError as error:
        raise EngineError(str(error)) from error
    counts.add(result)
    if data := bytes(result.bytes()):
        yield data


def _blocks(
    connection: Any, request: Request, tail: Tail, fmt: str, marker: str, counts: Counts
) -> Generator[bytes, None, None]:
    sql = f"{tail.body.decode()}\n{marker}"
    try:
        stream = connection.send_query(sql, fmt, params=dict(request.parameters))
        try:
            for block in stream:
                counts.add(block)
                yield bytes(block.bytes())
        finally:
            stream.cancel()
    except RuntimeError as error:
        raise EngineError(str(error)) from error


def _piped(
    connection: Any, request: Request, tail: Tail, fmt: str, marker: str, counts: Counts
) -> Generator[bytes, None, None]:
    reading, writing = os.pipe()
    target = quote(f"/dev/fd/{writing}")
    sql = f"{tail.body.decode()}\nINTO OUTFILE {target} APPEND FORMAT {fmt}\n{marker}"
    failure: list[RuntimeError] = []

    def write() -> None:
        try:
            counts.add(connection.query(sql, "TabSeparated", params=dict(request.parameters)))
        except RuntimeError as error:
            failure.append(error)
        finally:
            os.close(writing)

    writer = threading.Thread(target=write, name="outfile")
    writer.start()
    try:
        while chunk := os.read(reading, _PIPE_BYTES):
            yield chunk
    finally:
        os.close(reading)
        writer.join()
    if failure:
        raise EngineError(str(failure[0])) from failure[0]


def _insert(connection: Any, request: Request, head: InsertHead, counts: Counts, scratch: Path) -> None:
    if head.format.lower() in _SEEKING:
        _insert_file(connection, request, head, counts, scratch)
        return
    statement = (head.target + b" " + head.settings).decode().strip()
    try:
        inserter = connection.send_insert(statement, head.format)
        try:
            for chunk in request.body.chunks():
                inserter.append(chunk)
            result = inserter.finish()
        finally:
            inserter.cancel()
    except RuntimeError as error:
        raise EngineError(str(error)) from error
    counts.written_rows += result.rows_written
    counts.written_bytes += result.bytes_written


def _insert_file(connection: Any, request: Request, head: InsertHead, counts: Counts, scratch: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=scratch, prefix="insert-") as file:
        for chunk in request.body.chunks():
            file.write(chunk)
        file.flush()
        infile = f"FROM INFILE {quote(file.name)} COMPRESSION 'none'"
        statement = f"{head.target.decode()} {infile} {head.settings.decode()} FORMAT {head.format}"
        try:
            result = connection.query(statement, "TabSeparated")
        except RuntimeError as error:
            raise EngineError(str(error)) from error
    counts.written_rows += result.rows_written()
    counts.written_bytes += result.bytes_written()
