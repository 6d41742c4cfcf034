"""Events given as Python values, held to the same rules as rows of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from segops_orchestration.errors import InvalidDocument, Problem
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest.arrays import texts
from segops_orchestration.warehouse.ingest.block import Block, to_events
from segops_orchestration.warehouse.ingest.event import Event
from segops_orchestration.warehouse.ingest.faults import shown
from segops_orchestration.warehouse.ingest.identity import NO_ROW_IDS
from segops_orchestration.warehouse.ingest.json_text import json_text
from segops_orchestration.warehouse.ingest.mapping import EVENT_ROLES
from segops_orchestration.warehouse.ingest.write import insert_batches


def insert_events(tenant: TenantWarehouse, events: Iterable[Event]) -> int:
    """See ``segops_orchestration.warehouse.ingest.insert_events``."""
    given = list(events)
    if not given:
        return 0
    problems: list[Problem] = []
    block = Block(
        rows=np.arange(len(given), dtype=np.int64),
        user_id=texts([event.user_id for event in given]),
        event_type=texts([event.event_type for event in given]),
        occurred_at=pa.array(_instants(given, problems), pa.timestamp("us", "UTC")),
        event_id=pa.array([event.event_id.bytes for event in given], pa.binary(16)),
        payload=texts([_payload(event, place, problems) for place, event in enumerate(given)]),
        payload_checked=True,
    )
    checked = to_events(block, EVENT_ROLES, NO_ROW_IDS)
    for fault in checked.faults:
        for row, value in zip(fault.rows.tolist(), fault.values.to_pylist(), strict=True):
            problems.append(Problem(f"events[{row}].{fault.field}", f"{fault.reason}: {shown(value)!r}"))
    if problems:
        raise InvalidDocument(problems)
    return insert_batches(tenant, [checked.batch])


def _instants(events: Sequence[Event], problems: list[Problem]) -> list[Any]:
    for place, event in enumerate(events):
        if event.occurred_at.tzinfo is None:
            problems.append(Problem(f"events[{place}].occurred_at", f"{event.occurred_at} has no timezone"))
    return [event.occurred_at for event in events]


def _payload(event: Event, place: int, problems: list[Problem]) -> str:
    try:
        return json_text(event.payload if isinstance(event.payload, dict) else dict(event.payload))
    except (TypeError, ValueError) as error:
        problems.append(Problem(f"events[{place}].payload", str(error)))
        return "{}"
