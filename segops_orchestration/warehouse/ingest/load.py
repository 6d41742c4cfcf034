"""From files to events: look at all files first, then read, check and write block by block.

Nothing is written before every file of a call was found readable from its first byte to its last and its columns were
found to fit. While a batch travels to ClickHouse, the next one is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import write
from segops_orchestration.warehouse.ingest.block import Block, Events, to_events
from segops_orchestration.warehouse.ingest.csv_reader import CsvReader
from segops_orchestration.warehouse.ingest.faults import Tally
from segops_orchestration.warehouse.ingest.identity import RowIds
from segops_orchestration.warehouse.ingest.jsonl_reader import JsonLinesReader
from segops_orchestration.warehouse.ingest.mapping import ColumnMapping, Roles, resolve
from segops_orchestration.warehouse.ingest.parquet_reader import ParquetReader
from segops_orchestration.warehouse.ingest.report import IngestReport, Progress
from segops_orchestration.warehouse.ingest.source import Source, content_digest, inspect

ProgressListener = Callable[[Progress], None]
_AGAIN = "ingest the file again once the cause is gone: what is there is not doubled"


class Reader(Protocol):
    """What reads one file of one format."""

    source: Source
    columns: list[str]
    open_ended: bool

    def check(self, roles: Roles) -> list[str]: ...

    def hint(self) -> str: ...

    def blocks(self, roles: Roles, progress: Callable[[int], None]) -> Iterator[Block]: ...


@dataclass
class _File:
    """A file on its way: what it is, and what is known of it so far."""

    reader: Reader
    roles: Roles
    digest: bytes = b""
    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    loaded: int = 0
    already_present: int = 0
    seconds: float = 0.0

    @property
    def source(self) -> Source:
        return self.reader.source

    @property
    def ids(self) -> RowIds:
        return RowIds.of(self.digest, self.roles.identity)

    def report(self) -> IngestReport:
        return IngestReport(
            file=self.source.name,
            rows=self.rows,
            loaded=self.loaded,
            already_present=self.already_present,
            bad=self.tally.bad,
            seconds=self.seconds,
            event_type_constant=self.roles.event_type_constant,
            problems=self.tally.groups(),
        )


def ingest_files(
    tenant: TenantWarehouse | None,
    paths: Sequence[Path | str],
    mapping: ColumnMapping,
    *,
    strict: bool = False,
    format: str | None = None,
    delimiter: str | None = None,
    progress: ProgressListener | None = None,
) -> list[IngestReport]:
    """See ``segops_orchestration.warehouse.ingest.ingest_files``. Without a tenant, files are only checked."""
    listener = progress or (lambda _: None)
    files = _open(paths, mapping, format, delimiter)
    for file in files:
        with _timed(file):
            file.digest = content_digest(file.source, _bytes_listener(file, "reading", listener))
            file.source.check_unchanged()
    if strict or tenant is None:
        for file in files:
            _check(file, tenant, listener)
        if tenant is None or any(file.tally.bad for file in files):
            return [file.report() for file in files]
    for place, file in enumerate(files):
        try:
            _load(_recounted(file), tenant, listener)
        except SegOpsError as error:
            raise _interrupted(error, files[: place + 1]) from error
    return [file.report() for file in files]


def _recounted(file: _File) -> _File:
    """The same file, counted from the start: --strict has counted its rows once."""
    file.tally, file.rows = Tally(), 0
    return file


def _open(
    paths: Sequence[Path | str], mapping: ColumnMapping, format: str | None, delimiter: str | None
) -> list[_File]:
    """Look at every file's head; all that is wrong is told at once."""
    files: list[_File] = []
    errors: list[SegOpsError] = []
    for path in paths:
        try:
            source = inspect(path, format=format, delimiter=delimiter)
            files.append(_fitted(_reader(source), mapping))
        except SegOpsError as error:
            errors.append(error)
    errors += _disagreement(files)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SegOpsError("\n".join(str(error) for error in errors))
    return files


def _reader(source: Source) -> Reader:
    if source.format == "csv":
        return CsvReader(source)
    return JsonLinesReader(source) if source.format == "jsonl" else ParquetReader(source)


def _fitted(reader: Reader, mapping: ColumnMapping) -> _File:
    roles, faults = resolve(mapping, reader.columns, open_ended=reader.open_ended)
    faults = faults or reader.check(roles)
    if faults:
        raise reader.source.error("; ".join([*faults, reader.hint()] if reader.hint() else faults))
    return _File(reader, roles)


def _disagreement(files: Sequence[_File]) -> list[SegOpsError]:
    """An event type that is a column here and a constant there is a slip, not a wish."""
    column = [file for file in files if file.roles.event_type_column is not None]
    constant = [file for file in files if file.roles.event_type_constant is not None]
    if not column or not constant:
        return []
    name = constant[0].roles.event_type_constant
    return [
        SegOpsError(
            f"--event-type {name!r} is a column of {column[0].source.name} but not of {constant[0].source.name}:"
            " ingest them one by one if both are meant"
        )
    ]


@contextmanager
def _timed(file: _File) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        file.seconds += time.monotonic() - started


def _bytes_listener(file: _File, step: str, listener: ProgressListener) -> Callable[[int], None]:
    name, total = file.source.name, file.source.size

    def tell(done: int) -> None:
        listener(Progress(name, step, file.rows, done, total))

    return tell


def _step_listener(file: _File, step: str, listener: ProgressListener) -> Callable[[int], None]:
    if isinstance(file.reader, ParquetReader):
        name, total = file.source.name, file.reader.rows
        return lambda done: listener(Progress(name, step, file.rows, done, total))
    return _bytes_listener(file, step, listener)


def _events(file: _File, step: str, listener: ProgressListener) -> Iterator[Events]:
    """The file's events, counted."""
    file.source.check_unchanged()
    for block in file.reader.blocks(file.roles, _step_listener(file, step, listener)):
        try:
            events = to_events(block, file.roles, file.ids)
        except pa.ArrowInvalid as error:
            raise file.source.error(f"after row {file.rows:,}, text cannot be read ({error})") from None
        file.rows += events.found
        file.tally.add(events.faults)
        yield events
    file.source.check_unchanged()


def _check(file: _File, tenant: TenantWarehouse | None, listener: ProgressListener) -> None:
    """Read all of a file and write none of it but its dead letters."""
    letters = None if tenant is None else write.DeadLetters(tenant, file.source.path.name, file.digest)
    with _timed(file):
        for events in _events(file, "checking", listener):
            if letters is not None:
                letters.write(events.faults)


def _load(file: _File, tenant: TenantWarehouse, listener: ProgressListener) -> None:
    letters = write.DeadLetters(tenant, file.source.path.name, file.digest)
    with _timed(file), ThreadPoolExecutor(1, thread_name_prefix="segops-ingest") as sender:
        sent: list[Future[tuple[int, int]]] = []
        try:
            for batches in _batches(file, letters, listener):
                _settle(file, sent)
                sent.append(sender.submit(write.insert_new, tenant, batches))
        finally:
            _settle(file, sent)


def _settle(file: _File, sent: list[Future[tuple[int, int]]]) -> None:
    """Wait for the batch under way, if any, and count it."""
    while sent:
        written, present = sent.pop().result()
        file.loaded += written
        file.already_present += present


def _batches(file: _File, letters: write.DeadLetters, listener: ProgressListener) -> Iterator[write.Batch]:
    """Events gathered up to the size of one INSERT."""
    gathered: list[Events] = []
    size = 0
    for events in _events(file, "loading", listener):
        letters.write(events.faults)
        if not len(events.rows):
            continue
        gathered.append(events)
        size += events.batch.nbytes
        if size >= write.BATCH_BYTES or sum(len(each.rows) for each in gathered) >= write.BATCH_ROWS:
            yield _batch(file, gathered)
            gathered, size = [], 0
    if gathered:
        yield _batch(file, gathered)


def _batch(file: _File, gathered: Sequence[Events]) -> write.Batch:
    span = None
    if file.roles.event_id is None:
        first = min(int(each.rows.min()) for each in gathered)
        last = max(int(each.rows.max()) for each in gathered)
        span = file.ids.between(first, last)
    return write.Batch([each.batch for each in gathered], span)


def _interrupted(error: SegOpsError, files: Sequence[_File]) -> SegOpsError:
    """The error, with what was loaded before it."""
    *before, last = files
    done = f"{last.loaded:,} of its events were loaded before" if last.loaded else "none of its events were loaded"
    others = f" ({', '.join(file.source.name for file in before)} went in whole)" if before else ""
    message = str(error) if str(error).startswith(last.source.name) else f"{last.source.name}: {error}"
    return type(error)(f"{message}; {done}{others}; {_AGAIN}")
