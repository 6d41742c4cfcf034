"""Doing the same for each tenant of a run: wait for a busy one, and let no tenant's failure stop the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from segops_orchestration.catalog.records import Mode
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.defs.partitions import SEGMENTS, register, segment_key
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.errors import SegOpsError, TenantBusy

# Seconds between the tries to compute a tenant that somebody else is computing. Together they are longer than a
# lease lasts, so that a tenant whose computation was killed is not given up.
BUSY_WAITS: tuple[float, ...] = (1, 2, 4, 8, 15, 30, 30)


def compute_when_free(
    segops: SegOpsResource,
    tenant: str,
    segments: Sequence[str] | None,
    *,
    mode: Mode,
    run_id: str,
    log: logging.Logger,
    waits: Sequence[float] | None = None,
) -> ComputationResult:
    """``compute()``; while the tenant is busy, wait and try again.

    Raises:
        TenantBusy: it still was after the last wait; the message names who computes it.
    """
    for seconds in BUSY_WAITS if waits is None else waits:
        try:
            return compute(segops.catalog, segops.warehouse, tenant, segments, mode=mode, run_id=run_id)
        except TenantBusy as busy:
            log.info("%s is being computed by %s; trying again in %g s", tenant, busy.holder, seconds)
            time.sleep(seconds)
    return compute(segops.catalog, segops.warehouse, tenant, segments, mode=mode, run_id=run_id)


def for_each_tenant(log: logging.Logger, tenants: Iterable[str], work: Callable[[str], None]) -> None:
    """Call ``work`` for every tenant, also after one of them has failed.

    Raises:
        dg.Failure: some failed; it names them and says why. What the others did is committed, and doing it again is
            harmless, so the run can be repeated as it is.
    """
    failures: dict[str, str] = {}
    for tenant in tenants:
        try:
            work(tenant)
        except SegOpsError as error:
            log.error("%s: %s", tenant, error)
            failures[tenant] = str(error)
    if failures:
        listed = "\n".join(f"{tenant}: {message}" for tenant, message in failures.items())
        raise dg.Failure(
            description=f"{len(failures)} tenant{'s' * (len(failures) > 1)} failed.\n{listed}",
            metadata={"failed_tenants": list(failures)},
            allow_retries=False,
        )


def tenants_in_use(segops: SegOpsResource, tenants: Sequence[str], log: logging.Logger) -> list[str]:
    """Those that are not archived: "all partitions" still lists the others.

    When nothing else was asked for, archived tenants stay in, and the work says that they are.
    """
    archived = {tenant.slug for tenant in segops.catalog.list_tenants(include_archived=True)}
    archived -= {tenant.slug for tenant in segops.catalog.list_tenants()}
    in_use = [tenant for tenant in tenants if tenant not in archived]
    if not in_use:
        return list(tenants)
    for tenant in tenants:
        if tenant in archived:
            log.warning("%s is archived; left out", tenant)
    return in_use


def register_segments(segops: SegOpsResource, instance: dg.DagsterInstance, tenant: str) -> None:
    """Make a partition of each active segment of a tenant."""
    keys = [segment_key(tenant, segment.slug) for segment in segops.catalog.list_segments(tenant)]
    register(instance, SEGMENTS, keys)
