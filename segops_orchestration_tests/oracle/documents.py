"""Generated definitions over the public condition types, ``group`` and ``not``, up to three levels deep.

Values are drawn from what the events hold (``Pools``), so that conditions are true of some users and not of
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Document = dict[str, Any]

DEEPEST = 3
_MICRO = Decimal("0.000001")
_LARGEST_THRESHOLD = Decimal(10) ** 9
_COMMON_AMOUNTS = (Decimal(0), Decimal("0.1"), Decimal("0.3"), Decimal(10), Decimal(20))


@dataclass(frozen=True)
class Pools:
    """What conditions are drawn from."""

    window_days: st.SearchStrategy[float]
    whole_days: st.SearchStrategy[int]
    amounts: st.SearchStrategy[float]

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]] = (), windows: Sequence[float] = WINDOW_DAYS) -> Pools:
        """Pools in which thresholds are near the amounts of ``events`` and windows are ``windows`` (days)."""
        whole = sorted({int(days) for days in windows if days >= 1} | {1})
        return cls(st.sampled_from(list(windows)), st.sampled_from(whole), st.sampled_from(_thresholds(events)))


def _thresholds(events: Iterable[Mapping[str, Any]]) -> list[float]:
    held: dict[tuple[str, str], list[Decimal]] = {}
    for event in events:
        amount = number(parsed(event["payload"]).get("total"))
        if amount is not None:
            held.setdefault((event["user_id"], event["event_type"]), []).append(amount)
    found = set(_COMMON_AMOUNTS)
    for amounts in held.values():
        total = sum(amounts, Decimal(0))
        found |= {total, total + _MICRO, total / len(amounts), max(amounts), max(amounts) - _MICRO}
    kept = (round(amount, 6) for amount in found if abs(amount) < _LARGEST_THRESHOLD)
    return sorted({float(amount) for amount in kept}, key=lambda amount: (abs(amount), amount))


@st.composite
def definitions(draw: st.DrawFn, pools: Pools | None = None, segment_slugs: Sequence[str] = ()) -> Document:
    """A valid public definition; it may refer to ``segment_slugs``."""
    return draw_definition(draw, pools or _DEFAULT_POOLS, segment_slugs)


def draw_definition(draw: Draw, pools: Pools, slugs: Sequence[str]) -> Document:
    """As ``definitions``, for use inside a composite strategy."""
    return {"logic": draw(_LOGIC), "conditions": _draw_conditions(draw, pools, slugs, 1)}


_LOGIC = st.sampled_from(("AND", "OR"))
_WIDTH = st.sampled_from((1, 1, 2, 2, 3))
_EVENT_TYPE = st.sampled_from(EVENT_TYPES)
_COMPARISON = st.sampled_from(NUMERIC_OPERATORS)
_COUNT = st.integers(0, 4)
_MAYBE = st.booleans()
_RECENCY = st.sampled_from(("gt", "lt", "eq"))
_METRIC = st.sampled_from(("sum", "avg", "max"))
_AMOUNT_PATH = st.sampled_from(("total", "total", "total", "odd", "a\\.b", "address.city"))
_PROPERTY_OPERATOR = st.sampled_from(sorted(PROPERTY_TESTS))
_PROPERTY_TEST = {name: st.sampled_from(tests) for name, tests in PROPERTY_TESTS.items()}
_SEQUENCE = st.lists(_EVENT_TYPE, min_size=2, max_size=4)
_MEMBERSHIP = st.sampled_from(("in", "not_in"))
_DEFAULT_POOLS = Pools.of()


def _draw_conditions(draw: Draw, pools: Pools, slugs: Sequence[str], depth: int) -> list[Document]:
    return [_draw_condition(draw, pools, slugs, depth) for _ in range(draw(_WIDTH))]


def _draw_condition(draw: Draw, pools: Pools, slugs: Sequence[str], depth: int) -> Document:
    kinds = _KINDS_BY_PLACE[bool(slugs), depth < DEEPEST]
    kind = draw(kinds)
    if kind == "group":
        return {
            "type": "group",
            "logic": draw(_LOGIC),
            "conditions": _draw_conditions(draw, pools, slugs, depth + 1),
        }
    if kind == "not":
        return {"type": "not", "condition": _draw_condition(draw, pools, slugs, depth + 1)}
    if kind == "segment_membership":
        return {"type": kind, "segment_id": draw(st.sampled_from(slugs)), "operator": draw(_MEMBERSHIP)}
    return {"type": kind, **_LEAVES[kind](draw, pools)}


def _window(draw: Draw, pools: Pools) -> Document:
    return {"window_days": draw(pools.window_days)} if draw(_MAYBE) else {}


def _event_count(draw: Draw, pools: Pools) -> Document:
    return {
        "event_type": draw(_EVENT_TYPE),
        "operator": draw(_COMPARISON),
        "value": draw(_COUNT),
        **_window(draw, pools),
    }


def _recency(draw: Draw, pools: Pools) -> Document:
    operator = draw(_RECENCY)
    days = draw(pools.whole_days if operator == "eq" else pools.window_days)
    return {"event_type": draw(_EVENT_TYPE), "operator": operator, "window_days": days}


def _monetary(draw: Draw, pools: Pools) -> Document:
    return {
        "event_type": draw(_EVENT_TYPE),
        "property": draw(_AMOUNT_PATH),
        "metric": draw(_METRIC),
        "operator": draw(_COMPARISON),
        "value": draw(pools.amounts),
    }


def _property_test(draw: Draw) -> Document:
    return dict(draw(_PROPERTY_TEST[draw(_PROPERTY_OPERATOR)]))


def _event_property(draw: Draw, pools: Pools) -> Document:
    return {"event_type": draw(_EVENT_TYPE), **_property_test(draw)}


def _user_property(draw: Draw, pools: Pools) -> Document:
    return _property_test(draw)


def _event_sequence(draw: Draw, pools: Pools) -> Document:
    strict = {"strict": True} if draw(_MAYBE) else {}
    return {"events": draw(_SEQUENCE), **_window(draw, pools), **strict}


_LEAVES: Mapping[str, Callable[[Draw, Pools], Document]] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _user_property,
    "event_sequence": _event_sequence,
}
_KINDS_BY_PLACE = {
    (with_segments, may_nest): st.sampled_from(
        (
            *_LEAVES,
            *(("segment_membership",) * 2 if with_segments else ()),
            *(("group", "not") if may_nest else ()),
        )
    )
    for with_segments in (False, True)
    for may_nest in (False, True)
}
