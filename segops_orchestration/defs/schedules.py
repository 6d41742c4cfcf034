"""Schedules: time alone moves members, and nights are for full recomputation, checks and tidying up."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from segops_orchestration.defs.in_flight import in_flight
from segops_orchestration.defs.jobs import purge_old_runs, recompute, recompute_request, tenant_checks
from segops_orchestration.defs.memberships import ComputeMode
from segops_orchestration.defs.partitions import TENANTS, missing_keys
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.errors import SegOpsError

_RUNNING = dg.DefaultScheduleStatus.RUNNING
_MINUTES = "SEGOPS_CLOCK_TICK_MINUTES"
MOST_REQUESTS = 200
# Runs with a lower priority wait until no others do.
_BEHIND_DELTAS = {"dagster/priority": "-1"}


def clock_tick_minutes() -> int:
    """How often members are looked at for changes by time alone: SEGOPS_CLOCK_TICK_MINUTES, default 15.

    Raises:
        SegOpsError: it is not a whole number that divides the hour.
    """
    text = os.environ.get(_MINUTES) or "15"
    if not text.isdecimal() or int(text) not in range(1, 61) or 60 % int(text):
        raise SegOpsError(f"{_MINUTES}: found {text!r}; allowed are whole minutes that divide an hour, such as 5 or 15")
    return int(text)


CLOCK_TICK_MINUTES = clock_tick_minutes()
CLOCK_TICK_CRON = "0 * * * *" if CLOCK_TICK_MINUTES == 60 else f"*/{CLOCK_TICK_MINUTES} * * * *"


@dg.schedule(
    name="clock_tick",
    job=recompute,
    cron_schedule=CLOCK_TICK_CRON,
    default_status=_RUNNING,
    description=(
        "Requests a delta run for each tenant that is idle and was not computed since the last tick: windows move "
        "on, so users enter and exit without any event."
    ),
)
def clock_tick(context: dg.ScheduleEvaluationContext, segops: SegOpsResource) -> list[dg.RunRequest] | dg.SkipReason:
    """One tick."""
    at = _scheduled(context)
    due = [
        (watermark.at or datetime.fromtimestamp(0, UTC), tenant)
        for tenant, watermark in segops.catalog.watermarks().items()
        if watermark.segments and (watermark.at is None or watermark.at <= at - timedelta(minutes=CLOCK_TICK_MINUTES))
    ]
    tenants = _idle(context, [tenant for _, tenant in sorted(due)])[:MOST_REQUESTS]
    if not tenants:
        return dg.SkipReason("every tenant is busy, or was computed since the last tick")
    return [_request(context, tenant, ComputeMode.delta, at) for tenant in tenants]


@dg.schedule(
    name="full_reconciliation",
    job=recompute,
    cron_schedule="0 3 * * *",
    default_status=_RUNNING,
    description="Every night, a full run for each tenant: whatever a delta could have missed is found by morning.",
)
def full_reconciliation(
    context: dg.ScheduleEvaluationContext, segops: SegOpsResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """One night. Beyond 200 tenants, the nights take turns."""
    at = _scheduled(context)
    tenants = [tenant for tenant, watermark in segops.catalog.watermarks().items() if watermark.segments]
    if not tenants:
        return dg.SkipReason("no tenant has segments")
    first = at.toordinal() * MOST_REQUESTS % len(tenants)
    turn = (tenants[first:] + tenants[:first])[:MOST_REQUESTS]
    known = _registered(context, turn)
    return [_request(context, tenant, ComputeMode.full, at, _BEHIND_DELTAS) for tenant in known]


run_history_cleanup = dg.ScheduleDefinition(
    name="run_history_cleanup",
    job=purge_old_runs,
    cron_schedule="30 4 * * *",
    default_status=_RUNNING,
    description="Every night, delete runs of more than 30 days ago.",
)


@dg.schedule(
    name="hourly_checks",
    job=tenant_checks,
    cron_schedule="20 * * * *",
    default_status=_RUNNING,
    description="Every hour, look for tenants that fall behind, and verify a sample of stored members.",
)
def hourly_checks(context: dg.ScheduleEvaluationContext, segops: SegOpsResource) -> dg.RunRequest | dg.SkipReason:
    """One hour."""
    if not any(watermark.segments for watermark in segops.catalog.watermarks().values()):
        return dg.SkipReason("no tenant has segments")
    return dg.RunRequest(run_key=_scheduled(context).isoformat())


def _scheduled(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(UTC)


def _request(
    context: dg.ScheduleEvaluationContext,
    tenant: str,
    mode: ComputeMode,
    at: datetime,
    tags: dict[str, str] | None = None,
) -> dg.RunRequest:
    return recompute_request(tenant, mode, run_key=f"{tenant}:{at.isoformat()}", tags=tags)


def _registered(context: dg.ScheduleEvaluationContext, tenants: list[str]) -> list[str]:
    """Those that are partitions by now; the sensor registers the others."""
    missing = set(missing_keys(context.instance, TENANTS, tenants))
    return [tenant for tenant in tenants if tenant not in missing]


def _idle(context: dg.ScheduleEvaluationContext, tenants: list[str]) -> list[str]:
    busy = in_flight(context.instance).tenants if tenants else frozenset()
    return [tenant for tenant in _registered(context, tenants) if tenant not in busy]
