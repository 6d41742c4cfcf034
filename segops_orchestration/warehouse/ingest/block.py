"""A block of rows on its way to becoming events: what readers hand over, and the rules every event must meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.warehouse.ingest import limits, payload, times
from segops_orchestration.warehouse.ingest.arrays import Bools, Ints, bools, constant, fixed_bytes, lengths
from segops_orchestration.warehouse.ingest.faults import Fault, fault
from segops_orchestration.warehouse.ingest.identity import RowIds, given_ids
from segops_orchestration.warehouse.ingest.mapping import Roles

EVENT_COLUMNS = ("event_id", "user_id", "event_type", "occurred_at", "payload")
_CONTROL = r"[\x00-\x1f\x7f-\x{9f}]"


@dataclass(frozen=True)
class Block:
    """Rows as a reader found them, one Arrow array a role, all of one length.

    Attributes:
        rows: each row's number, counted as a person does.
        user_id, event_type, event_id: text; null or empty is missing. None: no such column.
        occurred_at: text, or timestamps, dates or floating point where the format has types.
        payload: JSON objects; null or empty is none. ``payload_checked`` when their syntax is known to be right.
        faults: rows that could not be read at all (they are not among ``rows``), and rows with a fault that only the
            reader could see (they are).
        blank: rows with nothing in them, left out.
    """

    rows: Ints
    user_id: Any
    event_type: Any | None
    occurred_at: Any
    event_id: Any | None
    payload: Any
    payload_checked: bool
    faults: list[Fault] = field(default_factory=list)
    blank: int = 0


@dataclass(frozen=True)
class Events:
    """Good rows as a record batch of ``EVENT_COLUMNS``, the faults of the others, and how many rows there were."""

    batch: Any
    rows: Ints
    faults: list[Fault]
    found: int


def to_events(block: Block, roles: Roles, ids: RowIds) -> Events:
    """Check a block's rows and turn the good ones into events."""
    faults = list(block.faults)
    unread = _outside(faults, block.rows)
    count = len(block.rows)
    event_type = block.event_type if block.event_type is not None else constant(roles.event_type_constant or "", count)
    faults += _text_faults(block.rows, roles.user_id, block.user_id, limits.USER_ID_CHARACTERS)
    if roles.event_type_column is not None:
        faults += _text_faults(block.rows, roles.event_type_column, event_type, limits.EVENT_TYPE_CHARACTERS)
    instants, time_faults = _instants(block, roles)
    faults += time_faults
    event_ids, id_faults = _event_ids(block, roles, ids)
    faults += id_faults
    payloads, payload_faults = _payloads(block, roles)
    faults += payload_faults
    good = ~np.isin(block.rows, np.concatenate([each.rows for each in faults])) if faults else np.ones(count, np.bool_)
    batch = pa.record_batch(
        [fixed_bytes(event_ids), block.user_id, event_type, _milliseconds(instants), payloads],
        names=list(EVENT_COLUMNS),
    )
    if not good.all():
        batch = batch.filter(pa.array(good))
    return Events(batch, block.rows[good], faults, count + unread)


def _outside(faults: list[Fault], rows: Ints) -> int:
    """How many rows were refused before they became part of the block."""
    if not faults:
        return 0
    return int((~np.isin(np.unique(np.concatenate([each.rows for each in faults])), rows)).sum())


def _missing(values: Any) -> Bools:
    return np.asarray(lengths(values) == 0, np.bool_)


def _text_faults(rows: Ints, name: str, values: Any, longest: int) -> list[Fault]:
    missing = _missing(values)
    found = fault(rows, missing, name, values, "missing")
    sizes = lengths(values)
    if sizes.size and int(sizes.max()) > longest:
        too_long = bools(pc.greater(pc.utf8_length(values), longest))
        found += fault(rows, too_long, name, values, f"longer than {longest} characters")
    control = bools(pc.match_substring_regex(values, _CONTROL))
    found += fault(rows, control, name, values, "holds control characters")
    blank = bools(pc.utf8_is_space(values)) & ~control
    return found + fault(rows, blank, name, values, "blank")


def _instants(block: Block, roles: Roles) -> tuple[times.Instants, list[Fault]]:
    values, name = block.occurred_at, roles.occurred_at
    if pa.types.is_string(values.type):
        missing = _missing(values)
        instants = times.parse(pc.fill_null(values, ""), roles.occurred_at_format)
    else:
        missing = bools(values.is_null())
        if pa.types.is_floating(values.type):
            instants = times.from_floats(values, roles.occurred_at_format or "")
        else:
            instants = times.from_timestamps(values)
    found = fault(block.rows, missing, name, _as_text(values, missing), "missing")
    for status in np.unique(instants.status).tolist():
        where = (instants.status == status) & ~missing
        if status != times.GOOD and where.any():
            found += fault(block.rows, where, name, _as_text(values, where), times.REASONS[status])
    return instants, found


def _as_text(values: Any, where: Bools) -> Any:
    """Values as text for a message. Only when some are needed: casting every timestamp costs."""
    if pa.types.is_string(values.type) or not where.any():
        return values
    return pc.cast(values, pa.string())


def _milliseconds(instants: times.Instants) -> Any:
    return pa.array(instants.milliseconds).cast(pa.timestamp("ms", "UTC"))


def _event_ids(block: Block, roles: Roles, ids: RowIds) -> tuple[Any, list[Fault]]:
    derived = ids.derive(block.rows)
    if block.event_id is None:
        return derived, []
    if pa.types.is_fixed_size_binary(block.event_id.type):
        present = bools(block.event_id.is_valid())
        raw = np.frombuffer(b"".join(block.event_id.filter(pa.array(present)).to_pylist()), np.uint8)
        derived[present] = raw.reshape(-1, 16)
        return derived, []
    name = roles.event_id or "event_id"
    values = block.event_id
    found: list[Fault] = []
    if len(values) and int(lengths(values).max()) > limits.EVENT_ID_CHARACTERS:
        too_long = bools(pc.greater(pc.utf8_length(values), limits.EVENT_ID_CHARACTERS))
        found = fault(block.rows, too_long, name, values, f"longer than {limits.EVENT_ID_CHARACTERS} characters")
    given_ids(values, derived, ~_missing(values))
    return derived, found


def _payloads(block: Block, roles: Roles) -> tuple[Any, list[Fault]]:
    name = roles.payload or "payload"
    values = block.payload
    found: list[Fault] = []
    wrong = np.zeros(len(values), np.bool_)
    if not block.payload_checked:
        for where, reason in payload.check_texts(values):
            found += fault(block.rows, where, name, values, reason)
            wrong |= where
    # Grammar first: what is unreadable is only asked of documents that are JSON.
    sound = pc.if_else(pa.array(wrong), payload.EMPTY, values) if wrong.any() else values
    for where, reason in payload.check_readable(sound):
        found += fault(block.rows, where, name, values, reason)
    empty = _missing(values)
    return (pc.if_else(pa.array(empty), payload.EMPTY, values) if empty.any() else values), found
