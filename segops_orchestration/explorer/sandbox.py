"""What one more event would do: it is laid over a user's history in memory, and nothing is stored.

Every leaf of every active segment is evaluated by the very SQL that computes memberships, for two pseudo-users at once:
one has the user's events, the other has those and the new one. So there is no second evaluator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Segment
from segops_orchestration.catalog.tables import to_milliseconds
from segops_orchestration.compiler.conditions import Context, user_set
from segops_orchestration.compiler.parameters import AT, Parameters, instant_text
from segops_orchestration.compiler.source import IDENTIFICATION, Source
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.compute.plan import Resolver
from segops_orchestration.dsl.models import Condition
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.explain.history import (
    Statement,
    UserEvents,
    event_types_of,
    milliseconds,
    read_history,
    unions,
)
from segops_orchestration.explain.tree import Tree, unfold
from segops_orchestration.warehouse.client import TenantWarehouse

_BEFORE, _AFTER = "before", "after"
_COLUMNS = "event_id, event_type, occurred_at, ingested_at, payload"


@dataclass(frozen=True)
class SandboxEvent:
    """An event that did not happen. ``occurred_at`` None is now; ``payload`` is JSON text, as it would be stored."""

    user_id: str
    event_type: str
    occurred_at: datetime | None
    payload: str


@dataclass(frozen=True)
class Effect:
    """What the event would do at the instant ``at``: segments that the user would enter and leave, by id."""

    at: datetime
    entered: tuple[Segment, ...]
    exited: tuple[Segment, ...]
    unchanged: int


def try_event(
    catalog: Catalog, warehouse: TenantWarehouse, event: SandboxEvent, *, at: datetime | None = None
) -> Effect:
    """Evaluate all active segments for the user without the event and with it, by all that has arrived until now.

    ``at`` is the instant of the evaluation, by default the warehouse's clock now.

    Raises:
        NotFound: no such tenant.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    now = to_milliseconds(read_watermark(warehouse).at)
    at = now if at is None else to_milliseconds(at)
    segments = sorted(catalog.list_segments(warehouse.slug), key=lambda one: one.id)
    resolver = Resolver(warehouse.slug, segments)
    user = UserEvents(warehouse, event.user_id, at)
    first_ms = read_history(user, []).first_ms
    existed = first_ms is not None and first_ms <= milliseconds(at)
    exists = existed or event.occurred_at is None or event.occurred_at <= at
    unfolded = [(one, unfold(parse_definition(one.definition), resolver.segment)) for one in segments]
    # Of somebody who is there already, the event can change no segment that does not look at its type.
    touched = [(one, tree) for one, tree in unfolded if not existed or _reads(tree.leaves, event.event_type)]
    forest = _Forest.of([tree for _, tree in touched])
    answers = _answers(user, forest.leaves, _bound(event, at, now), has_events=first_ms is not None) if exists else {}
    entered, exited = [], []
    for number, (segment, _) in enumerate(touched if exists else []):
        before = existed and forest.is_in(number, answers[_BEFORE])
        after = forest.is_in(number, answers[_AFTER])
        if after and not before:
            entered.append(segment)
        if before and not after:
            exited.append(segment)
    return Effect(at, tuple(entered), tuple(exited), len(segments) - len(entered) - len(exited))


def _reads(leaves: Sequence[Condition], event_type: str) -> bool:
    read = [event_types_of(leaf) for leaf in leaves]
    return any(types is None or event_type in types for types in read)


@dataclass(frozen=True)
class _Forest:
    """The trees of several definitions; leaves that are written alike are one."""

    trees: Sequence[Tree]
    leaves: Sequence[Condition]
    # For each tree, which of the leaves its own are.
    numbers: Sequence[Sequence[int]]

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> _Forest:
        known: dict[str, int] = {}
        leaves: list[Condition] = []
        numbers = []
        for tree in trees:
            own = []
            for leaf in tree.leaves:
                written = leaf.model_dump_json()
                if written not in known:
                    known[written] = len(leaves)
                    leaves.append(leaf)
                own.append(known[written])
            numbers.append(own)
        return cls(trees, leaves, numbers)

    def is_in(self, tree: int, answers: Sequence[bool]) -> bool:
        """Whether a definition holds, given the answers of all leaves."""
        return self.trees[tree].verdicts([answers[number] for number in self.numbers[tree]])[-1]


def _answers(
    user: UserEvents, leaves: Sequence[Condition], bound: Mapping[str, object], *, has_events: bool
) -> Mapping[str, Sequence[bool]]:
    """The answers of the leaves for both pseudo-users; ``bound`` is the new event."""
    negated: list[bool] = []
    selects = []
    for number, leaf in enumerate(leaves):
        parameters = Parameters()
        source = _OVERLAID if _reads([leaf], str(bound["new_type"])) else _ALIKE
        users = user_set(leaf, Context(source, parameters.of(f"c{number}")))
        negated.append(users.negated)
        # Of somebody without any event, only the new one can make a leaf find something.
        if users.members is not None and (source is _OVERLAID or has_events):
            sql = f"SELECT {number} AS leaf, groupArray(user_id) FROM (\n{users.members}\n)"
            selects.append(Statement(sql, parameters.values))
    within: dict[int, Sequence[str]] = {}
    for statement in unions(selects):
        rows = user.rows(statement.sql, {**statement.parameters, **bound})
        within.update((int(leaf), found) for leaf, found in rows)
    return {
        side: [(side in within.get(number, ())) != negated[number] for number in range(len(leaves))]
        for side in (_BEFORE, _AFTER)
    }


def _bound(event: SandboxEvent, at: datetime, now: datetime) -> dict[str, object]:
    return {
        "new_id": str(uuid4()),
        "new_type": event.event_type,
        "new_at": instant_text(event.occurred_at or at),
        # It comes in after all that is there.
        "new_ingested": instant_text(now + timedelta(milliseconds=1)),
        "new_payload": event.payload,
    }


def _alike(where: str) -> str:
    """The user's events twice: for a leaf that does not look at the new one."""
    own = f"SELECT {_COLUMNS} FROM events_by_user FINAL WHERE user_id = {{user_id:String}}{where}"
    return f"SELECT side AS user_id, {_COLUMNS} FROM ({own}) ARRAY JOIN ['{_BEFORE}', '{_AFTER}'] AS side"


def _overlaid(where: str, new: str) -> str:
    """The user's events twice, under the pseudo-users' names, and the new one under the second."""
    return f"""{_alike(where)}
UNION ALL
SELECT '{_AFTER}' AS user_id, toUUID({{new_id:String}}) AS event_id,
  toLowCardinality({{new_type:String}}) AS event_type,
  {{new_at:DateTime64(3, 'UTC')}} AS occurred_at, {{new_ingested:DateTime64(3, 'UTC')}} AS ingested_at,
  {{new_payload:String}} AS payload{new}"""


_IDENTIFICATIONS = f" AND event_type = '{IDENTIFICATION}'"
_FILTERS = (f"occurred_at <= {AT}",)
_ALIKE = Source(_alike(""), _alike(_IDENTIFICATIONS), _FILTERS, user_filters=(), universe="")
_OVERLAID = Source(
    _overlaid("", ""),
    _overlaid(_IDENTIFICATIONS, f"\nWHERE {{new_type:String}} = '{IDENTIFICATION}'"),
    _FILTERS,
    user_filters=(),
    universe="",
)


def payload_text(payload: Mapping[str, Any]) -> str:
    """A payload as it is stored. Raises ValueError for a number that JSON has no way to write."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
