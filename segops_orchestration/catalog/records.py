"""What the catalogue hands out: frozen records, free of any database session.

Every instant is an aware UTC datetime of millisecond precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from segops_orchestration.dsl.segment_file import SegmentDocument

Mode = Literal["full", "delta"]
Status = Literal["active", "archived"]
Outcome = Literal["created", "versioned", "updated", "restored", "unchanged", "archived"]
ComputationStatus = Literal["running", "succeeded", "failed", "abandoned"]
SegmentComputationStatus = Literal["planned", "staged", "committed", "abandoned"]


@dataclass(frozen=True)
class Tenant:
    """One tenant; ``slug`` names its ClickHouse database, ``segops_<slug>``."""

    id: int
    slug: str
    name: str
    status: Status
    created_at: datetime


@dataclass(frozen=True)
class Segment:
    """A segment as it stands: ``definition`` is that of its current ``version``."""

    id: int
    tenant: str
    slug: str
    name: str
    description: str
    segment_type: str
    status: Status
    version: int
    definition: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class SegmentVersion:
    """One immutable version of a segment's definition. ``created_by`` is None where nobody was named."""

    segment_id: int
    version: int
    definition: dict[str, Any]
    created_at: datetime
    created_by: str | None = None


@dataclass(frozen=True)
class SaveResult:
    """What saving one document did.

    ``created``: a new segment. ``versioned``: a changed definition, as a new version. ``restored``: an archived
    segment back in use, as a new version. ``updated``: name or description only. ``unchanged``: nothing.
    ``archived``: a segment that no document speaks of, taken out of use because that was asked for.
    """

    segment: Segment
    outcome: Outcome


@dataclass(frozen=True)
class SegmentChange:
    """What saving documents would do to one segment.

    ``segment`` is as it stands, None when there is none yet. ``document`` is None for one that no document speaks of.
    """

    slug: str
    outcome: Outcome
    segment: Segment | None
    document: SegmentDocument | None


@dataclass(frozen=True)
class SegmentStatus:
    """What a segment holds and when that was computed.

    ``members``, ``computed_at``, ``committed_at``, ``mode`` and ``computed_version`` are of the last
    committed computation, None before the first. ``pending`` says that the current version was never
    computed.
    """

    segment_id: int
    slug: str
    name: str
    status: Status
    version: int
    members: int | None
    computed_at: datetime | None
    committed_at: datetime | None
    mode: Mode | None
    computed_version: int | None
    pending: bool


@dataclass(frozen=True)
class PlannedSegment:
    """A segment that a computation sets out to compute, in which mode and why."""

    segment_id: int
    segment_version: int
    mode: Mode
    reason: str = ""


@dataclass(frozen=True)
class StagedCounts:
    """What a segment's worked-out changes come to. ``candidates`` is None when everyone was evaluated."""

    segment_id: int
    candidates: int | None
    entered: int
    exited: int
    rows_read: int | None


@dataclass(frozen=True)
class CommittedCounts:
    """What a segment holds once its changes are applied, and how long its queries took."""

    segment_id: int
    members: int
    milliseconds: int


@dataclass(frozen=True)
class SegmentComputation:
    """The part of a computation that concerns one segment. Counts are None until they are known."""

    computation_id: int
    segment_id: int
    slug: str
    segment_version: int
    mode: Mode
    reason: str
    status: SegmentComputationStatus
    candidates: int | None
    members: int | None
    entered: int | None
    exited: int | None
    rows_read: int | None
    milliseconds: int | None
    committed_at: datetime | None


@dataclass(frozen=True)
class Computation:
    """One computation of a tenant at instant ``at`` (T), up to arrival ``watermark_block`` (W).

    ``membership_version`` is what ClickHouse rows written by it carry: unix milliseconds, greater than that
    of every earlier computation of the tenant.
    """

    id: int
    tenant: str
    run_id: str | None
    owner: str
    mode: Mode
    at: datetime
    watermark_block: int
    watermark_at: datetime | None
    membership_version: int
    status: ComputationStatus
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    segments: tuple[SegmentComputation, ...]


@dataclass(frozen=True)
class CommittedChange:
    """What one committed computation did to one segment: ``members`` is how many it left."""

    computation_id: int
    run_id: str | None
    at: datetime
    committed_at: datetime
    segment_id: int
    slug: str
    version: int
    mode: Mode
    reason: str
    entered: int
    exited: int
    members: int


@dataclass(frozen=True)
class UnfinishedSegment:
    """A segment whose computation stopped before its commit: ``planned`` (nothing done) or ``staged``."""

    computation_id: int
    segment_id: int
    slug: str
    segment_version: int
    mode: Mode
    status: SegmentComputationStatus
    membership_version: int
    at: datetime
    watermark_block: int
    watermark_at: datetime | None
    candidates: int | None
    entered: int | None
    exited: int | None


@dataclass(frozen=True)
class CommittedSegment:
    """The last committed computation of one segment: where the next delta starts from."""

    segment_id: int
    computation_id: int
    segment_version: int
    mode: Mode
    at: datetime
    watermark_block: int
    watermark_at: datetime | None
    members: int
    committed_at: datetime


@dataclass(frozen=True)
class TenantWatermark:
    """How far an active tenant is computed: the lowest of its active segments, None where none was computed.

    ``never_computed_or_changed``: an active segment was never computed, or its current version was not.
    """

    tenant: str
    segments: int
    watermark_block: int | None
    watermark_at: datetime | None
    at: datetime | None
    never_computed_or_changed: bool


@dataclass(frozen=True)
class Lease:
    """The right to compute one tenant until ``expires_at``; ``token`` proves who holds it."""

    tenant: str
    tenant_id: int
    owner: str
    run_id: str | None
    token: str
    ttl_seconds: float
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
