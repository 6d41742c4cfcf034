"""Generated definitions over the public condition types, ``group`` and ``not``, up to three levels deep.

What they ask is drawn from what the events hold (``Pools``), so that a condition is often true of some users and
false of others, and often about to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.values import number, parsed
from segops_orchestration_tests.oracle.vocabulary import (
    EVENT_TYPES,
    NUMERIC_OPERATORS,
    PROPERTY_TESTS,
    WINDOW_DAYS,
    Test,
    by_operator,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Document = dict[str, Any]

DEEPEST = 3
_MICRO = Decimal("0.000001")
_LARGEST_THRESHOLD = Decimal(10) ** 9
_COMMON_AMOUNTS = (Decimal(0), Decimal("0.1"), Decimal("0.3"), Decimal(10), Decimal(20))


@dataclass(frozen=True)
class Pools:
    """What conditions are drawn from. Windows are in days."""

    event_type: st.SearchStrategy[str]
    event_types: st.SearchStrategy[list[str]]
    window_days: st.SearchStrategy[float]
    whole_days: st.SearchStrategy[int]
    amount: st.SearchStrategy[float]
    operator: st.SearchStrategy[str]
    tests: Mapping[str, st.SearchStrategy[Test]]

    @classmethod
    def of(
        cls,
        events: Sequence[Mapping[str, Any]] = (),
        event_types: Sequence[str] = EVENT_TYPES,
        windows: Sequence[float] = WINDOW_DAYS,
        tests: Sequence[Test] = PROPERTY_TESTS,
    ) -> Pools:
        """Pools of these types, windows and property tests, with thresholds near the amounts of ``events``."""
        event_type = st.sampled_from(event_types)
        grouped = by_operator(tests)
        return cls(
            event_type=event_type,
            event_types=st.lists(event_type, min_size=2, max_size=3),
            window_days=st.sampled_from(windows),
            whole_days=st.sampled_from(sorted({int(days) for days in windows if days >= 1} | {1})),
            amount=st.sampled_from(_thresholds(events)),
            operator=st.sampled_from(tuple(grouped)),
            tests={name: st.sampled_from(choices) for name, choices in grouped.items()},
        )


def _thresholds(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Sums, averages and maxima of the amounts that users hold, and what is a millionth off."""
    held: dict[tuple[str, str], list[Decimal]] = {}
    for event in events:
        amount = number(parsed(event["payload"]).get("total"))
        if amount is not None:
            held.setdefault((event["user_id"], event["event_type"]), []).append(amount)
    found = set() if held else set(_COMMON_AMOUNTS)
    for amounts in held.values():
        total = sum(amounts, Decimal(0))
        found |= {total, total + _MICRO, total / len(amounts), max(amounts), max(amounts) - _MICRO}
    kept = {round(amount, 6) for amount in found if abs(amount) < _LARGEST_THRESHOLD}
    return [float(amount) for amount in sorted(kept | {Decimal(0)}, key=lambda amount: (abs(amount), amount))]


@st.composite
def definitions(draw: st.DrawFn, pools: Pools | None = None, segment_slugs: Sequence[str] = ()) -> Document:
    """A valid public definition; it may refer to ``segment_slugs``."""
    return draw_definition(draw, pools or _ALL, segment_slugs)


def draw_definition(draw: Draw, pools: Pools, slugs: Sequence[str]) -> Document:
    """As ``definitions``, for use inside a composite strategy."""
    return {"logic": draw(_LOGIC), "conditions": _draw_conditions(draw, pools, slugs, 1)}


_ALL = Pools.of()
_LOGIC = st.sampled_from(("AND", "OR"))
_WIDTH = st.sampled_from((1, 1, 2, 2, 3))
_COMPARISON = st.sampled_from(NUMERIC_OPERATORS)
_COUNT = st.integers(0, 3)
_STRICT = st.booleans()
_WINDOWED = st.sampled_from((False, True, True))
_RECENCY = st.sampled_from(("gt", "lt", "eq"))
_METRIC = st.sampled_from(("sum", "avg", "max"))
_AMOUNT_PATH = st.sampled_from(("total", "total", "total", "total", "odd", "a\\.b"))
_MEMBERSHIP = st.sampled_from(("in", "not_in"))


def _draw_conditions(draw: Draw, pools: Pools, slugs: Sequence[str], depth: int) -> list[Document]:
    return [_draw_condition(draw, pools, slugs, depth) for _ in range(draw(_WIDTH))]


def _draw_condition(draw: Draw, pools: Pools, slugs: Sequence[str], depth: int) -> Document:
    kind = draw(_KINDS_BY_PLACE[bool(slugs), depth < DEEPEST])
    if kind == "group":
        return {"type": kind, "logic": draw(_LOGIC), "conditions": _draw_conditions(draw, pools, slugs, depth + 1)}
    if kind == "not":
        return {"type": kind, "condition": _draw_condition(draw, pools, slugs, depth + 1)}
    if kind == "segment_membership":
        return {"type": kind, "segment_id": draw(st.sampled_from(slugs)), "operator": draw(_MEMBERSHIP)}
    return {"type": kind, **_LEAVES[kind](draw, pools)}


def _window(draw: Draw, pools: Pools) -> Document:
    return {"window_days": draw(pools.window_days)} if draw(_WINDOWED) else {}


def _event_count(draw: Draw, pools: Pools) -> Document:
    return {
        "event_type": draw(pools.event_type),
        "operator": draw(_COMPARISON),
        "value": draw(_COUNT),
        **_window(draw, pools),
    }


def _recency(draw: Draw, pools: Pools) -> Document:
    operator = draw(_RECENCY)
    days = draw(pools.whole_days if operator == "eq" else pools.window_days)
    return {"event_type": draw(pools.event_type), "operator": operator, "window_days": days}


def _monetary(draw: Draw, pools: Pools) -> Document:
    return {
        "event_type": draw(pools.event_type),
        "property": draw(_AMOUNT_PATH),
        "metric": draw(_METRIC),
        "operator": draw(_COMPARISON),
        "value": draw(pools.amount),
    }


def _property_test(draw: Draw, pools: Pools) -> Document:
    return dict(draw(pools.tests[draw(pools.operator)]))


def _event_property(draw: Draw, pools: Pools) -> Document:
    return {"event_type": draw(pools.event_type), **_property_test(draw, pools)}


def _event_sequence(draw: Draw, pools: Pools) -> Document:
    strict = {"strict": True} if draw(_STRICT) else {}
    return {"events": draw(pools.event_types), **_window(draw, pools), **strict}


_LEAVES: Mapping[str, Callable[[Draw, Pools], Document]] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _property_test,
    "event_sequence": _event_sequence,
}
_KINDS_BY_PLACE = {
    (with_segments, may_nest): st.sampled_from(
        (
            *_LEAVES,
            "event_count",
            "recency",
            *(("segment_membership",) * 2 if with_segments else ()),
            *(("group", "not") if may_nest else ()),
        )
    )
    for with_segments in (False, True)
    for may_nest in (False, True)
}
