"""What a computation did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from segops_orchestration.catalog.records import Mode


@dataclass(frozen=True)
class SegmentResult:
    """One segment's part.

    Attributes:
        mode: how it was computed; ``reason`` says why it went full although a delta was asked for.
        candidates: how many users were evaluated; None in a full computation, which evaluates everyone.
        milliseconds: time spent on this segment's queries; rows_read: rows that ClickHouse read for them. A delta
            evaluates several segments in one statement, each then bears an equal share.
    """

    segment_id: int
    slug: str
    version: int
    mode: Mode
    reason: str
    members: int
    entered: int
    exited: int
    candidates: int | None
    milliseconds: int
    rows_read: int

    @property
    def changed(self) -> bool:
        """Whether anybody entered or exited."""
        return bool(self.entered or self.exited)


@dataclass(frozen=True)
class ComputationResult:
    """A committed computation of a tenant at instant ``at``."""

    computation_id: int
    tenant: str
    mode: Mode
    at: datetime
    watermark_block: int
    milliseconds: int
    segments: tuple[SegmentResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return asdict(self)
