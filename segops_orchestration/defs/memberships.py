"""Who is in which segment: the tenant's memberships, and the catalogue of segments."""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from segops_orchestration.compute.result import ComputationResult, SegmentResult
from segops_orchestration.defs.metadata import (
    OWNERS,
    segment_metadata,
    table_metadata,
    tenant_metadata,
)
from segops_orchestration.defs.partitions import (
    SPINE_BACKFILLS,
    by_tenant,
    segment_key,
    segment_partitions,
    tenant_partitions,
)
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.swing import MEMBERSHIP_SWING, swing_check
from segops_orchestration.defs.tenant_work import (
    compute_when_free,
    for_each_tenant,
    register_segments,
    tenants_in_use,
)
from segops_orchestration.errors import NotFound

GROUP = "segmentation"

MEMBER_COLUMNS = (
    ("segment_id", "UInt64", "the segment's id in the catalogue"),
    ("user_id", "String", "a member"),
    ("computed_at", "DateTime64(3, 'UTC')", "instant of the computation in which the user entered"),
    ("version", "UInt64", "rises with every computation that changed the row"),
    ("is_deleted", "UInt8", "1 when the user has exited"),
)


class ComputeMode(Enum):
    """How to compute. Both leave the same members."""

    full = "full"
    delta = "delta"


class MembershipsConfig(dg.Config):
    """Run config of ``segment_memberships``; as it is by default, the whole tenant is recomputed in full."""

    mode: ComputeMode = Field(
        default=ComputeMode.full,
        description="full evaluates every user; delta only those whose answer can have changed since the last time.",
    )
    segments: list[str] | None = Field(
        default=None,
        description="Slugs of the segments to compute, together with those that they refer to; all if left out.",
    )


events = dg.AssetSpec(
    "events",
    description=(
        "What happened, one row per delivery. Not made by Dagster: `segops ingest` and the API write it. The sensor "
        "`new_events` reports an observation whenever rows have arrived."
    ),
    partitions_def=tenant_partitions,
    group_name="sources",
    kinds={"clickhouse", "table"},
    owners=OWNERS,
    tags={"layer": "source", "grain": "tenant"},
    metadata=table_metadata(
        "events",
        (
            ("event_id", "UUID", "an event has one, however often it is delivered"),
            ("user_id", "String", "who did it"),
            ("event_type", "LowCardinality(String)", "what it was, such as order_placed"),
            ("occurred_at", "DateTime64(3, 'UTC')", "when it happened"),
            ("ingested_at", "DateTime64(3, 'UTC')", "when it arrived here"),
            ("payload", "String", "its properties, as JSON text"),
        ),
    ),
)

user_properties = dg.AssetSpec(
    "user_properties",
    deps=["events"],
    description=(
        "What users said about themselves: the payload of each one's latest `context_identified` event. Kept up to "
        "date by ClickHouse itself, as a materialized view."
    ),
    partitions_def=tenant_partitions,
    group_name="sources",
    kinds={"clickhouse", "view"},
    owners=OWNERS,
    tags={"layer": "source", "grain": "tenant"},
    metadata=table_metadata(
        "user_properties",
        (
            ("user_id", "String", "whose properties"),
            ("properties", "String", "JSON text"),
            ("identified_at", "DateTime64(3, 'UTC')", "when the user was last identified"),
        ),
    ),
)


@dg.asset(
    deps=[events, user_properties],
    partitions_def=tenant_partitions,
    backfill_policy=SPINE_BACKFILLS,
    group_name=GROUP,
    kinds={"clickhouse", "table"},
    owners=OWNERS,
    tags={"layer": "membership", "grain": "tenant"},
    metadata=table_metadata("segment_memberships", MEMBER_COLUMNS),
    check_specs=[MEMBERSHIP_SWING],
)
def segment_memberships(
    context: dg.AssetExecutionContext, config: MembershipsConfig, segops: SegOpsResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # dagster takes it for a tuple with one
    """The members of every segment of a tenant.

    Materializing a partition recomputes the tenant in full; the sensor and the clock ask for a delta. Either way
    the members are those of one instant. Segments that changed are reported as materializations of `segments`.
    """
    results: list[ComputationResult] = []

    def work(tenant: str) -> None:
        result = compute_when_free(
            segops, tenant, config.segments, mode=config.mode.value, run_id=context.run.run_id, log=context.log
        )
        results.append(result)
        register_segments(segops, context.instance, tenant)
        _report_segments(context, segops, result)
        context.add_asset_metadata(tenant_metadata(result), partition_key=tenant)

    for_each_tenant(context.log, tenants_in_use(segops, context.partition_keys, context.log), work)
    return dg.MaterializeResult(check_results=[swing_check(results)])


@dg.asset(
    deps=[dg.AssetDep(segment_memberships, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=segment_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name=GROUP,
    kinds={"clickhouse", "table"},
    owners=OWNERS,
    tags={"layer": "membership", "grain": "segment"},
    metadata=table_metadata("segment_memberships", MEMBER_COLUMNS),
)
def segments(context: dg.AssetExecutionContext, segops: SegOpsResource) -> None:
    """One partition a segment, `tenant/segment`: how many members it has and how that changes.

    Computations of `segment_memberships` report here each segment that changed. Materializing `acme/vip`, or
    `acme/*`, recomputes just those in full, and by delta the segments that they refer to.
    """
    requested = by_tenant(context.partition_keys)

    def work(tenant: str) -> None:
        slugs = _segments_in_use(segops, context, tenant, requested[tenant])
        result = compute_when_free(segops, tenant, slugs, mode="full", run_id=context.run.run_id, log=context.log)
        register_segments(segops, context.instance, tenant)
        asked_for = [segment for segment in result.segments if segment.slug in slugs]
        for segment, metadata in _with_metadata(segops, result, asked_for):
            context.add_asset_metadata(metadata, partition_key=segment_key(tenant, segment.slug))
        _report_segments(context, segops, result, but=slugs)

    for_each_tenant(context.log, requested, work)


def _report_segments(
    context: dg.AssetExecutionContext, segops: SegOpsResource, result: ComputationResult, but: Iterable[str] = ()
) -> None:
    """A materialization for each segment that changed or was computed in full."""
    left_out = frozenset(but)
    reported = [
        segment
        for segment in result.segments
        if segment.slug not in left_out and (segment.changed or segment.mode == "full")
    ]
    for segment, metadata in _with_metadata(segops, result, reported):
        key = segment_key(result.tenant, segment.slug)
        context.log_event(dg.AssetMaterialization("segments", partition=key, metadata=metadata))


def _with_metadata(
    segops: SegOpsResource, result: ComputationResult, segments: Sequence[SegmentResult]
) -> Iterator[tuple[SegmentResult, dict[str, Any]]]:
    history = segops.catalog.member_history(result.tenant, [segment.segment_id for segment in segments])
    for segment in segments:
        yield segment, segment_metadata(result, segment, history[segment.segment_id])


def _segments_in_use(
    segops: SegOpsResource, context: dg.AssetExecutionContext, tenant: str, slugs: list[str]
) -> list[str]:
    """Those that are not archived: ``acme/*`` still lists the others.

    Raises:
        NotFound: no other was asked for.
    """
    archived = {
        segment.slug
        for segment in segops.catalog.list_segments(tenant, include_archived=True)
        if segment.status == "archived"
    }
    in_use = [slug for slug in slugs if slug not in archived]
    for slug in slugs:
        if slug in archived:
            context.log.warning("segment %s of %s is archived; left out", slug, tenant)
    if not in_use:
        raise NotFound(f"of the segments asked for ({', '.join(slugs)}), none is active")
    return in_use
