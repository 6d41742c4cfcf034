"""CSV, a block of some megabytes at a time.

A row's number is that of the record in the file with the header as row 1: what a spreadsheet shows, and the line number
as long as no quoted field spans lines. A row with nothing in it is skipped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from segops_orchestration.warehouse.ingest import payload
from segops_orchestration.warehouse.ingest.arrays import Ints, bools, lengths
from segops_orchestration.warehouse.ingest.block import Block
from segops_orchestration.warehouse.ingest.faults import Fault, fault, row_faults
from segops_orchestration.warehouse.ingest.limits import KEPT_CHARACTERS
from segops_orchestration.warehouse.ingest.mapping import Roles
from segops_orchestration.warehouse.ingest.source import NOT_UTF8, Bytes, Source, Utf8

# The largest row that can be read, and about the memory one block takes before it grows into events.
BLOCK_BYTES = 2 << 20
_HEADER_BYTES = 1 << 20
WHOLE_ROW = "(row)"
_FIRST_ROW = 2


class CsvReader:
    """One CSV file: its header, then its rows."""

    open_ended = False

    def __init__(self, source: Source) -> None:
        """Read the header.

        Raises:
            SegOpsError: there is none, it is not UTF-8, or it names a column twice.
        """
        self.source = source
        self.columns = _header(source)

    def check(self, roles: Roles) -> list[str]:
        """Nothing more can be said of CSV columns before their rows are read."""
        return []

    def hint(self) -> str:
        """What may be wrong with the whole file when its columns do not fit."""
        if len(self.columns) == 1:
            for delimiter, spelled in ((";", "';'"), ("\t", r"'\t'"), ("|", "'|'"), (",", "','")):
                if delimiter != self.source.delimiter and delimiter in self.columns[0]:
                    return f"the header looks as if the delimiter were {spelled}: say so with --delimiter {spelled}"
        return ""

    def blocks(self, roles: Roles, progress: Callable[[int], None]) -> Iterator[Block]:
        """The file's rows; ``progress`` is told the bytes of the file read so far.

        Raises:
            SegOpsError: the file cannot be read further: a row longer than ``BLOCK_BYTES``, or a quote never closed.
        """
        with Bytes(self.source) as data:
            stream = Utf8(data)
            batches = _Batches(self.source, stream, self.columns)
            for batch, rows, faults in batches:
                yield _block(batch, rows, faults, roles, stream.broken)
                progress(data.position)


class _Batches:
    """Record batches of strings, each with its row numbers and the rows that did not fit the header."""

    def __init__(self, source: Source, stream: Utf8, names: list[str]) -> None:
        self._source = source
        self._stream = stream
        self._names = names
        self._malformed: list[tuple[int, str, str]] = []
        self._next = _FIRST_ROW
        self._read_to = 1

    def __iter__(self) -> Iterator[tuple[Any, Ints, list[Fault]]]:
        # One batch behind, because what is wrong with the end of the file is known only there.
        held: Any = None
        for batch in self._read():
            if held is not None:
                rows, faults = self._number(held.num_rows)
                yield held, rows, faults
            held = batch
            self._read_to = self._next + held.num_rows + len(self._malformed) - 1
        if held is None:
            held = pa.record_batch([pa.array([], pa.string())] * len(self._names), names=self._names)
        rows, faults = self._number(held.num_rows)
        faults += self._faults(len(self._malformed))
        if self._unclosed(held):
            open_field = held.columns[-1][-1:]
            reason = "a quote is opened and not closed before the end of the file"
            faults += fault(rows[-1:], np.array([True]), self._names[-1], open_field, reason)
            held, rows = held.slice(0, held.num_rows - 1), rows[:-1]
        yield held, rows, faults

    def _read(self) -> Iterator[Any]:
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(self._stream, mode="r"),
                read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pacsv.ParseOptions(
                    delimiter=self._source.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=self._refuse,
                ),
                convert_options=pacsv.ConvertOptions(
                    check_utf8=False,
                    strings_can_be_null=False,
                    column_types={name: pa.string() for name in self._names},
                ),
            )
            if reader.schema.names != self._names:
                raise self._source.error("row 1: the header cannot be read; are all its quotes closed?")
            yield from reader
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            raise self._source.error(
                f"after row {self._read_to:,} or later, a row is longer than {BLOCK_BYTES >> 20} MiB: most likely a"
                " quote is opened and never closed"
            ) from None

    def _refuse(self, row: Any) -> str:
        reason = f"has {row.actual_columns} field{'s' * (row.actual_columns != 1)}, the header {row.expected_columns}"
        self._malformed.append((row.number, row.text[:KEPT_CHARACTERS], reason))
        return "skip"

    def _number(self, count: int) -> tuple[Ints, list[Fault]]:
        """Numbers of the next ``count`` rows, with the faults of the malformed ones between them."""
        malformed = np.array([row for row, _, _ in self._malformed], np.int64)
        passed = 0
        while (now := int(np.searchsorted(malformed, self._next + count + passed))) != passed:
            passed = now
        rows = np.setdiff1d(np.arange(self._next, self._next + count + passed), malformed[:passed], assume_unique=True)
        self._next += count + passed
        return rows, self._faults(passed)

    def _faults(self, count: int) -> list[Fault]:
        taken, self._malformed = self._malformed[:count], self._malformed[count:]
        return row_faults([(row, WHOLE_ROW, self._legible(text), reason) for row, text, reason in taken])

    def _legible(self, text: str) -> str:
        return text.replace(NOT_UTF8, "\ufffd") if self._stream.broken else text

    def _unclosed(self, last: Any) -> bool:
        """Whether the file ends inside a quoted field: Arrow takes all up to there as its value."""
        value = last.columns[-1][-1].as_py() if last.num_rows else ""
        if "\n" not in value and "\r" not in value:
            return False
        written = '"' + value.replace('"', '""') + '"'
        return not self._stream.tail.rstrip(b"\r\n").endswith(written.encode())


def _header(source: Source) -> list[str]:
    with Bytes(source) as data:
        stream = Utf8(data)
        head = stream.read(_HEADER_BYTES).decode()
        if stream.broken and NOT_UTF8 in head.split("\n", 1)[0]:
            raise source.error("row 1: the header is not UTF-8; save the file as UTF-8")
    if not head.strip():
        raise source.error("the file holds nothing but blanks")
    try:
        names = next(csv.reader(io.StringIO(head, newline=""), delimiter=source.delimiter), [])
    except csv.Error as error:
        raise source.error(f"row 1: the header cannot be read ({error})") from None
    if not names:
        raise source.error("row 1: the first line is blank; it must name the columns")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise source.error(f"row 1: the header names {', '.join(map(repr, doubled))} more than once")
    return names


def _block(batch: Any, rows: Ints, faults: list[Fault], roles: Roles, broken: bool) -> Block:
    if broken:
        batch, rows, not_utf8 = _without_broken(batch, rows)
        faults = faults + not_utf8
    batch, rows, blank = _without_blank(batch, rows)
    if roles.payload is not None:
        payloads = batch.column(roles.payload)
    else:
        encoded = [payload.from_text(batch.column(name)) for name in roles.properties]
        payloads = payload.objects(roles.properties, encoded, len(rows))
    return Block(
        rows=rows,
        user_id=batch.column(roles.user_id),
        event_type=None if roles.event_type_column is None else batch.column(roles.event_type_column),
        occurred_at=batch.column(roles.occurred_at),
        event_id=None if roles.event_id is None else batch.column(roles.event_id),
        payload=payloads,
        payload_checked=roles.payload is None,
        faults=faults,
        blank=blank,
    )


def _without_broken(batch: Any, rows: Ints) -> tuple[Any, Ints, list[Fault]]:
    """Rows with a byte that is not UTF-8 become faults; the byte is shown as U+FFFD."""
    found: list[Fault] = []
    broken = np.zeros(len(rows), np.bool_)
    for name in batch.schema.names:
        here = bools(pc.match_substring(batch.column(name), NOT_UTF8))
        if here.any():
            shown = pc.replace_substring(batch.column(name), NOT_UTF8, "\ufffd")
            found += fault(rows, here & ~broken, name, shown, "not UTF-8")
            broken |= here
    return batch.filter(pa.array(~broken)), rows[~broken], found


def _without_blank(batch: Any, rows: Ints) -> tuple[Any, Ints, int]:
    blank = np.ones(len(rows), np.bool_)
    for values in batch.columns:
        blank &= lengths(values) == 0
        if not blank.any():
            return batch, rows, 0
    return batch.filter(pa.array(~blank)), rows[~blank], int(blank.sum())
