"""Which tenants wait for a computation, and when one whose runs failed may be tried again. No Dagster in here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from segops_orchestration.catalog.records import Segment, TenantWatermark
from segops_orchestration.warehouse.client import Warehouse

_EPOCH = datetime.fromtimestamp(0, UTC)

# Only committed parts are listed, and inserts get their block numbers at the commit, so a greater number means news.
_ARRIVALS = """SELECT
  substring(database, 8),
  maxIf(max_block_number, table = 'arrivals'),
  sumIf(rows, table = 'events'),
  sumIf(rows, table = 'identifications')
FROM system.parts
WHERE active AND startsWith(database, 'segops_') AND table IN ('arrivals', 'events', 'identifications')
GROUP BY database"""

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=10)


@dataclass(frozen=True)
class Arrivals:
    """What a tenant's database holds: ``block`` counts inserts; rows count deliveries, duplicates included."""

    block: int = 0
    event_rows: int = 0
    identification_rows: int = 0


@dataclass(frozen=True)
class WaitingTenant:
    """A tenant whose members are not those of its newest events and definitions."""

    watermark: TenantWatermark
    arrivals: Arrivals

    @property
    def tenant(self) -> str:
        return self.watermark.tenant


def read_arrivals(warehouse: Warehouse) -> dict[str, Arrivals]:
    """The arrivals of every tenant, by slug: one query, whatever the number of tenants."""
    rows = warehouse.admin.query(_ARRIVALS).result_rows
    return {slug: Arrivals(int(block), int(events), int(known)) for slug, block, events, known in rows}


def is_waiting(watermark: TenantWatermark, arrivals: Arrivals) -> bool:
    """Whether a tenant with active segments has news: events, or definitions never computed."""
    if not watermark.segments:
        return False
    if watermark.never_computed_or_changed or watermark.watermark_block is None:
        return True
    # Lower, but not 0: all arrivals had expired, and the sequence began anew.
    return arrivals.block > watermark.watermark_block or 0 < arrivals.block < watermark.watermark_block


def waiting_tenants(watermarks: Mapping[str, TenantWatermark], arrivals: Mapping[str, Arrivals]) -> list[WaitingTenant]:
    """Those that wait; first the ones never computed, then the longest uncomputed."""
    found = [
        WaitingTenant(watermark, arrivals.get(slug, Arrivals()))
        for slug, watermark in watermarks.items()
        if is_waiting(watermark, arrivals.get(slug, Arrivals()))
    ]
    return sorted(found, key=lambda one: (one.watermark.watermark_at or _EPOCH, one.tenant))


def definitions_fingerprint(segments: Iterable[Segment]) -> str:
    """Changes when a tenant's set of active definitions does."""
    identity = sorted((one.id, one.version, one.created_at.isoformat()) for one in segments)
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]


def retry_at(failures: int, last_ended_at: datetime) -> datetime:
    """When to try again after so many failures in a row: 10 s, 20 s, 40 s ... and at most 10 minutes apart."""
    wait = FIRST_RETRY * (1 << min(failures - 1, 10))
    return last_ended_at + min(wait, LONGEST_RETRY)
