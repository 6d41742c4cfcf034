"""Finishing what an earlier computation left behind when its process or the warehouse died."""

from __future__ import annotations

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedCounts, Lease, UnfinishedSegment
from segops_orchestration.compute.apply import apply_changes, drop_staging
from segops_orchestration.compute.changes import count_changes, count_members, forget_changes
from segops_orchestration.compute.lookup import update_lookup
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.warehouse.client import TenantWarehouse


def recover(catalog: Catalog, warehouse: TenantWarehouse, lease: Lease) -> None:
    """Complete staged segments, take back planned ones. Harmless when there is nothing to do.

    A staged segment's changes are all written down, so applying them (again) completes it. A planned one may have
    written some of them; they are deleted, and the computation that follows works them out anew.
    """
    unfinished_segments = catalog.unfinished(lease.tenant)
    for unfinished in unfinished_segments:
        session = ComputeSession(
            warehouse, unfinished.computation_id, unfinished.membership_version, unfinished.at, run_id=None
        )
        _stop_queries(warehouse, unfinished.computation_id)
        if unfinished.status == "staged":
            _complete(catalog, session, unfinished, lease)
        else:
            forget_changes(session, [unfinished.segment_id])
            catalog.abandon_segment(unfinished.computation_id, unfinished.segment_id, lease=lease)
    if unfinished_segments:
        drop_staging(warehouse)


def _stop_queries(warehouse: TenantWarehouse, computation_id: int) -> None:
    """End what the dead process left running: the server finishes an INSERT ... SELECT that nobody waits for."""
    warehouse.command(
        "KILL QUERY WHERE current_database = {database:String}"
        " AND JSONExtractUInt(Settings['log_comment'], 'computation') = {computation_id:UInt64} SYNC",
        {"database": warehouse.database, "computation_id": computation_id},
    )


def _complete(catalog: Catalog, session: ComputeSession, unfinished: UnfinishedSegment, lease: Lease) -> None:
    segment_id = unfinished.segment_id
    changes = count_changes(session, [segment_id])
    apply_changes(session, changes)
    update_lookup(session, changes)
    members = count_members(session, [segment_id]).get(segment_id, 0)
    counts = CommittedCounts(segment_id, members=members, milliseconds=0)
    catalog.commit_segments(unfinished.computation_id, [counts], lease=lease)
