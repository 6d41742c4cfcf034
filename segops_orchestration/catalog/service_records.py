"""What the catalogue says of the REST service's own things. Frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ExportFormat = Literal["csv", "parquet"]
ExportStatus = Literal["pending", "running", "ready", "failed", "expired"]
Launcher = Literal["graphql", "queue", "worker"]
ComputeRequestStatus = Literal["queued", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class SegmentExport:
    """A file of members that somebody asked for; ``file_name`` once it is ready, ``error`` when it failed."""

    id: int
    tenant: str
    segment_id: int
    format: ExportFormat
    status: ExportStatus
    file_name: str | None
    rows: int | None
    bytes: int | None
    error: str | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True)
class ComputeRequest:
    """A computation of one segment that somebody asked for, and how it goes."""

    id: int
    tenant: str
    segment_id: int
    run_id: str
    launcher: Launcher
    status: ComputeRequestStatus
    error: str | None
    requested_by: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
