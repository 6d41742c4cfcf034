"""``plan()``: what segment documents would change in a tenant, before anything is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedSegment, SegmentChange
from segops_orchestration.catalog.tables import to_milliseconds
from segops_orchestration.compute.buckets import count_users
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.compute.plan import Watermark
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.proposals.effect import NOBODY, Effect, Proposal, evaluate, everyone_leaves
from segops_orchestration.proposals.event_types import UnknownEventType, unknown_event_types
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

Change = Literal["new", "changed", "renamed", "restored", "archived", "affected", "unchanged"]

_CHANGES: Mapping[str, Change] = {
    "created": "new",
    "versioned": "changed",
    "updated": "renamed",
    "restored": "restored",
    "archived": "archived",
    "unchanged": "unchanged",
}
# Applying leaves these as they are.
_KEPT: tuple[Change, ...] = ("affected", "unchanged")


@dataclass(frozen=True)
class SegmentPlan:
    """What would become of one segment.

    Attributes:
        segment_id, version: as it stands; None for a new one.
        change: ``renamed`` is name or description only; ``affected`` is unchanged itself and refers, through
            chains, to the changed segments ``because``.
        source: the document's name; None when no document speaks of the segment.
        members: as last computed; None when it never was.
        effect: who would enter and leave; None where nobody can.
    """

    slug: str
    segment_id: int | None
    version: int | None
    change: Change
    because: tuple[str, ...]
    source: str | None
    members: int | None
    effect: Effect | None

    @property
    def changed_percent(self) -> float:
        """Users who move, in percent of the members now. A new segment has nothing yet that could change."""
        return 0.0 if self.effect is None or self.change == "new" else self.effect.changed_percent


@dataclass(frozen=True)
class Plan:
    """A tenant's segments as they would be at instant ``at``.

    Attributes:
        unknown_event_types: those that the documents name and no event has.
        has_events: whether the tenant has any.
        outdated: changed or affected segments that have not seen the newest events, so that not all of their effect
            is the documents' doing.
    """

    tenant: str
    at: datetime
    segments: tuple[SegmentPlan, ...]
    unknown_event_types: tuple[UnknownEventType, ...]
    has_events: bool
    outdated: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether applying would change anything."""
        return any(segment.change not in _KEPT for segment in self.segments)

    def beyond(self, percent: float) -> list[SegmentPlan]:
        """The segments of which a larger share than that would move."""
        return [segment for segment in self.segments if segment.changed_percent > percent]


def plan(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    documents: Sequence[SegmentDocument],
    *,
    sources: Mapping[str, str] | None = None,
    prune: bool = False,
    at: datetime | None = None,
    sample: int = 5,
) -> Plan:
    """Find out what ``save_segments`` and the computation after it would do. Nothing is written anywhere.

    Every definition is evaluated at one instant, with those it refers to, as proposed, in its place: nothing has to
    be stored or computed first. The members compared with are the stored ones.

    Args:
        sources: by slug, how problems and the plan name each document.
        prune: active segments that no document speaks of would be archived.
        at: the instant; by default the warehouse's clock now.
        sample: how many ids of users who enter, and who leave, to give for each segment.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        InvalidDocument: what saving would refuse.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    changes = catalog.plan_segments(tenant, documents, sources=sources, prune=prune)
    database = warehouse.tenant(tenant)
    # A tenant without a database has no events; a plan does not make one.
    watermark = read_watermark(database) if database.exists() else None
    instant = to_milliseconds(at or (watermark.at if watermark else datetime.now(UTC)))
    planner = _Planner(catalog.committed_state(tenant), _Definitions(changes), database, watermark, instant, sample)
    segments = tuple(planner.segment(change, (sources or {}).get(change.slug)) for change in changes)
    proposed = {document.slug: document.definition for document in documents}
    return Plan(
        tenant,
        instant,
        segments,
        tuple(unknown_event_types(database, proposed)) if planner.users else (),
        bool(planner.users),
        tuple(segment.slug for segment in segments if planner.is_outdated(segment)),
    )


class _Definitions:
    """The definitions of a tenant's active segments as they would be."""

    def __init__(self, changes: Iterable[SegmentChange]) -> None:
        self._by_slug: dict[str, Definition] = {}
        self._slugs: dict[int | str, str] = {}
        self._edited: set[str] = set()
        for change in changes:
            if change.outcome == "archived":
                continue
            self._by_slug[change.slug] = _definition(change)
            self._slugs[change.slug] = change.slug
            if change.segment is not None:
                self._slugs[change.segment.id] = change.slug
            if change.outcome in ("versioned", "restored"):
                self._edited.add(change.slug)

    def resolve(self, key: int | str) -> Definition:
        """What a reference stands for; the catalogue has seen to it that it exists."""
        return self._by_slug[self._slugs[key]]

    def of(self, slug: str) -> Definition:
        return self._by_slug[slug]

    def reached(self, slug: str) -> list[str]:
        """The segments that one refers to, through chains, each once and not itself."""
        found: dict[str, None] = {}
        waiting = [slug]
        while waiting:
            for key in referenced_segments(self._by_slug[waiting.pop()]):
                target = self._slugs[key]
                if target not in found:
                    found[target] = None
                    waiting.append(target)
        return list(found)

    def edited_below(self, slug: str) -> tuple[str, ...]:
        """The segments with an edited definition among those."""
        return tuple(sorted(self._edited.intersection(self.reached(slug))))


def _definition(change: SegmentChange) -> Definition:
    if change.document is not None:
        return change.document.definition
    assert change.segment is not None
    return parse_definition(change.segment.definition)


class _Planner:
    """Evaluates the segments of one plan, in one tenant's database as it is."""

    def __init__(
        self,
        committed: Mapping[int, CommittedSegment],
        definitions: _Definitions,
        database: TenantWarehouse,
        watermark: Watermark | None,
        at: datetime,
        sample: int,
    ) -> None:
        self._committed = committed
        self._definitions = definitions
        self._watermark = watermark
        self._sample = sample
        self._session = ComputeSession(database, 0, 0, at, run_id=None)
        self.users = count_users(self._session) if watermark is not None else 0

    def segment(self, change: SegmentChange, source: str | None) -> SegmentPlan:
        kind = _CHANGES[change.outcome]
        because = () if kind == "archived" else self._definitions.edited_below(change.slug)
        if because and kind == "unchanged":
            kind = "affected"
        stored = change.segment
        committed = self._committed.get(stored.id) if stored is not None else None
        effect = self._effect(change, kind, because)
        return SegmentPlan(
            slug=change.slug,
            segment_id=stored.id if stored is not None else None,
            version=stored.version if stored is not None else None,
            change=kind,
            because=because,
            source=source,
            members=None if committed is None else committed.members if effect is None else effect.members,
            effect=effect,
        )

    def is_outdated(self, segment: SegmentPlan) -> bool:
        """Whether the stored members that it was compared with do not know of the newest events."""
        if segment.effect is None or segment.change == "archived" or self._watermark is None:
            return False
        committed = self._committed.get(segment.segment_id or 0)
        return committed is not None and committed.watermark_block != self._watermark.block

    def _effect(self, change: SegmentChange, kind: Change, because: tuple[str, ...]) -> Effect | None:
        stored = change.segment
        if kind == "unchanged" or (kind == "renamed" and not because):
            return None
        if not self.users:
            return NOBODY
        if kind == "archived":
            assert stored is not None
            return everyone_leaves(self._session, stored.id, self._sample)
        reached = tuple(self._definitions.of(slug) for slug in self._definitions.reached(change.slug))
        proposal = Proposal(
            change.slug, stored.id if stored is not None else None, self._definitions.of(change.slug), reached
        )
        return evaluate(self._session, proposal, self._definitions.resolve, self.users, self._sample)
