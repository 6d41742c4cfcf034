"""Events and dead letters into ClickHouse, in batches of bounded size and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.errors import WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest.arrays import Bools, constant
from segops_orchestration.warehouse.ingest.block import EVENT_COLUMNS
from segops_orchestration.warehouse.ingest.faults import Fault

BATCH_ROWS = 200_000
BATCH_BYTES = 48 << 20
# ingested_at is the server's clock when an INSERT begins, and its rows become visible when it ends. Deltas look back
# ten minutes for arrivals that became visible late, so an INSERT must be over well before that.
INSERT_SECONDS = 60
_SETTINGS: Mapping[str, object] = {
    "max_execution_time": INSERT_SECONDS,
    # History spans any number of months; each is a partition.
    "max_partitions_per_insert_block": 0,
    "async_insert": 0,
    # One block, so a batch becomes visible a partition at a time and never row by row.
    "max_insert_block_size": 4 * BATCH_ROWS,
    "min_insert_block_size_rows": 4 * BATCH_ROWS,
    "min_insert_block_size_bytes": 1 << 30,
    "log_comment": "segops ingest",
}
# Looking the ids of a batch up in so many events costs about as much as writing the batch.
_LOOKED_THROUGH = 100_000_000
LETTER_COLUMNS = ("source", "row_number", "field", "value", "reason")


def insert_batches(tenant: TenantWarehouse, batches: Sequence[Any]) -> int:
    """Write record batches of ``EVENT_COLUMNS`` in one INSERT; returns the rows written.

    Raises:
        WarehouseError: ClickHouse refused the batch or took too long.
    """
    rows = sum(int(batch.num_rows) for batch in batches)
    if rows:
        tenant.insert_bytes("events", _stream(batches), "ArrowStream", columns=EVENT_COLUMNS, settings=_SETTINGS)
    return rows


@dataclass(frozen=True)
class Batch:
    """Events for one INSERT.

    Attributes:
        parts: record batches of ``EVENT_COLUMNS``, none of them empty.
        ids: lowest and highest event id when all of them are derived from one file's rows, else None.
    """

    parts: Sequence[Any]
    ids: tuple[UUID, UUID] | None

    @property
    def rows(self) -> int:
        return sum(int(part.num_rows) for part in self.parts)


def insert_new(tenant: TenantWarehouse, batch: Batch) -> tuple[int, int]:
    """Write those events that are not there yet; returns (written, already there).

    A file is loaded front to back, so the first or last event of a batch shows whether an earlier load came this far.
    Only then are all of its ids looked up, and not in a table so large that writing them again is cheaper. An event
    written again, for that reason or because two processes load one file at once, is a redelivery: it changes nothing.

    Raises:
        WarehouseError: ClickHouse refused the batch or took too long.
    """
    last = batch.parts[-1]
    if not _any_present(tenant, [batch.parts[0].slice(0, 1), last.slice(last.num_rows - 1)]):
        return insert_batches(tenant, batch.parts), 0
    if tenant.query("SELECT count() FROM events").result_rows[0][0] > _LOOKED_THROUGH:
        return insert_batches(tenant, batch.parts), 0
    present = _present(tenant, batch)
    new = [part.filter(pc.invert(pc.is_in(part.column("event_id"), present))) for part in batch.parts]
    written = insert_batches(tenant, [part for part in new if part.num_rows])
    return written, batch.rows - written


def _stream(batches: Sequence[Any]) -> Iterator[bytes]:
    """An Arrow IPC stream, a batch at a time."""
    sink = _Chunks()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), batches[0].schema) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)
                yield sink.take()
    yield sink.take()


class _Chunks:
    """A file object that hands over what was written to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""


_IS_EVENT = (
    "event_type = {{type_{0}:String}} AND user_id = {{user_{0}:String}}"
    " AND occurred_at = fromUnixTimestamp64Milli({{at_{0}:Int64}}, 'UTC') AND event_id = {{id_{0}:UUID}}"
)


def _any_present(tenant: TenantWarehouse, events: Sequence[Any]) -> bool:
    parameters: dict[str, object] = {}
    for place, event in enumerate(events):
        parameters[f"type_{place}"] = event.column("event_type")[0].as_py()
        parameters[f"user_{place}"] = event.column("user_id")[0].as_py()
        parameters[f"at_{place}"] = event.column("occurred_at").cast(pa.int64())[0].as_py()
        parameters[f"id_{place}"] = str(UUID(bytes=event.column("event_id")[0].as_py()))
    condition = " OR ".join(f"({_IS_EVENT.format(place)})" for place in range(len(events)))
    sql = f"SELECT 1 FROM events WHERE {condition} LIMIT 1"
    return bool(tenant.query(sql, parameters=parameters).result_rows)


_SLICE = (
    "SELECT UUIDToNum(event_id) AS stored FROM events WHERE event_type IN {types:Array(String)}"
    " AND occurred_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
    " AND occurred_at <= fromUnixTimestamp64Milli({last:Int64}, 'UTC') AND "
)
_BETWEEN = _SLICE + "event_id >= {lowest:UUID} AND event_id <= {highest:UUID}"
_AMONG = _SLICE + "event_id IN (SELECT event_id FROM batch)"


def _present(tenant: TenantWarehouse, batch: Batch) -> Any:
    """Stored ids among which are all of the batch that are stored, as an Arrow array of 16 bytes each."""
    from clickhouse_connect.driver.external import ExternalData

    events = pa.Table.from_batches(batch.parts).select(["event_id", "event_type", "occurred_at"])
    times = pc.min_max(events.column("occurred_at").cast(pa.int64()))
    parameters: dict[str, Any] = {
        "types": events.column("event_type").unique().to_pylist(),
        "first": times["min"].as_py(),
        "last": times["max"].as_py(),
    }
    with _refusals(tenant.slug):
        if batch.ids is not None:
            parameters |= {"lowest": str(batch.ids[0]), "highest": str(batch.ids[1])}
            found = tenant.client.query_arrow(_BETWEEN, parameters=parameters)
        else:
            ids = b"".join(_stream(events.select(["event_id"]).to_batches()))
            given = ExternalData(file_name="batch", fmt="ArrowStream", structure=["event_id UUID"], data=ids)
            found = tenant.client.query_arrow(_AMONG, parameters=parameters, external_data=given)
    return found.column("stored").combine_chunks().cast(pa.binary(16))


@contextmanager
def _refusals(slug: str) -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except ClickHouseError as error:
        raise WarehouseError(f"{slug}: {error}") from error


def insert_letters(tenant: TenantWarehouse, letters: Any) -> None:
    """Keep refused rows: a record batch of ``LETTER_COLUMNS``.

    Raises:
        WarehouseError: ClickHouse refused them.
    """
    if letters.num_rows:
        tenant.insert_bytes(
            "dead_letters", _stream([letters]), "ArrowStream", columns=LETTER_COLUMNS, settings=_SETTINGS
        )


def stored_among(tenant: TenantWarehouse, events: Any) -> dict[tuple[str, str, bytes], int]:
    """Which of these events (a record batch of ``EVENT_COLUMNS``) are stored, whenever they occurred.

    Returns:
        When each that is occurred first, in milliseconds since 1970, by its event type, user and id.

    Raises:
        WarehouseError: ClickHouse refused the question.
    """
    from clickhouse_connect.driver.external import ExternalData

    names = ["event_type", "user_id", "event_id"]
    asked = pa.Table.from_batches([events]).select(names).to_batches()
    structure = ["event_type String", "user_id String", "event_id UUID"]
    given = ExternalData(file_name="batch", fmt="ArrowStream", structure=structure, data=b"".join(_stream(asked)))
    with _refusals(tenant.slug):
        found = tenant.client.query_arrow(_STORED_AMONG, external_data=given, settings={"max_execution_time": 30})
    types, users = found.column("type").to_pylist(), found.column("user_id").to_pylist()
    ids = found.column("stored").combine_chunks().cast(pa.binary(16)).to_pylist()
    keys = zip(map(str, types), map(str, users), map(bytes, ids), strict=True)
    return dict(zip(keys, map(int, found.column("at").to_pylist()), strict=True))


# The first two columns of the primary key lead to a user's events of a type.
_STORED_AMONG = (
    "SELECT toString(event_type) AS type, user_id, UUIDToNum(event_id) AS stored,"
    " min(toUnixTimestamp64Milli(occurred_at)) AS at FROM events"
    " WHERE (event_type, user_id) IN (SELECT event_type, user_id FROM batch)"
    " AND event_id IN (SELECT event_id FROM batch) GROUP BY type, user_id, stored"
)


class DeadLetters:
    """The dead letters of one file. Loading the file again writes none twice."""

    def __init__(self, tenant: TenantWarehouse, name: str, content_digest: bytes) -> None:
        self._tenant = tenant
        self._content = "#" + content_digest.hex()[:32]
        self._source = name + self._content
        self._known: bool | None = None

    def write(self, faults: Sequence[Fault]) -> None:
        """Keep refused rows.

        Raises:
            WarehouseError: ClickHouse refused them.
        """
        if not faults:
            return
        columns = [
            constant(self._source, sum(len(each.rows) for each in faults)),
            pa.array(np.concatenate([each.rows for each in faults]).astype(np.uint64)),
            pa.concat_arrays([constant(each.field, len(each.rows)) for each in faults]),
            pa.concat_arrays([each.values for each in faults]),
            pa.concat_arrays([constant(each.reason, len(each.rows)) for each in faults]),
        ]
        letters = pa.record_batch(columns, names=list(LETTER_COLUMNS)).sort_by([("row_number", "ascending")])
        if self._has_letters():
            letters = letters.filter(pa.array(self._new(letters)))
        insert_letters(self._tenant, letters)

    def _has_letters(self) -> bool:
        if self._known is None:
            sql = "SELECT 1 FROM dead_letters WHERE endsWith(source, {content:String}) LIMIT 1"
            self._known = bool(self._tenant.query(sql, parameters={"content": self._content}).result_rows)
        return self._known

    def _new(self, letters: Any) -> Bools:
        sql = (
            "SELECT row_number, field, reason FROM dead_letters"
            " WHERE endsWith(source, {content:String}) AND row_number BETWEEN {first:UInt64} AND {last:UInt64}"
        )
        rows = letters.column("row_number")
        parameters = {"content": self._content, "first": rows[0].as_py(), "last": rows[-1].as_py()}
        known = set(map(tuple, self._tenant.query(sql, parameters=parameters).result_rows))
        keys = zip(*(letters.column(name).to_pylist() for name in ("row_number", "field", "reason")), strict=True)
        return np.array([key not in known for key in keys], np.bool_)
