"""``compute()``: the one way memberships change, whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.holding import LEASE_SECONDS
from segops_orchestration.catalog.records import CommittedCounts, Computation, Mode, StagedCounts
from segops_orchestration.catalog.tables import to_milliseconds
from segops_orchestration.compute.apply import apply_changes
from segops_orchestration.compute.buckets import count_users, first_buckets
from segops_orchestration.compute.candidates import Candidates
from segops_orchestration.compute.changes import count_changes, count_members, stage_deltas, stage_full
from segops_orchestration.compute.lease import HeldLease
from segops_orchestration.compute.lookup import update_lookup
from segops_orchestration.compute.moving import move_joined_events
from segops_orchestration.compute.plan import PlannedWork, Resolver, Watermark, plan_work
from segops_orchestration.compute.recovery import recover
from segops_orchestration.compute.result import ComputationResult, SegmentResult
from segops_orchestration.compute.scratch import empty_scratch
from segops_orchestration.compute.session import ComputeSession, split_evenly
from segops_orchestration.errors import QueryMemoryExceeded, SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

Progress = Callable[[SegmentResult], None]

# The statements of a delta are small and most of their time is planning: one evaluates several segments, and several
# go to the server at once.
DELTA_BATCH = 12
DELTA_WORKERS = 4
# Full computations of segments at a time: a statement alone leaves processors idle while it is planned and while its
# results are brought together.
FULL_WORKERS = 2
TOO_MANY_CANDIDATES = "more candidates than fit into the memory of a query"


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
    wait_seconds: float = 0.0,
) -> ComputationResult:
    """Compute memberships at the instant ``at`` (default: the warehouse's clock now) and commit them.

    Args:
        segments: slugs to compute, with whatever they refer to; None for all active segments.
        mode: ``delta`` evaluates only users whose answer can have changed, and falls back to a full computation of a
            segment that has no usable last one; ``full`` evaluates everyone. Both leave the same members.
        run_id: the Dagster run on whose behalf this happens.
        progress: called for each segment once it is committed.
        wait_seconds: how long to wait while another computation of the tenant runs; 0 refuses at once.

    Raises:
        NotFound: no such tenant or segment.
        TenantBusy: another computation of the tenant is running, still after the wait; it names who that is.
        WarehouseError: ClickHouse refused or could not be reached. What was committed stays, the next computation
            completes or takes back the rest.
    """
    started = time.monotonic()
    tenant_warehouse = warehouse.tenant(catalog.get_tenant(tenant).slug)
    with HeldLease(catalog, tenant, run_id, lease_seconds, wait_seconds) as held:
        tenant_warehouse.migrate()
        recover(catalog, tenant_warehouse, held.lease)
        active = catalog.list_segments(tenant)
        resolver = Resolver(tenant, active)
        wanted = active if segments is None else [resolver.segment(slug) for slug in segments]
        watermark, has_identities = _look(tenant_warehouse)
        if has_identities and move_joined_events(catalog, tenant_warehouse, held.lease):
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
    return _look(warehouse)[0]


def _look(warehouse: TenantWarehouse) -> tuple[Watermark, bool]:
    """The watermark, and whether any ids of the tenant are joined."""
    ((block, now, identities),) = warehouse.query(
        "SELECT maxIf(max_block_number, table = 'arrivals'), toUnixTimestamp64Milli(now64(3)),"
        " sumIf(rows, table != 'arrivals') FROM system.parts"
        " WHERE active AND database = {database:String} AND table IN ('arrivals', 'identities', 'moving_events')",
        {"database": warehouse.database},
    ).result_rows
    return Watermark(int(block), datetime.fromtimestamp(now / 1000, UTC)), bool(identities)


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
        self._users: int | None = None
        self._too_many = False
        self._session = ComputeSession(
            warehouse, computation.id, computation.membership_version, computation.at, computation.run_id
        )

    def run(self, levels: Sequence[Sequence[PlannedWork]]) -> list[SegmentResult]:
        try:
            results = self._run(levels)
        except SegOpsError as error:
            self._give_up(error)
            raise
        self._catalog.finish_computation(self._computation.id, "succeeded", lease=self._held.lease)
        return results

    def _run(self, levels: Sequence[Sequence[PlannedWork]]) -> list[SegmentResult]:
        deltas = [work for level in levels for work in level if work.mode == "delta"]
        results: list[SegmentResult] = []
        with ThreadPoolExecutor(DELTA_WORKERS) as workers:
            candidates = Candidates(self._session, workers, self._computation.watermark_block)
            if not _fits(lambda: candidates.prepare(deltas)):
                self._too_many = True
            for number, level in enumerate(levels, start=1):
                staged = self._stage(level, candidates, workers)
                if number == len(levels) and (candidates.any_found or self._too_many):
                    emptying = workers.submit(empty_scratch, self._session.warehouse)
                    results += self._commit(staged)
                    emptying.result()
                else:
                    results += self._commit(staged)
        return results

    def _stage(self, level: Sequence[PlannedWork], candidates: Candidates, workers: Executor) -> list[_Staged]:
        staged = self._stage_all_in_full([work for work in level if work.mode == "full"])
        deltas = [work for work in level if work.mode == "delta"]
        counts = self._find(deltas, candidates)
        if counts is None:
            in_full = [replace(work, mode="full", reason=TOO_MANY_CANDIDATES) for work in deltas]
            return staged + self._stage_all_in_full(in_full)
        return staged + self._stage_deltas(counts, candidates, workers)

    def _find(self, deltas: Sequence[PlannedWork], candidates: Candidates) -> dict[PlannedWork, int] | None:
        """How many candidates each segment has; None when they do not fit, and all that is left goes in full.

        What did not fit has left a part of itself in the scratch tables, so nobody may use them any more.
        """
        if not deltas:
            return {}
        counts: dict[int, int] = {}
        if self._too_many or not _fits(lambda: counts.update(candidates.find(deltas))):
            self._too_many = True
            return None
        return {work: counts[work.segment.id] for work in deltas}

    def _stage_all_in_full(self, works: Sequence[PlannedWork]) -> list[_Staged]:
        if works and self._users is None:
            self._users = count_users(self._session)
        with ThreadPoolExecutor(FULL_WORKERS) as workers:
            return list(workers.map(self._stage_full, works))

    def _stage_full(self, work: PlannedWork) -> _Staged:
        started = time.monotonic()
        buckets = first_buckets(self._session, self._users or 0, [work.definition])
        rows_read = stage_full(self._session, work, self._resolver, buckets)
        return _Staged(work, None, rows_read, _since(started))

    def _stage_deltas(
        self, counts: Mapping[PlannedWork, int], candidates: Candidates, workers: Executor
    ) -> list[_Staged]:
        idle = [_Staged(work, 0, 0, 0) for work, count in counts.items() if not count]
        busy = [work for work, count in counts.items() if count]

        def stage(batch: Sequence[PlannedWork]) -> list[_Staged]:
            started = time.monotonic()
            reasons = {work: candidates.reason_numbers(work) for work in batch}
            users = max(counts[work] for work in batch)
            buckets = first_buckets(self._session, users, [work.definition for work in batch])
            rows_read = stage_deltas(self._session, reasons, self._resolver, buckets) // len(batch)
            milliseconds = _since(started) // len(batch)
            return [_Staged(work, counts[work], rows_read, milliseconds) for work in batch]

        return idle + [staged for batch in workers.map(stage, split_evenly(busy, DELTA_BATCH)) for staged in batch]

    def _commit(self, level: Sequence[_Staged]) -> list[SegmentResult]:
        evaluated = [staged.work.segment.id for staged in level if staged.candidates != 0]
        changes = count_changes(self._session, evaluated) if evaluated else {}
        results = [self._result(staged, *changes.get(staged.work.segment.id, (0, 0))) for staged in level]
        self._catalog.mark_staged(
            self._computation.id,
            [
                StagedCounts(result.segment_id, result.candidates, result.entered, result.exited, result.rows_read)
                for result in results
            ],
            lease=self._held.lease,
        )
        if changes:
            apply_changes(self._session, changes)
            update_lookup(self._session, changes)
        results = self._with_members(results)
        self._catalog.commit_segments(
            self._computation.id,
            [CommittedCounts(result.segment_id, result.members, result.milliseconds) for result in results],
            lease=self._held.lease,
        )
        if self._progress is not None:
            for result in results:
                self._progress(result)
        return results

    def _with_members(self, results: Sequence[SegmentResult]) -> list[SegmentResult]:
        """A full computation counts; a delta adds up, because its changes are exactly what was applied."""
        full = [result.segment_id for result in results if result.mode == "full"]
        counted = count_members(self._session, full) if full else {}
        return [
            replace(result, members=counted.get(result.segment_id, 0)) if result.mode == "full" else result
            for result in results
        ]

    def _result(self, staged: _Staged, entered: int, exited: int) -> SegmentResult:
        segment, since = staged.work.segment, staged.work.since
        return SegmentResult(
            segment_id=segment.id,
            slug=segment.slug,
            version=segment.version,
            mode=staged.work.mode,
            reason=staged.work.reason,
            members=(since.members if since else 0) + entered - exited,
            entered=entered,
            exited=exited,
            candidates=staged.candidates,
            milliseconds=staged.milliseconds,
            rows_read=staged.rows_read,
        )

    def _give_up(self, error: SegOpsError) -> None:
        """Leave things tidy if that is still possible; if not, the next computation does it."""
        try:
            recover(self._catalog, self._session.warehouse, self._held.lease)
            self._catalog.finish_computation(self._computation.id, "failed", str(error), lease=self._held.lease)
        except SegOpsError as second:
            error.add_note(f"and tidying up failed too: {second}")


def _fits(step: Callable[[], None]) -> bool:
    """Do it; False when it took more memory than a query may."""
    try:
        step()
    except QueryMemoryExceeded:
        return False
    return True


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
