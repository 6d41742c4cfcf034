"""``explain()``: a user and a segment at an instant, condition by condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Segment
from segops_orchestration.catalog.tables import to_milliseconds
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.compute.plan import Resolver
from segops_orchestration.dsl.models import Condition, Definition, SegmentMembership
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.explain.actual import Actual, Event, actual_values
from segops_orchestration.explain.flips import MAX_EVENTS_READ, Flips, find_flips
from segops_orchestration.explain.history import History, UserEvents, milliseconds, read_history
from segops_orchestration.explain.stored import StoredMembership, stored_membership
from segops_orchestration.explain.tree import Node, Tree, unfold
from segops_orchestration.explain.turns import MAX_TURNS
from segops_orchestration.explain.verdicts import Question, leaf_verdicts
from segops_orchestration.explain.words import asks
from segops_orchestration.warehouse.client import Warehouse

# The fields of a condition that say what its actual value is compared with.
_THRESHOLDS = (
    "operator",
    "value",
    "value2",
    "window_days",
    "window",
    "within",
    "periods",
    "min_periods",
    "at_least",
    "less_than",
)


@dataclass(frozen=True)
class ExplainedCondition:
    """One condition of the tree, or all of the definition.

    Attributes:
        path: where it stands in its document; that of a referenced segment begins with ``segment SLUG:``.
        type: as in the language; ``definition`` for the root.
        asks: what it asks, in words.
        holds: whether it is true of the user.
        flips_at: when that changes first, if nothing more happens. None: never, or not before the explanation's
            ``no_flip_before``.
        actual: what was found; ``threshold``: what it is compared with. Both None where conditions are combined.
        decided_by: the events that it rests on, in order.
        document: the condition as written.
        segment: the slug of the segment that is referred to.
        unfolded_at: where the same segment is unfolded already; then ``conditions`` is empty.
    """

    path: str
    type: str
    asks: str
    holds: bool
    flips_at: datetime | None
    actual: dict[str, Any] | None
    threshold: dict[str, Any] | None
    decided_by: tuple[Event, ...]
    document: dict[str, Any]
    segment: str | None
    unfolded_at: str | None
    conditions: tuple[ExplainedCondition, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a user is in a segment, or is not, at the instant ``at``.

    Attributes:
        events: how many deliveries of events the user has at or before ``at``. Without any the user does not exist, so
            is in no segment.
        is_member: whether the user belongs in the segment, by what has arrived until now.
        flips_at: when that changes first, if nothing more happens.
        no_flip_before: where the search for changes ended, None when it went through to the end: what has no
            ``flips_at`` then never changes by time alone.
        stored: what the last computation left, None when there was none.
    """

    tenant: str
    segment: Segment
    user_id: str
    at: datetime
    events: int
    is_member: bool
    flips_at: datetime | None
    no_flip_before: datetime | None
    stored: StoredMembership | None
    definition: ExplainedCondition


def explain(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    segment: str,
    user_id: str,
    *,
    at: datetime | None = None,
    most_turns: int = MAX_TURNS,
    most_events_read: int = MAX_EVENTS_READ,
) -> Explanation:
    """Explain one user's membership in a segment, by the current definitions and all that has arrived.

    Reads that user's events only. Segments that the definition refers to are evaluated at the same instant.

    Args:
        at: the instant; by default the warehouse's clock now.
        most_turns, most_events_read: bounds of the search for the next change.

    Raises:
        NotFound: no such tenant or segment.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    found = catalog.get_segment(tenant, segment)
    database = warehouse.tenant(tenant)
    instant = to_milliseconds(at or read_watermark(database).at)
    resolver = Resolver(tenant, catalog.list_segments(tenant, include_archived=found.status == "archived"))
    tree = unfold(parse_definition(found.definition), resolver.segment)
    user = UserEvents(database, user_id, instant)
    history = read_history(user, tree.leaves)
    committed = catalog.committed_state(tenant)
    since = committed.get(found.id)
    now, then = _leaf_answers(user, tree.leaves, [instant, since.at if since else instant])
    is_member, was_member = (
        _is_in(tree, history, instant, now),
        _is_in(tree, history, since.at if since else instant, then),
    )
    stored = stored_membership(user, found, tree.segments, committed, holds=is_member, held_then=was_member)
    flips = find_flips(user, tree, now, history, most_turns=most_turns, most_events_read=most_events_read)
    telling = _Telling(tree, tree.verdicts(now), actual_values(user, tree.leaves), flips)
    return Explanation(
        tenant=tenant,
        segment=found,
        user_id=user_id,
        at=instant,
        events=history.events_until_now,
        is_member=is_member,
        flips_at=flips.membership,
        no_flip_before=flips.cut_off,
        stored=stored,
        definition=telling.of(tree.root),
    )


def _leaf_answers(user: UserEvents, leaves: Sequence[Condition], at: Sequence[datetime]) -> list[list[bool]]:
    """For each instant, the answers of the leaves."""
    instants = [milliseconds(instant) for instant in at]
    answers = leaf_verdicts(
        user, [Question(number, leaf, list(dict.fromkeys(instants))) for number, leaf in enumerate(leaves)]
    )
    return [[answers[number, instant] for number in range(len(leaves))] for instant in instants]


def _is_in(tree: Tree, history: History, at: datetime, leaves: Sequence[bool]) -> bool:
    exists = history.first_ms is not None and history.first_ms <= milliseconds(at)
    return exists and tree.verdicts(leaves)[-1]


@dataclass(frozen=True)
class _Telling:
    """Puts together what was found out about each node."""

    tree: Tree
    verdicts: Sequence[bool]
    actuals: Sequence[Actual]
    flips: Flips

    def of(self, node: Node) -> ExplainedCondition:
        actual = self.actuals[node.leaf] if node.leaf is not None else None
        below = () if node.unfolded_at is not None else node.children
        condition = node.condition
        document = condition.model_dump(mode="json")
        return ExplainedCondition(
            path=node.path,
            type="definition" if isinstance(condition, Definition) else condition.type,
            asks=asks(condition, node.segment.slug if node.segment else None),
            holds=self.verdicts[node.number],
            flips_at=self.flips.nodes.get(node.number),
            actual=self._facts(node, actual),
            threshold=_threshold(document) if actual or node.segment else None,
            decided_by=actual.events if actual else (),
            document=document,
            segment=node.segment.slug if node.segment else None,
            unfolded_at=node.unfolded_at,
            conditions=tuple(self.of(self.tree.nodes[child]) for child in below),
        )

    def _facts(self, node: Node, actual: Actual | None) -> dict[str, Any] | None:
        if isinstance(node.condition, SegmentMembership):
            return {"is_member": self.verdicts[node.number] == (node.condition.operator == "in")}
        return actual.facts if actual else None


def _threshold(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _THRESHOLDS if name in document}
