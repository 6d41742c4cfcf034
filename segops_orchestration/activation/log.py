"""How a sync ended, in the catalogue's log and in ClickHouse for analysis."""

from __future__ import annotations

import json

from segops_orchestration.activation.session import Session
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import ConnectorLease, Sync, SyncCounts
from segops_orchestration.catalog.syncs import EndedSync
from segops_orchestration.compiler.parameters import instant_text

_COLUMNS = (
    "connector_id",
    "sync_id",
    "connector",
    "type",
    "segment_id",
    "segment",
    "segment_version",
    "computation_id",
    "kind",
    "status",
    "started_at",
    "finished_at",
    "added",
    "removed",
    "rejected",
    "pending",
    "audience",
    "requests",
    "retries",
    "error",
)


def end_sync(
    catalog: Catalog,
    lease: ConnectorLease,
    session: Session,
    record: Sync,
    status: EndedSync,
    counts: SyncCounts,
    error: str = "",
) -> None:
    """Write down the end of a sync. ``activation_runs`` comes first: the breaker reads it."""
    connector = session.connector
    row = [
        connector.id,
        record.id,
        connector.slug,
        connector.type,
        connector.segment_id,
        connector.segment,
        record.segment_version,
        record.computation_id or 0,
        record.kind,
        status,
        instant_text(record.started_at),
        session.now(),
        counts.added,
        counts.removed,
        counts.rejected,
        counts.pending,
        counts.audience or 0,
        counts.requests,
        counts.retries,
        error,
    ]
    if record.kind != "dry_run":
        session.insert("activation_runs", _COLUMNS, iter([json.dumps(row)]))
    catalog.connectors.finish_sync(record.id, status, counts, error or None, lease=lease)
