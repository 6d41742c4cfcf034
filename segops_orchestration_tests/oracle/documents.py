"""Generated definitions over the public condition types, ``group`` and ``not``, up to three levels deep.

What they ask is drawn from what the events hold (``Pools``), so that a condition is often true of some users and
false of others, and often about to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.values import DAY_MS, number, parsed, span_ms
from segops_orchestration_tests.oracle.vocabulary import (
    EVENT_TYPES,
    NUMERIC_OPERATORS,
    PROPERTY_TESTS,
    WINDOW_DAYS,
    Test,
    by_operator,
)

Document = dict[str, Any]

DEEPEST = 3
_MICRO = Decimal("0.000001")
_LARGEST_THRESHOLD = Decimal(10) ** 9
_AMOUNT_PATHS = ("total", "total", "total", "total", "odd", "a\\.b")


@dataclass(frozen=True)
class Pools:
    """What conditions are drawn from. Windows are in days; amounts are event types, metrics and thresholds."""

    event_types: Sequence[str]
    sequences: Sequence[tuple[str, ...]]
    windows: Sequence[float]
    amounts: Sequence[tuple[str, str, float]]
    tests: Sequence[Mapping[str, Sequence[Test]]]

    @classmethod
    def of(
        cls,
        events: Sequence[Mapping[str, Any]] = (),
        event_types: Sequence[str] = EVENT_TYPES,
        windows: Sequence[float] = WINDOW_DAYS,
        tests: Sequence[Sequence[Test]] = (PROPERTY_TESTS,),
    ) -> Pools:
        """Pools of these types and windows, with amounts and sequences near those of ``events``.

        ``tests`` are groups of property tests; each group is asked as often as the others.
        """
        grouped = [by_operator(group) for group in tests if group]
        return cls(event_types, _sequences(events, event_types), windows, _thresholds(events), grouped)


def _thresholds(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """Event types and metrics with what they come to for some user, sums also a millionth more."""
    held: dict[tuple[str, str], list[Decimal]] = {}
    known: set[tuple[str, ...]] = set()
    for event in events:
        identity = tuple(str(event[name]) for name in ("event_type", "user_id", "occurred", "event_id"))
        amount = number(parsed(event["payload"]).get("total"))
        if amount is not None and identity not in known:
            held.setdefault((event["event_type"], event["user_id"]), []).append(amount)
        known.add(identity)
    found = {("order_placed", "sum", Decimal(0))}
    for (event_type, _), amounts in held.items():
        total = sum(amounts, Decimal(0))
        found |= {(event_type, "sum", total), (event_type, "sum", total + _MICRO)}
        found |= {(event_type, "avg", total / len(amounts)), (event_type, "max", max(amounts))}
    kept = {(event_type, metric, round(amount, 6)) for event_type, metric, amount in found}
    ranked = sorted(kept, key=lambda asked: (abs(asked[2]), asked))
    return [(kind, metric, float(amount)) for kind, metric, amount in ranked if abs(amount) < _LARGEST_THRESHOLD]


def _sequences(events: Sequence[Mapping[str, Any]], event_types: Sequence[str]) -> list[tuple[str, ...]]:
    """Every two types in a row, and what the users did in two, three or four events on end."""
    found = dict.fromkeys(product(event_types, repeat=2))
    for user in sorted({event["user_id"] for event in events}):
        theirs = sorted((event for event in events if event["user_id"] == user), key=lambda event: event["occurred"])
        done = [event["event_type"] for event in theirs]
        for length in (2, 3, 4):
            found.update(dict.fromkeys(zip(*(done[start:] for start in range(length)), strict=False)))
    return list(found)


def time_limits(definition: Mapping[str, Any]) -> list[tuple[frozenset[str], int]]:
    """Where answers change by time alone: (event types, age in milliseconds at which one of them counts anew)."""
    if "conditions" in definition:
        return [limit for condition in definition["conditions"] for limit in time_limits(condition)]
    if "condition" in definition:
        return time_limits(definition["condition"])
    if definition.get("window_days") is None:
        return []
    types = frozenset(definition.get("events") or [definition["event_type"]])
    limit = span_ms(definition["window_days"], DAY_MS)
    until = [limit + DAY_MS] if definition["type"] == "recency" and definition["operator"] == "eq" else []
    return [(types, span) for span in (limit, *until)]


def definitions(pools: Pools | None = None, segment_slugs: Sequence[str] = ()) -> st.SearchStrategy[Document]:
    """Valid public definitions; they may refer to ``segment_slugs``."""
    drawn_from = pools or Pools.of()
    return st.randoms(use_true_random=False).map(lambda random: draw_definition(random, drawn_from, segment_slugs))


def draw_definition(random: Random, pools: Pools, slugs: Sequence[str]) -> Document:
    """One such definition."""
    return {"logic": _logic(random), "conditions": _draw_conditions(random, pools, slugs, 1)}


def _draw_conditions(random: Random, pools: Pools, slugs: Sequence[str], depth: int) -> list[Document]:
    width = random.choice((1, 1, 1, 2, 3))
    return [_draw_condition(random, pools, slugs, depth) for _ in range(width)]


def _draw_condition(random: Random, pools: Pools, slugs: Sequence[str], depth: int) -> Document:
    kind = random.choice(_KINDS_BY_PLACE[bool(slugs), depth < DEEPEST])
    if kind == "group":
        inner = _draw_conditions(random, pools, slugs, depth + 1)
        return {"type": kind, "logic": _logic(random), "conditions": inner}
    if kind == "not":
        return {"type": kind, "condition": _draw_condition(random, pools, slugs, depth + 1)}
    if kind == "segment_membership":
        return {"type": kind, "segment_id": random.choice(slugs), "operator": random.choice(("in", "not_in"))}
    return {"type": kind, **_LEAVES[kind](random, pools)}


def _logic(random: Random) -> str:
    return random.choice(("AND", "OR"))


def _window(random: Random, pools: Pools) -> Document:
    windows = random.choice(((), pools.windows, pools.windows))
    return {"window_days": random.choice(windows)} if windows else {}


def _event_count(random: Random, pools: Pools) -> Document:
    return {
        "event_type": random.choice(pools.event_types),
        "operator": random.choice(NUMERIC_OPERATORS),
        "value": random.choice(range(4)),
        **_window(random, pools),
    }


def _recency(random: Random, pools: Pools) -> Document:
    operator = random.choice(("gt", "lt", "eq"))
    whole = sorted({int(days) for days in pools.windows if days >= 1} | {1})
    return {
        "event_type": random.choice(pools.event_types),
        "operator": operator,
        "window_days": random.choice(whole if operator == "eq" else pools.windows),
    }


def _monetary(random: Random, pools: Pools) -> Document:
    event_type, metric, threshold = random.choice(pools.amounts)
    return {
        "event_type": event_type,
        "property": random.choice(_AMOUNT_PATHS),
        "metric": metric,
        "operator": random.choice(NUMERIC_OPERATORS),
        "value": threshold,
    }


def _property_test(random: Random, pools: Pools) -> Document:
    tests = random.choice(pools.tests)
    return dict(random.choice(tests[random.choice(tuple(tests))]))


def _event_property(random: Random, pools: Pools) -> Document:
    return {"event_type": random.choice(pools.event_types), **_property_test(random, pools)}


def _event_sequence(random: Random, pools: Pools) -> Document:
    strict = {"strict": True} if random.choice((False, True)) else {}
    return {"events": list(random.choice(pools.sequences)), **_window(random, pools), **strict}


_LEAVES: Mapping[str, Callable[[Random, Pools], Document]] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _property_test,
    "event_sequence": _event_sequence,
}
# Those whose answers change by time alone are asked twice as often.
_ASKED = (*_LEAVES, "event_count", "recency", "event_sequence")
_KINDS_BY_PLACE = {
    (with_segments, may_nest): (
        *_ASKED,
        *(("segment_membership",) * 2 if with_segments else ()),
        *(("group", "not") if may_nest else ()),
    )
    for with_segments in (False, True)
    for may_nest in (False, True)
}
