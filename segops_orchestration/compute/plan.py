"""What a computation will do: which segments, in which order, each in full or by delta, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from segops_orchestration.catalog.records import CommittedSegment, Mode, PlannedSegment, Segment
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.dsl.wording import did_you_mean
from segops_orchestration.errors import NotFound

# The table ``arrivals`` forgets after 14 days; a day of margin, because a TTL merge may run at any moment.
ARRIVALS_KEPT = timedelta(days=13)


@dataclass(frozen=True)
class Watermark:
    """How far arrivals are visible: ``block`` counts committed inserts, ``at`` is the server's clock at that time."""

    block: int
    at: datetime


@dataclass(frozen=True, eq=False)
class PlannedWork:
    """One segment to compute. ``since`` is its last committed computation, None when there is none."""

    segment: Segment
    definition: Definition
    references: tuple[int, ...]
    mode: Mode
    reason: str
    since: CommittedSegment | None

    @property
    def planned(self) -> PlannedSegment:
        """As the ledger wants it."""
        return PlannedSegment(self.segment.id, self.segment.version, self.mode, self.reason)


class Resolver:
    """Finds segments by id or slug among a tenant's active segments."""

    def __init__(self, tenant: str, segments: Sequence[Segment]) -> None:
        self._tenant = tenant
        self._by_key: dict[int | str, Segment] = {segment.id: segment for segment in segments}
        self._by_key.update({segment.slug: segment for segment in segments})

    def segment(self, key: int | str) -> Segment:
        """The segment. Raises NotFound with the nearest spelling."""
        if key in self._by_key:
            return self._by_key[key]
        slugs = [known for known in self._by_key if isinstance(known, str)]
        raise NotFound(f"no active segment {key!r} in tenant {self._tenant!r}{did_you_mean(str(key), slugs)}")

    def id(self, key: int | str) -> int:
        """Its id, as the compiler asks for it."""
        return self.segment(key).id


def plan_work(
    segments: Sequence[Segment],
    wanted: Sequence[Segment],
    resolver: Resolver,
    committed: Mapping[int, CommittedSegment],
    *,
    mode: Mode,
    at: datetime,
    watermark: Watermark,
) -> list[list[PlannedWork]]:
    """The work in levels: a segment comes in a later level than all the segments that it refers to.

    Segments that a wanted one refers to are computed too, since membership in them is meant at the same instant.
    A referenced segment that nobody asked for goes by delta whenever it can.
    """
    definitions = {segment.id: parse_definition(segment.definition) for segment in segments}
    references = {
        segment_id: tuple(resolver.id(key) for key in referenced_segments(definition))
        for segment_id, definition in definitions.items()
    }
    depth = _depths([segment.id for segment in wanted], references)
    asked_for = {segment.id for segment in wanted}
    levels: list[list[PlannedWork]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for segment in segments:
        if segment.id not in depth:
            continue
        since = committed.get(segment.id)
        reason = full_reason(segment, since, at, watermark)
        if mode == "full" and segment.id in asked_for:
            reason = reason or "requested"
        levels[depth[segment.id]].append(
            PlannedWork(
                segment=segment,
                definition=definitions[segment.id],
                references=references[segment.id],
                mode="full" if reason else "delta",
                reason=reason,
                since=since,
            )
        )
    return levels


def full_reason(segment: Segment, since: CommittedSegment | None, at: datetime, watermark: Watermark) -> str:
    """Why a delta would not be exact, as a short text; empty when it is."""
    if since is None:
        return "never computed"
    if since.segment_version != segment.version:
        return f"definition edited: version {since.segment_version} -> {segment.version}"
    if at < since.at:
        return "the instant lies before that of the last computation"
    if since.watermark_at is None or watermark.at - since.watermark_at > ARRIVALS_KEPT:
        return f"last computed more than {ARRIVALS_KEPT.days} days ago; older arrivals are not kept"
    if watermark.block < since.watermark_block:
        return "the sequence of arrivals began anew"
    return ""


def _depths(wanted: Sequence[int], references: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """How many references lie below each segment that is needed; the catalogue refuses cycles."""
    depth: dict[int, int] = {}

    def visit(segment_id: int) -> int:
        if segment_id not in depth:
            depth[segment_id] = 1 + max((visit(inner) for inner in references[segment_id]), default=-1)
        return depth[segment_id]

    for segment_id in wanted:
        visit(segment_id)
    return depth
