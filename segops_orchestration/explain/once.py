"""Leaves whose answer changes at most once as their events grow older: where, is found without looking everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from segops_orchestration.compiler.limits import looks_at_time
from segops_orchestration.compiler.windows import window_of
from segops_orchestration.dsl.models import (
    Condition,
    EventCount,
    EventSequence,
    Filter,
    FirstEvent,
    Monetary,
    Recency,
)

_PARTS = 16
# As events leave, these aggregates move one way until there is nothing left, when no comparison holds.
_LESS_BY_LESS = {"max": ("gt", "gte"), "count_distinct": ("gt", "gte"), "min": ("lt", "lte")}

Ask = Callable[[Mapping[int, Sequence[int]]], Mapping[tuple[int, int], bool]]
"""The answers of leaves at instants, by leaf and instant."""


def changes_once(condition: Condition) -> bool:
    """Whether the answer changes at most once after T, if no event of the user is dated later than T.

    Then events only ever leave the window, the oldest first, and what the condition asks is lost (or gained) for good.
    """
    match condition:
        case EventCount():
            one_way = condition.operator in ("gt", "gte", "lt", "lte") or condition.value == 0
            return one_way and _only_ages(condition)
        case Monetary():
            return condition.operator in _LESS_BY_LESS.get(condition.metric, ()) and _only_ages(condition)
        case FirstEvent():
            return _only_ages(condition)
        case Recency():
            return condition.operator in ("gt", "lt") and _is_steady(condition.where)
        case EventSequence():
            return not window_of(condition).newest and all(_is_steady(step.where) for step in condition.steps)
    return False


def _only_ages(condition: EventCount | Monetary | FirstEvent) -> bool:
    return not window_of(condition).newest and _is_steady(condition.where)


def _is_steady(filters: Sequence[Filter] | None) -> bool:
    return not any(map(looks_at_time, filters or ()))


def find_changes(turns: Mapping[int, Sequence[int]], before: Mapping[int, bool], ask: Ask) -> dict[int, int | None]:
    """For each leaf the first of its instants at which the answer is not that of before, None if there is none.

    Args:
        turns: each leaf's instants in order; the answer changes at one of them at most.
        ask: is asked for the same number of leaves, at a few instants each, a few times.
    """
    found: dict[int, int | None] = {}
    left = {leaf: list(instants) for leaf, instants in turns.items() if instants}
    while left:
        pivots = {leaf: _pivots(instants) for leaf, instants in left.items()}
        answers = ask(pivots)
        for leaf, asked in pivots.items():
            changed = next((instant for instant in asked if answers[leaf, instant] != before[leaf]), None)
            instants = left.pop(leaf)
            if changed is None:
                found[leaf] = None
                continue
            same = [instant for instant in asked if instant < changed]
            rest = [instant for instant in instants if instant <= changed and (not same or instant > same[-1])]
            if len(rest) == 1:
                found[leaf] = changed
            else:
                left[leaf] = rest
    return found


def _pivots(instants: Sequence[int]) -> list[int]:
    """Some of the instants, evenly spread, the last among them."""
    step = -(-len(instants) // _PARTS)
    return list(instants[::-1][::step][::-1])
