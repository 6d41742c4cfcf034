"""Parquet, some tens of thousands of rows at a time. A row's number counts from 1.

Types carry over: numbers and booleans as they are, timestamps and dates as ISO text in UTC, lists, structs and maps as
JSON. Null is absent. A number that JSON cannot hold (NaN, infinity) is a fault of its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segops_orchestration.warehouse.ingest import payload
from segops_orchestration.warehouse.ingest.arrays import bools, texts
from segops_orchestration.warehouse.ingest.block import Block
from segops_orchestration.warehouse.ingest.faults import Fault, fault
from segops_orchestration.warehouse.ingest.json_text import json_text
from segops_orchestration.warehouse.ingest.limits import KEPT_CHARACTERS
from segops_orchestration.warehouse.ingest.mapping import Roles
from segops_orchestration.warehouse.ingest.source import Source
from segops_orchestration.warehouse.ingest.time_format import EPOCH_MILLISECONDS, EPOCH_SECONDS

_ROWS = 32_768
_BUFFER_BYTES = 1 << 20
_NOT_JSON = "NaN or infinity, which JSON cannot hold"


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_uuid(kind: Any) -> bool:
    return bool(kind == pa.binary(16) or kind == pa.uuid())


def _is_nested(kind: Any) -> bool:
    return bool(pa.types.is_nested(kind))


def _is_property(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_property(kind.value_type)
    if _is_nested(kind):
        return all(_is_property(kind.field(index).type) for index in range(kind.num_fields))
    scalar = (
        pa.types.is_null,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_timestamp,
        pa.types.is_date,
        pa.types.is_time,
    )
    return _is_text(kind) or bool(kind == pa.uuid()) or any(check(kind) for check in scalar)


class ParquetReader:
    """One Parquet file."""

    open_ended = False

    def __init__(self, source: Source) -> None:
        """Read the footer.

        Raises:
            SegOpsError: the file is cut short or not Parquet, or has two columns of one name.
        """
        self.source = source
        try:
            with pq.ParquetFile(source.path) as file:
                self._schema = file.schema_arrow
                self.rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise source.error(f"the Parquet file is broken or cut short ({_first_line(error)})") from None
        self.columns: list[str] = self._schema.names
        doubled = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if doubled:
            raise source.error(f"has {', '.join(map(repr, doubled))} more than once")

    def check(self, roles: Roles) -> list[str]:
        """Columns whose type cannot be what they are mapped to."""
        faults = [
            self._type_fault(roles.user_id, "text or whole numbers", self._is_id(roles.user_id)),
            self._time_fault(roles),
        ]
        if roles.event_type_column is not None:
            faults.append(
                self._type_fault(roles.event_type_column, "text", _is_text(self._type(roles.event_type_column)))
            )
        if roles.event_id is not None:
            fits = self._is_id(roles.event_id) or _is_uuid(self._type(roles.event_id))
            faults.append(self._type_fault(roles.event_id, "text, whole numbers or UUIDs", fits))
        if roles.payload is not None:
            kind = self._type(roles.payload)
            fits = _is_text(kind) or ((pa.types.is_struct(kind) or pa.types.is_map(kind)) and _is_property(kind))
            faults.append(self._type_fault(roles.payload, "JSON text or a struct", fits))
        for name in roles.properties:
            if not _is_property(self._type(name)):
                faults.append(
                    f"column {name!r} holds {self._type(name)}, which has no JSON form; leave it out with --drop"
                )
        return [each for each in faults if each]

    def hint(self) -> str:
        """Nothing to add when columns do not fit."""
        return ""

    def blocks(self, roles: Roles, progress: Callable[[int], None]) -> Iterator[Block]:
        """The file's rows; ``progress`` is told the rows read so far.

        Raises:
            SegOpsError: a part of the file is broken.
        """
        done = 0
        try:
            # Buffered and not read ahead: a row group of any size takes a page per column, not itself, in memory.
            with pq.ParquetFile(self.source.path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
                for batch in file.iter_batches(_ROWS, columns=list(roles.columns), use_threads=False):
                    yield _block(batch, np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64), roles)
                    done += batch.num_rows
                    progress(done)
        except (pa.ArrowException, OSError) as error:
            raise self.source.error(f"after row {done:,} the Parquet file is broken ({_first_line(error)})") from None

    def _type(self, name: str) -> Any:
        return self._schema.field(name).type

    def _is_id(self, name: str) -> bool:
        return _is_text(self._type(name)) or bool(pa.types.is_integer(self._type(name)))

    def _type_fault(self, name: str, wanted: str, fits: bool) -> str:
        return "" if fits else f"column {name!r} holds {self._type(name)}; it must hold {wanted}"

    def _time_fault(self, roles: Roles) -> str:
        kind = self._type(roles.occurred_at)
        if _is_text(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return ""
        wanted = "timestamps, dates or text"
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            if roles.occurred_at_format in (EPOCH_SECONDS, EPOCH_MILLISECONDS) or (
                roles.occurred_at_format is not None and pa.types.is_integer(kind)
            ):
                return ""
            wanted += "; if these numbers count from 1970, say so with --occurred-at-format"
        return self._type_fault(roles.occurred_at, wanted, False)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]


def _block(batch: Any, rows: Any, roles: Roles) -> Block:
    faults: list[Fault] = []
    if roles.payload is not None:
        column = batch.column(roles.payload)
        nested = _is_nested(column.type)
        payloads = _encoded(column, roles.payload, rows, faults) if nested else _text(column)
    else:
        nested = True
        encoded = [_encoded(batch.column(name), name, rows, faults) for name in roles.properties]
        payloads = payload.objects(roles.properties, encoded, len(rows))
    return Block(
        rows=rows,
        user_id=_text(batch.column(roles.user_id)),
        event_type=None if roles.event_type_column is None else _text(batch.column(roles.event_type_column)),
        occurred_at=_time(batch.column(roles.occurred_at)),
        event_id=None if roles.event_id is None else _id(batch.column(roles.event_id)),
        payload=payloads,
        payload_checked=nested,
        faults=faults,
    )


def _text(column: Any) -> Any:
    return column.cast(pa.string()) if column.type != pa.string() else column


def _id(column: Any) -> Any:
    if column.type == pa.uuid():
        return column.storage
    return column if _is_uuid(column.type) else _text(column)


def _time(column: Any) -> Any:
    kind = column.type
    native = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_floating(kind)
    return column if native else _text(column)


def _encoded(column: Any, name: str, rows: Any, faults: list[Fault]) -> Any:
    """A column's values as JSON text, null where they are null. Values without a JSON form become faults."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if _is_text(kind):
        return payload.quoted(_text(column))
    if pa.types.is_floating(kind):
        return _encoded_floats(column, name, rows, faults)
    if pa.types.is_timestamp(kind):
        milliseconds = column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
        return payload.quoted(pc.strftime(milliseconds.cast(pa.timestamp("ms", "UTC")), "%Y-%m-%dT%H:%M:%SZ"))
    if pa.types.is_date(kind):
        return payload.quoted(column.cast(pa.date32()).cast(pa.string()))
    if pa.types.is_time(kind):
        return payload.quoted(column.cast(pa.string()))
    if _is_nested(kind) or kind == pa.uuid():
        return _encoded_one_by_one(column, name, rows, faults)
    return column.cast(pa.string())


def _encoded_floats(column: Any, name: str, rows: Any, faults: list[Fault]) -> Any:
    written = column.cast(pa.float32() if pa.types.is_float16(column.type) else column.type).cast(pa.string())
    wrong = bools(pc.invert(pc.is_finite(column)))
    if not wrong.any():
        return written
    faults += fault(rows, wrong, name, written, _NOT_JSON)
    return pc.if_else(pa.array(wrong), pa.scalar(None, pa.string()), written)


def _encoded_one_by_one(column: Any, name: str, rows: Any, faults: list[Fault]) -> Any:
    """Lists, structs and maps, value by value."""
    written: list[str | None] = []
    wrong = np.zeros(len(column), np.bool_)
    values = column.to_pylist(maps_as_pydicts="lossy")
    for place, value in enumerate(values):
        try:
            written.append(None if value is None else json_text(value))
        except ValueError:
            written.append(None)
            wrong[place] = True
    if wrong.any():
        faults += fault(rows, wrong, name, texts([str(value)[:KEPT_CHARACTERS] for value in values]), _NOT_JSON)
    return texts(written)
