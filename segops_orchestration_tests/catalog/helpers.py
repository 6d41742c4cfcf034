"""Builders that say only what a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec
from segops_orchestration.catalog.records import (
    CommittedCounts,
    Computation,
    Mode,
    PlannedSegment,
    Segment,
    StagedCounts,
)
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def document(
    slug: str, *, orders: int = 1, refers_to: Sequence[int | str] = (), name: str | None = None, description: str = ""
) -> SegmentDocument:
    """A segment of users with at least ``orders`` orders who are in all of ``refers_to``."""
    conditions: list[dict[str, object]] = [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": orders}
    ]
    conditions += [{"type": "segment_membership", "segment_id": target, "operator": "in"} for target in refers_to]
    definition = parse_definition({"logic": "AND", "conditions": conditions})
    return SegmentDocument(slug=slug, name=name or slug, description=description, definition=definition)


def save(catalog: Catalog, *documents: SegmentDocument, tenant: str = "acme") -> list[Segment]:
    return [result.segment for result in catalog.save_segments(tenant, documents)]


def begin(
    catalog: Catalog,
    *segments: Segment,
    tenant: str = "acme",
    mode: Mode = "full",
    at: datetime = NOON,
    watermark_block: int = 7,
    watermark_at: datetime | None = NOON,
) -> Computation:
    return catalog.begin_computation(
        tenant,
        mode=mode,
        at=at,
        watermark_block=watermark_block,
        watermark_at=watermark_at,
        owner="host:1",
        run_id=None,
        segments=[PlannedSegment(one.id, one.version, mode, "asked for") for one in segments],
    )


def stage(catalog: Catalog, computation: Computation, segment: Segment) -> None:
    catalog.mark_staged(computation.id, [StagedCounts(segment.id, candidates=10, entered=3, exited=1, rows_read=1000)])


def commit(catalog: Catalog, computation: Computation, segment: Segment, members: int = 3) -> None:
    stage(catalog, computation, segment)
    catalog.commit_segments(computation.id, [CommittedCounts(segment.id, members=members, milliseconds=40)])


def spec(slug: str = "vip-klaviyo", segment: str = "vip", **changes: Any) -> ConnectorSpec:
    """What a connector is to be; ``changes`` are fields of it."""
    return ConnectorSpec(**{"slug": slug, "segment": segment, "type": "klaviyo", "config": {"list_id": "A"}, **changes})


def connect(catalog: Catalog, slug: str = "vip-klaviyo", segment: str = "vip") -> Connector:
    """A connector of a segment that exists, with its secret."""
    return catalog.connectors.create("acme", spec(slug, segment), {"api_key": "pk_123"})
