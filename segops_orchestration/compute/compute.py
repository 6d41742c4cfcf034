"""``compute()``: the one way memberships change, whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Computation, Mode
from segops_orchestration.compute.candidates import Candidates, event_types_read
from segops_orchestration.compute.changes import (
    apply_changes,
    count_changes,
    count_members,
    stage_delta,
    stage_full,
)
from segops_orchestration.compute.lease import LEASE_SECONDS, HeldLease
from segops_orchestration.compute.plan import PlannedWork, Resolver, Watermark, plan_work
from segops_orchestration.compute.recovery import recover
from segops_orchestration.compute.result import ComputationResult, SegmentResult
from segops_orchestration.compute.scratch import drop_scratch
from segops_orchestration.compute.session import USERS_PER_BUCKET, ComputeSession
from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

Progress = Callable[[SegmentResult], None]


def compute(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    segments: Sequence[str] | None = None,
    *,
    mode: Mode = "delta",
    at: datetime | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> ComputationResult:
    """Compute memberships at the instant ``at`` (default: the warehouse's clock now) and commit them.

    Args:
        segments: slugs to compute, with whatever they refer to; None for all active segments.
        mode: ``delta`` evaluates only users whose answer can have changed, and falls back to a full computation of a
            segment that has no usable last one; ``full`` evaluates everyone. Both leave the same members.
        run_id: the Dagster run on whose behalf this happens.
        progress: called for each segment once it is committed.

    Raises:
        NotFound: no such tenant or segment.
        TenantBusy: another computation of the tenant is running.
        WarehouseError: ClickHouse refused or could not be reached. What was committed stays, the next computation
            completes or takes back the rest.
    """
    started = time.monotonic()
    tenant_warehouse = warehouse.tenant(catalog.get_tenant(tenant).slug)
    with HeldLease(catalog, tenant, run_id, lease_seconds) as held:
        tenant_warehouse.migrate()
        recover(catalog, tenant_warehouse, held.lease)
        active = catalog.list_segments(tenant)
        resolver = Resolver(tenant, active)
        wanted = active if segments is None else [resolver.segment(slug) for slug in segments]
        watermark = read_watermark(tenant_warehouse)
        instant = to_milliseconds(at or watermark.at)
        levels = plan_work(
            active, wanted, resolver, catalog.committed_state(tenant), mode=mode, at=instant, watermark=watermark
        )
        computation = catalog.begin_computation(
            tenant,
            mode=mode,
            at=instant,
            watermark_block=watermark.block,
            watermark_at=watermark.at,
            owner=held.owner,
            run_id=run_id,
            segments=[work.planned for level in levels for work in level],
            lease=held.lease,
        )
        results = _Execution(catalog, tenant_warehouse, held, computation, resolver, progress).run(levels)
    return ComputationResult(
        computation_id=computation.id,
        tenant=tenant,
        mode=mode,
        at=instant,
        watermark_block=watermark.block,
        milliseconds=_since(started),
        segments=tuple(sorted(results, key=lambda result: result.slug)),
    )


def read_watermark(warehouse: TenantWarehouse) -> Watermark:
    """How many inserts are visible in ``arrivals``, and the server's clock.

    Only committed parts are listed, and their block numbers are given out at the commit: what becomes visible later
    has a higher number.
    """
    ((block, now),) = warehouse.query(
        "SELECT max(max_block_number), toUnixTimestamp64Milli(now64(3)) FROM system.parts"
        " WHERE active AND database = {database:String} AND table = 'arrivals'",
        {"database": warehouse.database},
    ).result_rows
    return Watermark(int(block), datetime.fromtimestamp(now / 1000, UTC))


def to_milliseconds(instant: datetime) -> datetime:
    """The same instant in UTC, what is finer than a millisecond cut off."""
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class _Staged:
    """A segment whose changes are written down but not applied."""

    work: PlannedWork
    candidates: int | None
    rows_read: int
    milliseconds: int


class _Execution:
    """Runs the planned levels of one computation."""

    def __init__(
        self,
        catalog: Catalog,
        warehouse: TenantWarehouse,
        held: HeldLease,
        computation: Computation,
        resolver: Resolver,
        progress: Progress | None,
    ) -> None:
        self._catalog = catalog
        self._held = held
        self._computation = computation
        self._resolver = resolver
        self._progress = progress
        self._session = ComputeSession(
            warehouse, computation.id, computation.membership_version, computation.at, computation.run_id
        )

    def run(self, levels: Sequence[Sequence[PlannedWork]]) -> list[SegmentResult]:
        try:
            results = self._run(levels)
        except SegOpsError as error:
            self._give_up(error)
            raise
        drop_scratch(self._session.warehouse)
        self._catalog.finish_computation(self._computation.id, "succeeded", lease=self._held.lease)
        return results

    def _run(self, levels: Sequence[Sequence[PlannedWork]]) -> list[SegmentResult]:
        deltas = [work.definition for level in levels for work in level if work.mode == "delta"]
        candidates = Candidates(self._session, event_types_read(deltas))
        buckets = self._buckets() if len(deltas) < sum(map(len, levels)) else 1
        results: list[SegmentResult] = []
        for level in levels:
            staged = [self._stage_full(work, buckets) for work in level if work.mode == "full"]
            staged += self._stage_deltas([work for work in level if work.mode == "delta"], candidates)
            results += self._commit(staged)
        return results

    def _buckets(self) -> int:
        ((users,),) = self._session.rows("SELECT count() FROM users")
        return max(1, -(-int(users) // USERS_PER_BUCKET))

    def _stage_full(self, work: PlannedWork, buckets: int) -> _Staged:
        started = time.monotonic()
        rows_read = stage_full(self._session, work, self._resolver, buckets)
        return _Staged(work, None, rows_read, _since(started))

    def _stage_deltas(self, level: Sequence[PlannedWork], candidates: Candidates) -> list[_Staged]:
        if not level:
            return []
        counts = candidates.find(level)
        return [self._stage_delta(work, counts[work.segment.id], candidates.scopes(work)) for work in level]

    def _stage_delta(self, work: PlannedWork, candidates: int, scopes: list[int]) -> _Staged:
        started = time.monotonic()
        rows_read = 0
        if candidates:
            rows_read = stage_delta(self._session, work, self._resolver, scopes)
        return _Staged(work, candidates, rows_read, _since(started))

    def _commit(self, level: Sequence[_Staged]) -> list[SegmentResult]:
        segment_ids = [staged.work.segment.id for staged in level]
        changes = count_changes(self._session, segment_ids)
        for staged in level:
            entered, exited = changes.get(staged.work.segment.id, (0, 0))
            self._catalog.mark_staged(
                self._computation.id,
                staged.work.segment.id,
                candidates=staged.candidates,
                entered=entered,
                exited=exited,
                rows_read=staged.rows_read,
                lease=self._held.lease,
            )
        if changes:
            apply_changes(self._session, sorted(changes))
        members = count_members(self._session, segment_ids)
        return [
            self._commit_one(
                staged, members.get(staged.work.segment.id, 0), *changes.get(staged.work.segment.id, (0, 0))
            )
            for staged in level
        ]

    def _commit_one(self, staged: _Staged, members: int, entered: int, exited: int) -> SegmentResult:
        segment = staged.work.segment
        self._catalog.commit_segment(
            self._computation.id,
            segment.id,
            members=members,
            milliseconds=staged.milliseconds,
            lease=self._held.lease,
        )
        result = SegmentResult(
            segment_id=segment.id,
            slug=segment.slug,
            version=segment.version,
            mode=staged.work.mode,
            reason=staged.work.reason,
            members=members,
            entered=entered,
            exited=exited,
            candidates=staged.candidates,
            milliseconds=staged.milliseconds,
            rows_read=staged.rows_read,
        )
        if self._progress is not None:
            self._progress(result)
        return result

    def _give_up(self, error: SegOpsError) -> None:
        """Leave things tidy if that is still possible; if not, the next computation does it."""
        try:
            recover(self._catalog, self._session.warehouse, self._held.lease)
            self._catalog.finish_computation(self._computation.id, "failed", str(error), lease=self._held.lease)
        except SegOpsError as second:
            error.add_note(f"and tidying up failed too: {second}")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
