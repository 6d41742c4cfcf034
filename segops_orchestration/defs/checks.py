"""Checks that look at the tenants from outside their runs: who falls behind, and are the stored members right?"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from segops_orchestration.compute.verify import Verification, verify
from segops_orchestration.defs.in_flight import tenants_of_run
from segops_orchestration.defs.memberships import segment_memberships
from segops_orchestration.defs.metadata import markdown_table
from segops_orchestration.defs.partitions import segment_key
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.waiting import read_arrivals, waiting_tenants
from segops_orchestration.errors import SegOpsError

STALE_AFTER = timedelta(minutes=30)
# An hour's verification looks at this many tenants for at most this long; the hours take turns.
TENANTS_VERIFIED = 10
VERIFY_SECONDS = 60.0


@dg.asset_check(
    asset=segment_memberships,
    description=(
        f"Warns when a tenant has events or definitions waiting although its last computation is more than "
        f"{STALE_AFTER.seconds // 60} minutes ago: its runs fail, or do not keep up."
    ),
)
def stale_tenants(segops: SegOpsResource) -> dg.AssetCheckResult:
    """Tenants that fall behind."""
    now = datetime.now(UTC)
    watermarks = segops.catalog.watermarks()
    waiting = waiting_tenants(watermarks, read_arrivals(segops.warehouse)) if watermarks else []
    stale = [
        (one.tenant, one.watermark.at)
        for one in waiting
        if (one.watermark.at is None and _has_waited(segops, one.tenant, now))
        or (one.watermark.at is not None and now - one.watermark.at > STALE_AFTER)
    ]
    rows = [(tenant, at.isoformat(timespec="seconds") if at else "never") for tenant, at in stale]
    table = dg.MetadataValue.md(markdown_table(("tenant", "last computed"), rows))
    return dg.AssetCheckResult(
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=", ".join(tenant for tenant, _ in stale[:20]),
        metadata={
            "tenants": len(watermarks),
            "waiting": len(waiting),
            "stale": len(stale),
            **({"stale_tenants": table} if stale else {}),
        },
    )


def _has_waited(segops: SegOpsResource, tenant: str, now: datetime) -> bool:
    """Of a tenant that was never computed: whether it has had segments for long."""
    return any(now - one.created_at > STALE_AFTER for one in segops.catalog.list_segments(tenant))


@dg.asset_check(
    asset=segment_memberships,
    description=(
        "Evaluates a random sample of about 1,000 users anew for every segment of some tenants (all users, where a "
        "segment has fewer members than that), at the instant of the last computation, and compares with the stored "
        "members. Users of whom events have arrived since are drift, not errors: they are counted and left to the "
        "next computation. To repair a segment that is wrong, materialize its partition `tenant/segment` of the asset "
        "`segments`, or the tenant's partition of `segment_memberships`: both recompute in full."
    ),
)
def delta_equals_full(context: dg.AssetCheckExecutionContext, segops: SegOpsResource) -> dg.AssetCheckResult:
    """Whether deltas left what full computations would."""
    give_up = time.monotonic() + VERIFY_SECONDS
    verified: list[Verification] = []
    unverified: list[tuple[str, str]] = []
    for tenant in _tenants_of_run(context) or _turn(segops):
        if time.monotonic() > give_up:
            break
        try:
            verified.append(verify(segops.catalog, segops.warehouse, tenant, run_id=context.run.run_id))
        except SegOpsError as error:
            unverified.append((tenant, str(error)))
    return _outcome(verified, unverified)


def _tenants_of_run(context: dg.AssetCheckExecutionContext) -> list[str]:
    """Those that the run computes, when it is one that materializes."""
    return sorted(tenants_of_run(context.instance, context.run.tags))[:TENANTS_VERIFIED]


def _turn(segops: SegOpsResource) -> list[str]:
    """This hour's tenants."""
    tenants = [tenant for tenant, watermark in segops.catalog.watermarks().items() if watermark.at is not None]
    if not tenants:
        return []
    hour = int(datetime.now(UTC).timestamp()) // 3600
    first = hour * TENANTS_VERIFIED % len(tenants)
    return (tenants[first:] + tenants[:first])[:TENANTS_VERIFIED]


def _outcome(verified: list[Verification], unverified: list[tuple[str, str]]) -> dg.AssetCheckResult:
    judged = [(one.tenant, segment) for one in verified for segment in one.segments if not segment.skipped]
    skipped = [
        (one.tenant, segment.slug, segment.skipped) for one in verified for segment in one.segments if segment.skipped
    ]
    wrong = [
        (tenant, segment.slug, segment.missing, segment.surplus, ", ".join(segment.examples))
        for tenant, segment in judged
        if not segment.agrees
    ]
    skipped += [(tenant, "", reason) for tenant, reason in unverified]
    metadata: dict[str, Any] = {
        "tenants_verified": len(verified),
        "segments_verified": len(judged),
        "users_sampled": sum(one.users for one in verified),
        "users_drifted": sum(max((segment.drifted for segment in one.segments), default=0) for one in verified),
        "segments_skipped": len(skipped),
        "segments_wrong": len(wrong),
    }
    if wrong:
        columns = ("tenant", "segment", "missing", "surplus", "such as")
        metadata["wrong"] = dg.MetadataValue.md(markdown_table(columns, wrong))
        metadata["repair"] = dg.MetadataValue.md(_repair([segment_key(tenant, slug) for tenant, slug, *_ in wrong]))
    if judged:
        columns = ("tenant", "segment", "users looked at", "users with newer events", "seconds behind")
        metadata["drift"] = dg.MetadataValue.md(markdown_table(columns, _drift(verified)))
    if skipped:
        metadata["skipped"] = dg.MetadataValue.md(markdown_table(("tenant", "segment", "why"), skipped))
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=", ".join(f"{tenant}/{slug}" for tenant, slug, *_ in wrong),
        metadata=metadata,
    )


def _drift(verified: list[Verification]) -> list[tuple[object, ...]]:
    """How far the stored members are behind: rightly so, until the next computation."""
    return [
        (
            one.tenant,
            segment.slug,
            segment.users,
            segment.drifted,
            round(one.behind.total_seconds()) if one.behind else "",
        )
        for one in verified
        for segment in one.segments
        if not segment.skipped
    ]


def _repair(keys: list[str]) -> str:
    """What to click, or to type."""
    commands = "\n".join(f"    segops compute {' '.join(key.split('/'))} --mode full" for key in keys)
    listed = ", ".join(f"`{key}`" for key in keys)
    return (
        f"Materialize {listed} of the asset `segments`, as it is: that recomputes the segment in full and records who "
        f"enters and exits by it. On the command line:\n\n{commands}"
    )
