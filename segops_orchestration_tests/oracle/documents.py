"""Generated definitions: conditions in groups, mostly up to three levels deep, sometimes as deep as is allowed.

What they ask is drawn from what the events hold (``Pools``), so that a condition is often true of some users and
false of others, and often about to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.leaves import EXTENDED_LEAVES, LEAVES, PUBLIC_LEAVES
from segops_orchestration_tests.oracle.pools import Pools

Document = dict[str, Any]

DEEPEST = 3
DEEPEST_ALLOWED = 8
_CHAIN = "chain"


def definitions(pools: Pools | None = None, segment_slugs: Sequence[str] = ()) -> st.SearchStrategy[Document]:
    """Valid definitions; they may refer to ``segment_slugs``."""
    drawn_from = pools or Pools.of()
    return st.randoms(use_true_random=False).map(lambda random: draw_definition(random, drawn_from, segment_slugs))


def draw_definition(random: Random, pools: Pools, slugs: Sequence[str]) -> Document:
    """One such definition."""
    return {"logic": _logic(random), "conditions": _draw_conditions(random, pools, slugs, 1)}


def _draw_conditions(random: Random, pools: Pools, slugs: Sequence[str], depth: int) -> list[Document]:
    width = random.choice((1, 1, 1, 2, 3))
    return [_draw_condition(random, pools, slugs, depth) for _ in range(width)]


def _draw_condition(random: Random, pools: Pools, slugs: Sequence[str], depth: int) -> Document:
    kind = random.choice(_KINDS_BY_PLACE[bool(slugs), depth < DEEPEST, pools.extensions is not None])
    if kind == "group":
        inner = _draw_conditions(random, pools, slugs, depth + 1)
        return {"type": kind, "logic": _logic(random), "conditions": inner}
    if kind == "not":
        return {"type": kind, "condition": _draw_condition(random, pools, slugs, depth + 1)}
    if kind == _CHAIN:
        return _draw_chain(random, pools, slugs, depth)
    if kind == "segment_membership":
        return {"type": kind, "segment_id": random.choice(slugs), "operator": random.choice(("in", "not_in"))}
    return {"type": kind, **LEAVES[kind](random, pools)}


def _draw_chain(random: Random, pools: Pools, slugs: Sequence[str], depth: int) -> Document:
    """One condition at the bottom of groups and nots, down to the last level that is allowed."""
    found = _draw_condition(random, pools, slugs, DEEPEST)
    for _ in range(DEEPEST_ALLOWED - depth - random.choice((0, 0, 1, 2))):
        beside = [_draw_condition(random, pools, slugs, DEEPEST)] if random.choice((False, False, True)) else []
        group = {"type": "group", "logic": _logic(random), "conditions": [found, *beside]}
        found = random.choice(({"type": "not", "condition": found}, group))
    return found


def _logic(random: Random) -> str:
    return random.choice(("AND", "OR"))


# Those whose answers change by time alone are asked twice as often.
_PUBLIC = (*PUBLIC_LEAVES, "event_count", "recency", "event_sequence")
_KINDS_BY_PLACE = {
    (with_segments, may_nest, extended): (
        *_PUBLIC,
        *(EXTENDED_LEAVES if extended else ()),
        *(("segment_membership",) * 2 if with_segments else ()),
        *(("group", "not") if may_nest else ()),
        *((_CHAIN,) if may_nest and extended else ()),
    )
    for with_segments in (False, True)
    for may_nest in (False, True)
    for extended in (False, True)
}
