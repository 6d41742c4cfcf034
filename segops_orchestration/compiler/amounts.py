"""monetary: an aggregate of the numbers at a property."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.operators import COMPARISONS
from segops_orchestration.compiler.parameters import EXACT, ScopedParameters
from segops_orchestration.compiler.sql import select
from segops_orchestration.dsl.models import Monetary
from segops_orchestration.dsl.property_path import ELEMENTS, ArrayStep, PathStep, split_path
from segops_orchestration.dsl.values import parse_number

# The two middle amounts, which are one and the same when their number is odd. As wide decimals, for their sum.
_RANKS = "[intDiv(count() + 1, 2), intDiv(count(), 2) + 1]"
_MIDDLE = f"arrayMap(rank -> toDecimal256(arraySort(groupArray(amount))[rank], 9), {_RANKS})"

# Exact in any order of addition. Quotients are divideDecimal because avg() of decimals computes in floating point.
AGGREGATES = {
    "sum": "sum(amount)",
    "avg": "divideDecimal(sum(amount), toDecimal256(count(), 0), 9)",
    "median": f"divideDecimal(arraySum({_MIDDLE}), toDecimal256(2, 0), 9)",
    "max": "max(amount)",
    "min": "min(amount)",
    "count_distinct": "uniqExact(amount)",
}
# Compared at 6 decimal places, rounded half away from zero.
ROUNDED = frozenset({"sum", "avg", "median"})


def monetary_members(condition: Monetary, relation: str, events: Sequence[str], parameters: ScopedParameters) -> str:
    """The SELECT of users of whose ``events`` (predicates on ``relation``) the aggregate satisfies the condition."""
    threshold = parse_number(condition.value)
    if threshold is None:
        raise ValueError(f"{condition.value} is too large to compare with")
    aggregate = AGGREGATES[condition.metric]
    if condition.metric in ROUNDED:
        aggregate = f"round({aggregate}, 6)"
        threshold = threshold.quantize(Decimal("0.000001"), ROUND_HALF_UP, EXACT)
    having = f"{aggregate} {COMPARISONS[condition.operator]} {parameters.number('value', threshold)}"
    amounts = select(["user_id", f"{amount(condition.property, parameters)} AS amount"], relation, events)
    return select("user_id", amounts, ["amount IS NOT NULL"], group_by="user_id", having=having)


def amount(path: str, parameters: ScopedParameters) -> str:
    """The number at a property of ``payload``, NULL where there is none; a path into arrays gives a row for each."""
    steps = split_path(path)
    if any(isinstance(step, ArrayStep) for step in steps):
        return f"arrayJoin({_amounts('payload', steps, parameters)})"
    return _number("payload", steps, parameters)


def _amounts(document: str, path: Sequence[PathStep], parameters: ScopedParameters) -> str:
    """An array of the numbers at a path with at least one array step."""
    into = path.index(ELEMENTS)
    before, after = path[:into], path[into + 1 :]
    element = parameters.variable("element")
    elements = JsonValue(document, _keys(before, parameters)).elements
    if ELEMENTS in after:
        return f"arrayFlatten(arrayMap({element} -> {_amounts(element, after, parameters.of('in'))}, {elements}))"
    return f"arrayMap({element} -> {_number(element, after, parameters.of('in'))}, {elements})"


def _number(document: str, path: Sequence[PathStep], parameters: ScopedParameters) -> str:
    return JsonValue(document, _keys(path, parameters)).number


def _keys(path: Sequence[PathStep], parameters: ScopedParameters) -> list[str]:
    return [parameters.text(f"key{index}", str(step)) for index, step in enumerate(path)]
