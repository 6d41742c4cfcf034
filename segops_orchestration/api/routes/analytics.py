"""Analytics: figures of the tenant, cheap enough to poll. What takes a pass over the data is kept for a while."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from segops_orchestration.api.activation_config import shown_type
from segops_orchestration.api.gate import Reader, Scope
from segops_orchestration.catalog.connector_records import Connector, Sync
from segops_orchestration.catalog.sync_summary import SyncSummary
from segops_orchestration.explorer.overlap import Overlap, overlaps
from segops_orchestration.explorer.usage import DAYS, events_by_day, recent_events, stored_tables
from segops_orchestration.explorer.users import count_users

router = APIRouter(prefix="/analytics", tags=["analytics"])

# Seconds for which figures are kept. An overlap is also kept as long as no segment has been computed since.
_EVENTS_KEPT = 30.0
_OVERLAP_KEPT = 300.0
_SYNCS_RATED = 30
_SYNCS_SHOWN = 5


class Overview(BaseModel):
    """The tenant in figures."""

    segment_count: int = Field(description="Active segments.")
    computed_segment_count: int
    total_members: int = Field(description="Members of all active segments; somebody in two counts twice.")
    events_30d: int = Field(description="Events that occurred in the last 30 days, each once.")
    user_count: int = Field(description="Users who ever had an event.")
    activation_count: int
    active_activation_count: int
    last_computed_at: datetime | None


class Day(BaseModel):
    """A day in UTC."""

    day: date
    count: int


class SegmentFigures(BaseModel):
    """A segment and its members at the end of each of the last 30 days, from its first computation on."""

    id: int
    name: str
    member_count: int | None = Field(description="Null before the first computation.")
    last_computed_at: datetime | None
    trend: list[Day]


class SegmentPair(BaseModel):
    """Two segments with members in common."""

    seg_a_id: int
    seg_a_name: str
    seg_b_id: int
    seg_b_name: str
    overlap: int = Field(description="Users who are in both.")
    overlap_pct: float = Field(description="... as a percentage of the smaller of the two.")


class SyncLog(BaseModel):
    """A sync that has ended."""

    status: Literal["succeeded", "failed", "held", "abandoned"]
    user_count: int = Field(description="Users added and removed.")
    error_message: str | None
    synced_at: datetime | None


class ActivationFigures(BaseModel):
    """An activation and how its syncs went."""

    id: int
    slug: str
    segment_id: int
    segment_name: str
    connector_type: str
    status: str
    last_synced_at: datetime | None
    success_rate: float | None = Field(
        description="Of its last 30 syncs, the share from 0 to 1 that succeeded; null before the first."
    )
    sync_logs: list[SyncLog] = Field(description="The 5 newest.")


class StoredTable(BaseModel):
    """A table of the tenant's database."""

    table: str
    rows: int
    bytes: int


class Usage(BaseModel):
    """What the tenant uses."""

    period_days: int
    events: int = Field(description="Events of these days.")
    events_by_day: list[Day]
    user_count: int
    segment_count: int
    activation_count: int
    api_key_count: int
    storage_bytes: int
    storage: list[StoredTable]


@router.get("/overview/")
def overview(scope: Reader) -> Overview:
    """The tenant in figures. Counts of events and users may be half a minute old."""
    segments = scope.catalog.segment_status()
    computed = [one for one in segments if one.members is not None]
    connectors = scope.catalog.connectors()
    database, looks, now = scope.database, scope.services.looks, datetime.now(UTC)
    return Overview(
        segment_count=len(segments),
        computed_segment_count=len(computed),
        total_members=sum(one.members or 0 for one in computed),
        events_30d=looks.get((scope.tenant, "recent"), _EVENTS_KEPT, lambda: recent_events(database, now)),
        user_count=_users(scope),
        activation_count=len(connectors),
        active_activation_count=sum(one.status == "active" for one in connectors),
        last_computed_at=max((one.committed_at for one in computed if one.committed_at), default=None),
    )


@router.get("/segments/")
def segments(scope: Reader) -> list[SegmentFigures]:
    """The active segments with the course of their member counts, by id."""
    known = sorted(scope.catalog.segment_status(), key=lambda one: one.segment_id)
    trends = scope.catalog.member_trends([one.segment_id for one in known], DAYS)
    return [
        SegmentFigures(
            id=one.segment_id,
            name=one.name,
            member_count=one.members,
            last_computed_at=one.committed_at,
            trend=[Day(day=day, count=count) for day, count in trends[one.segment_id]],
        )
        for one in known
    ]


@router.get("/overlap/")
def overlap(scope: Reader) -> list[SegmentPair]:
    """The 20 pairs of segments with the most members in common, among the 64 largest active ones.

    By the last computation of each; at most five minutes older.
    """
    committed = scope.catalog.committed_state()
    names = {one.segment_id: one.name for one in scope.catalog.segment_status() if one.segment_id in committed}
    members = {one: committed[one].members for one in names}
    database = scope.database
    pairs = scope.services.looks.get(
        (scope.tenant, "overlap"),
        _OVERLAP_KEPT,
        lambda: overlaps(database, members),
        state=tuple(sorted((one, committed[one].computation_id) for one in names)),
    )
    return [_pair(one, names, members) for one in pairs if one.a in names and one.b in names]


@router.get("/activations/")
def activations(scope: Reader) -> list[ActivationFigures]:
    """The activations and how their syncs went, by slug."""
    summaries = scope.catalog.sync_summaries(_SYNCS_RATED)
    return [_activation(one, summaries.get(one.id)) for one in scope.catalog.connectors()]


@router.get("/usage/")
def usage(scope: Reader) -> Usage:
    """Events by day and what is stored. Counts may be half a minute old."""
    database, looks, now = scope.database, scope.services.looks, datetime.now(UTC)
    days = looks.get((scope.tenant, "days"), _EVENTS_KEPT, lambda: events_by_day(database, now))
    tables = looks.get((scope.tenant, "tables"), _EVENTS_KEPT, lambda: stored_tables(database))
    return Usage(
        period_days=DAYS,
        events=sum(count for _, count in days),
        events_by_day=[Day(day=day, count=count) for day, count in days],
        user_count=_users(scope),
        segment_count=len(scope.catalog.segment_status()),
        activation_count=len(scope.catalog.connectors()),
        api_key_count=len(scope.catalog.api_keys()),
        storage_bytes=sum(one.bytes for one in tables),
        storage=[StoredTable(table=one.table, rows=one.rows, bytes=one.bytes) for one in tables],
    )


def _users(scope: Scope) -> int:
    database = scope.database
    return scope.services.looks.get((scope.tenant, "users"), _EVENTS_KEPT, lambda: count_users(database))


def _pair(pair: Overlap, names: dict[int, str], members: dict[int, int]) -> SegmentPair:
    smaller = min(members[pair.a], members[pair.b])
    # Members counted a moment later than those that they are compared with.
    share = min(1.0, pair.users / smaller) if smaller else 0.0
    return SegmentPair(
        seg_a_id=pair.a,
        seg_a_name=names[pair.a],
        seg_b_id=pair.b,
        seg_b_name=names[pair.b],
        overlap=pair.users,
        overlap_pct=round(100 * share, 2),
    )


def _activation(connector: Connector, summary: SyncSummary | None) -> ActivationFigures:
    newest = summary.newest if summary else ()
    succeeded = sum(one.status == "succeeded" for one in newest)
    return ActivationFigures(
        id=connector.id,
        slug=connector.slug,
        segment_id=connector.segment_id,
        segment_name=connector.segment_name,
        connector_type=shown_type(connector.type),
        status="inactive" if connector.status == "paused" else connector.status,
        last_synced_at=summary.last_synced_at if summary else None,
        success_rate=round(succeeded / len(newest), 4) if newest else None,
        sync_logs=[_log(one) for one in newest[:_SYNCS_SHOWN]],
    )


def _log(one: Sync) -> SyncLog:
    return SyncLog(
        status=one.status,  # type: ignore[arg-type]
        user_count=one.counts.added + one.counts.removed,
        error_message=one.error,
        synced_at=one.finished_at,
    )
