"""Events and dead letters into ClickHouse, in batches of bounded size and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
_LETTER_COLUMNS = ("source", "row_number", "field", "value", "reason")


def insert_batches(tenant: TenantWarehouse, batches: Sequence[Any]) -> int:
    """Write record batches of ``EVENT_COLUMNS`` in one INSERT; returns the rows written.

    Raises:
        WarehouseError: ClickHouse refused the batch or took too long.
    """
    rows = sum(batch.num_rows for batch in batches)
    if rows:
        tenant.insert_bytes("events", _stream(batches), "ArrowStream", columns=EVENT_COLUMNS, settings=_SETTINGS)
    return rows


def insert_new(tenant: TenantWarehouse, batches: Sequence[Any]) -> tuple[int, int]:
    """Write those events that are not there yet; returns (written, already there).

    A file is loaded front to back, so its first or last event of a batch shows whether an earlier load came this far.
    Only then are all ids of the batch looked up. Two loads of one file at the same time may both write an event: that
    is a redelivery, which changes nothing.

    Raises:
        WarehouseError: ClickHouse refused the batch or took too long.
    """
    batches = [batch for batch in batches if batch.num_rows]
    if not batches or not _any_present(tenant, [batches[0].slice(0, 1), batches[-1].slice(batches[-1].num_rows - 1)]):
        return insert_batches(tenant, batches), 0
    present = _present(tenant, pa.Table.from_batches(batches))
    new = [batch.filter(pc.invert(pc.is_in(batch.column("event_id"), present))) for batch in batches]
    written = insert_batches(tenant, new)
    return written, sum(batch.num_rows for batch in batches) - written


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


_PRESENT = """
SELECT DISTINCT UUIDToNum(event_id) AS stored
FROM events
WHERE event_type IN {types:Array(String)}
  AND user_id BETWEEN {first_user:String} AND {last_user:String}
  AND occurred_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')
  AND occurred_at <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND event_id IN (SELECT event_id FROM batch)
"""


def _present(tenant: TenantWarehouse, events: Any) -> Any:
    """Those of the events' ids that are stored, as an Arrow array of 16 bytes each."""
    from clickhouse_connect.driver.external import ExternalData

    users = pc.min_max(events.column("user_id"))
    times = pc.min_max(events.column("occurred_at").cast(pa.int64()))
    ids = events.select(["event_id"])
    parameters = {
        "types": events.column("event_type").unique().to_pylist(),
        "first_user": users["min"].as_py(),
        "last_user": users["max"].as_py(),
        "first": times["min"].as_py(),
        "last": times["max"].as_py(),
    }
    batch = ExternalData(
        file_name="batch", fmt="ArrowStream", structure=["event_id UUID"], data=b"".join(_stream(ids.to_batches()))
    )
    with _refusals(tenant.slug):
        found = tenant.client.query_arrow(_PRESENT, parameters=parameters, external_data=batch)
    return found.column("stored").combine_chunks().cast(pa.binary(16))


@contextmanager
def _refusals(slug: str) -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except ClickHouseError as error:
        raise WarehouseError(f"{slug}: {error}") from error


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
        letters = pa.record_batch(columns, names=list(_LETTER_COLUMNS)).sort_by([("row_number", "ascending")])
        if self._has_letters():
            letters = letters.filter(pa.array(self._new(letters)))
        if letters.num_rows:
            self._tenant.insert_bytes(
                "dead_letters", _stream([letters]), "ArrowStream", columns=_LETTER_COLUMNS, settings=_SETTINGS
            )

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
