"""The check ``membership_swing``: did a computation move more of a segment than one would expect?"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from segops_orchestration.compute.result import ComputationResult, SegmentResult
from segops_orchestration.defs.metadata import markdown_table

# A segment smaller than this swings by chance.
SMALLEST_SEGMENT = 100
LARGEST_SHARE = 0.2

MEMBERSHIP_SWING = dg.AssetCheckSpec(
    "membership_swing",
    asset="segment_memberships",
    description=(
        f"Warns when one computation moved more than {LARGEST_SHARE:.0%} of a segment that had at least "
        f"{SMALLEST_SEGMENT} members. An edited definition explains it; a broken feed of events does too."
    ),
)


def swing(segment: SegmentResult) -> float | None:
    """Users who entered or exited, as a share of the members before; None when those were too few to tell."""
    before = segment.members - segment.entered + segment.exited
    if before < SMALLEST_SEGMENT:
        return None
    return (segment.entered + segment.exited) / before


def swing_check(results: Iterable[ComputationResult]) -> dg.AssetCheckResult:
    """The outcome over all segments that a run computed."""
    shares = {
        (result.tenant, segment): share
        for result in results
        for segment in result.segments
        if (share := swing(segment)) is not None
    }
    swung = {key: share for key, share in shares.items() if share > LARGEST_SHARE}
    rows = [
        (tenant, one.slug, one.members - one.entered + one.exited, one.entered, one.exited, f"{share:.0%}", one.reason)
        for (tenant, one), share in sorted(swung.items(), key=lambda item: -item[1])
    ]
    table = markdown_table(("tenant", "segment", "before", "entered", "exited", "moved", "reason"), rows)
    return dg.AssetCheckResult(
        check_name=MEMBERSHIP_SWING.name,
        passed=not swung,
        severity=dg.AssetCheckSeverity.WARN,
        description=", ".join(f"{tenant}/{one.slug} moved by {share:.0%}" for (tenant, one), share in swung.items()),
        metadata={
            "segments_compared": len(shares),
            "segments_swung": len(swung),
            "largest_share": max(shares.values(), default=0.0),
            **({"swung": dg.MetadataValue.md(table)} if swung else {}),
        },
    )
