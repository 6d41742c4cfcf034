"""A group of calls into one tenant's warehouse: checked by the rules that every event meets, written in one INSERT."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from segops_orchestration.api.ingest.body import SentEvent, SentFault
from segops_orchestration.api.ingest.schema_rules import SchemaRules
from segops_orchestration.api.ingest.submission import EventFault, Submission, Written
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import times
from segops_orchestration.warehouse.ingest.arrays import texts
from segops_orchestration.warehouse.ingest.block import Block, to_events
from segops_orchestration.warehouse.ingest.identity import NO_ROW_IDS, RowIds, given_ids
from segops_orchestration.warehouse.ingest.limits import KEPT_CHARACTERS
from segops_orchestration.warehouse.ingest.mapping import EVENT_ROLES
from segops_orchestration.warehouse.ingest.write import LETTER_COLUMNS, insert_batches, insert_letters, stored_among

# The loader's own words speak of its options.
_REASONS = {times.REASONS[times.NUMBER]: "a number, not a date: write it like 2026-01-31T10:00:00Z"}


@dataclass
class _Row:
    """An event of the group, and which of which call it is."""

    call: int
    index: int
    event: SentEvent


def write_calls(database: TenantWarehouse, calls: Sequence[Submission], schemas: SchemaRules) -> list[Written]:
    """Write the events of these calls that are right, once each, and keep the others as dead letters.

    An event with an id that is stored already, or comes twice in the group, changes nothing: the first delivery stays.
    When the event has no time of its own, the id alone says that it is the same (of one user and one type).

    Raises:
        WarehouseError: ClickHouse refused them; some may be stored all the same.
    """
    faults: list[list[tuple[int, SentFault]]] = [[] for _ in calls]
    sound: list[_Row] = []
    for place, call in enumerate(calls):
        for index, sent in enumerate(call.events):
            event = _by_schema(sent, schemas)
            faults[place] += [(index, fault) for fault in event.faults]
            if not event.faults:
                sound.append(_Row(place, index, event))
    batch, good = _checked(calls, sound, faults)
    batch = _without_repeated(database, batch, [sound[place].event for place in good])
    # Refusals first: were they lost after the events are stored, nobody would send them again.
    _keep_refused(database, calls, faults)
    insert_batches(database, [batch])
    return [_written(call, found) for call, found in zip(calls, faults, strict=True)]


def _by_schema(event: SentEvent, schemas: SchemaRules) -> SentEvent:
    """The event as the schema of its type makes it, or with what is missing as its faults."""
    applied = None if event.faults else schemas.apply(event.event_type, event.payload or "")
    if applied is None:
        return event
    if applied.missing:
        kept = applied.text[:KEPT_CHARACTERS]
        return SentEvent(faults=[SentFault(f"payload.{each.name}", kept, each.reason) for each in applied.missing])
    return replace(event, payload=applied.text)


def _checked(
    calls: Sequence[Submission], rows: Sequence[_Row], faults: list[list[tuple[int, SentFault]]]
) -> tuple[Any, list[int]]:
    """The good rows as a record batch, with their places among ``rows``. Faults of the others are added."""
    events = [row.event for row in rows]
    received = [call.received_text for call in calls]
    block = Block(
        rows=np.arange(len(rows), dtype=np.int64),
        user_id=texts([event.user_id for event in events]),
        event_type=texts([event.event_type for event in events]),
        occurred_at=texts([row.event.occurred_at or received[row.call] for row in rows]),
        event_id=_ids(calls, rows),
        payload=texts([event.payload for event in events]),
        payload_checked=True,
    )
    checked = to_events(block, EVENT_ROLES, NO_ROW_IDS)
    for fault in checked.faults:
        reason = _REASONS.get(fault.reason, fault.reason)
        for place, value in zip(fault.rows.tolist(), fault.values.to_pylist(), strict=True):
            row = rows[place]
            faults[row.call].append((row.index, SentFault(fault.field, value, reason)))
    return checked.batch, checked.rows.tolist()


def _ids(calls: Sequence[Submission], rows: Sequence[_Row]) -> Any:
    """Given ids as they are or by their name; others new, or derived from the call's seed."""
    ids = RowIds.of(secrets.token_bytes(16), b"").derive(np.arange(len(rows), dtype=np.int64))
    seeds = {place: RowIds.of(call.seed, b"") for place, call in enumerate(calls) if call.seed is not None}
    if seeds:
        for place, row in enumerate(rows):
            if row.call in seeds:
                ids[place] = seeds[row.call].derive(np.array([row.index], np.int64))[0]
    given = np.array([row.event.event_id is not None for row in rows], np.bool_)
    if given.any():
        given_ids(texts([row.event.event_id or "" for row in rows]), ids, given)
    return pa.array(list(map(bytes, ids)), pa.binary(16))


def _without_repeated(database: TenantWarehouse, batch: Any, events: Sequence[SentEvent]) -> Any:
    """Leave out what the group holds twice, and give events without a time the time under which their id is stored.

    Rows of one INSERT arrive at one time, so ClickHouse could not tell which of two came first. What is stored already
    is written again all the same: an INSERT cut short may have reached the events and not what is made of them.
    """
    given = [place for place, event in enumerate(events) if event.event_id is not None]
    if not given:
        return batch
    asked = batch.take(pa.array(given))
    keys = list(
        zip(
            asked.column("event_type").to_pylist(),
            asked.column("user_id").to_pylist(),
            asked.column("event_id").to_pylist(),
            strict=True,
        )
    )
    timeless = np.array([events[place].occurred_at is None for place in given], np.bool_)
    stored = stored_among(database, asked.filter(pa.array(timeless))) if timeless.any() else {}
    moments = batch.column("occurred_at").cast(pa.int64()).to_numpy().copy()
    wanted = np.ones(batch.num_rows, np.bool_)
    seen: dict[tuple[str, str, bytes], set[int]] = {}
    for place, key, has_none in zip(given, keys, timeless.tolist(), strict=True):
        if has_none:
            moments[place] = stored.get(key, moments[place])
        known = seen.setdefault(key, set())
        wanted[place] = not (int(moments[place]) in known or (has_none and known))
        known.add(int(moments[place]))
    if stored:
        where = batch.schema.get_field_index("occurred_at")
        field = batch.schema.field(where)
        batch = batch.set_column(where, field, pa.array(moments).cast(field.type))
    return batch if wanted.all() else batch.filter(pa.array(wanted))


def _keep_refused(
    database: TenantWarehouse, calls: Sequence[Submission], faults: Sequence[Sequence[tuple[int, SentFault]]]
) -> None:
    found = [(call.source, index, fault) for call, each in zip(calls, faults, strict=True) for index, fault in each]
    if not found:
        return
    columns = [
        texts([source for source, _, _ in found]),
        pa.array([index for _, index, _ in found], pa.uint64()),
        texts([_storable(fault.field) for _, _, fault in found]),
        texts([_storable(fault.value) for _, _, fault in found]),
        texts([fault.reason for _, _, fault in found]),
    ]
    insert_letters(database, pa.record_batch(columns, names=list(LETTER_COLUMNS)))


def _storable(text: str) -> str:
    return text[:KEPT_CHARACTERS].encode(errors="replace").decode()


def _written(call: Submission, found: Sequence[tuple[int, SentFault]]) -> Written:
    skipped = len({index for index, _ in found})
    faults = [EventFault(index, fault.field, fault.reason) for index, fault in sorted(found, key=lambda each: each[0])]
    return Written(len(call.events) - skipped, skipped, faults)
