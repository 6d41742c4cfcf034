"""What the segments of a tenant hold, what they have not seen yet, and who is computing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedSegment, Computation, Lease, SegmentStatus
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

State = Literal["ok", "never computed", "definition edited", "archived"]


@dataclass(frozen=True)
class SegmentState:
    """A segment and its last committed computation.

    Attributes:
        waiting_since: when the first event came in that the segment has not been computed with; None when there is
            no such event, or nothing was computed yet.
    """

    stored: SegmentStatus
    state: State
    waiting_since: datetime | None


@dataclass(frozen=True)
class TenantStatus:
    """A tenant at one moment.

    Attributes:
        holder: the lease of the computation that is running, None when none is.
        last: the newest computation, whatever became of it; None when there never was one.
    """

    tenant: str
    segments: tuple[SegmentState, ...]
    holder: Lease | None
    last: Computation | None


def tenant_status(catalog: Catalog, warehouse: Warehouse, tenant: str) -> TenantStatus:
    """Look at all segments of a tenant, archived ones too, by slug.

    Raises:
        NotFound: no such tenant.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    committed = catalog.committed_state(tenant)
    waiting = _waiting_since(warehouse.tenant(tenant), committed.values())
    segments = []
    for stored in catalog.segment_status(tenant, include_archived=True):
        since = committed.get(stored.segment_id)
        state = _state(stored)
        block = since.watermark_block if since and state != "archived" else None
        segments.append(SegmentState(stored, state, waiting.get(block)))
    last = catalog.list_computations(tenant, limit=1)
    return TenantStatus(tenant, tuple(segments), catalog.lease_holder(tenant), last[0] if last else None)


def _state(stored: SegmentStatus) -> State:
    if stored.status == "archived":
        return "archived"
    if stored.computed_version is None:
        return "never computed"
    return "definition edited" if stored.pending else "ok"


def _waiting_since(warehouse: TenantWarehouse, committed: Iterable[CommittedSegment]) -> dict[int | None, datetime]:
    """The first arrival behind each watermark, for watermarks that have one."""
    visible = read_watermark(warehouse).block
    behind = sorted({one.watermark_block for one in committed if one.watermark_block < visible})
    found: dict[int | None, datetime] = {}
    for block in behind:
        ((count, first),) = warehouse.query(
            "SELECT count(), min(ingested_at) FROM arrivals WHERE _block_number > {block:UInt64} AND user_id != ''",
            {"block": block},
        ).result_rows
        if count:
            found[block] = first
    return found
