"""An explanation as a flat list: every condition in document order, with one value against one threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segops_orchestration.explain.explain import ExplainedCondition, Explanation

_DAY_SECONDS = 86_400


def condition_rows(found: Explanation) -> list[dict[str, Any]]:
    """The conditions of the definition, those inside of others and of referenced segments too, each before its own.

    ``matches`` of somebody without any event is false throughout: nobody is in no segment.
    """
    exists = found.events > 0
    return [_row(index, depth, one, exists) for index, (depth, one) in enumerate(_below(found.definition, 0))]


def _below(condition: ExplainedCondition, depth: int) -> Iterator[tuple[int, ExplainedCondition]]:
    for inner in condition.conditions:
        yield depth, inner
        yield from _below(inner, depth + 1)


def _row(index: int, depth: int, one: ExplainedCondition, exists: bool) -> dict[str, Any]:
    actual, threshold = _compared(one)
    return {
        "index": index,
        "type": one.type,
        "label": one.asks,
        "actual_value": actual,
        "threshold": threshold,
        "matches": one.holds and exists,
        "path": one.path,
        "depth": depth,
        "operator": (one.threshold or {}).get("operator"),
        "flips_at": one.flips_at,
        "facts": one.actual,
        "thresholds": one.threshold,
        "decided_by": [
            {"event_id": event.event_id, "event_type": event.event_type, "occurred_at": event.occurred_at}
            for event in one.decided_by
        ],
        "segment_slug": one.segment,
        "unfolded_at": one.unfolded_at,
    }


def _compared(one: ExplainedCondition) -> tuple[Any, Any]:
    """The value that was found and what it is compared with; None and None where conditions are combined."""
    facts, asked = one.actual, one.threshold
    if facts is None or asked is None:
        return None, None
    match one.type:
        case "event_count":
            return facts["count"], asked["value"]
        case "recency":
            age = facts["age_seconds"]
            return None if age is None else round(age / _DAY_SECONDS, 3), asked["window_days"]
        case "monetary":
            return next(iter(facts.values())), asked["value"]
        case "event_sequence":
            return facts["steps_reached"], facts["steps"]
        case "first_event":
            return facts["first_occurred_at"], asked.get("window_days") or asked.get("window")
        case "regularity":
            return facts["periods_kept"], asked["min_periods"]
        case "segment_membership":
            return facts["is_member"], asked["operator"] == "in"
    value, upper = asked.get("value"), asked.get("value2")
    return facts.get("value"), value if upper is None else [value, upper]
