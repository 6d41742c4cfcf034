"""Property operators -> SQL predicates that are true or false, never NULL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.dsl.models import EventProperty, UserProperty
from segops_orchestration.dsl.property_path import split_path
from segops_orchestration.dsl.values import parse_date, parse_number

PropertyCondition = EventProperty | UserProperty
Scalar = bool | int | float | str

# A complement is true exactly when its positive is false, so also on a missing property.
_COMPLEMENTS = {
    "neq": "eq",
    "not_between": "between",
    "not_in": "in",
    "does_not_contain": "contains",
    "is_not_set": "is_set",
}
COMPARISONS = {"eq": "=", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def split_complement(operator: str) -> tuple[str, bool]:
    """The positive operator, and whether the given one is its complement."""
    positive = _COMPLEMENTS.get(operator)
    return (operator, False) if positive is None else (positive, True)


def property_predicate(condition: PropertyCondition, parameters: ScopedParameters) -> str:
    """Whether the property in the column ``payload`` satisfies the condition's *positive* operator.

    The caller negates for a complement: a user property negates the set of users, so that a user without any
    payload is in it, an event property negates the predicate, so that a user without an event is not.
    """
    keys = [parameters.text(f"key{index}", key) for index, key in enumerate(split_path(condition.property))]
    operator, _ = split_complement(condition.operator)
    return _POSITIVE[operator](JsonValue("payload", keys), condition, parameters)


def _eq(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    return equals(value, cast(Scalar, condition.value), "value", parameters)


def equals(value: JsonValue, expected: Scalar, name: str, parameters: ScopedParameters) -> str:
    """Equal: as numbers when both are numbers, booleans as booleans, text exactly."""
    if isinstance(expected, bool):
        return f"{value.raw} = {parameters.text(name, 'true' if expected else 'false')}"
    number = parse_number(expected)
    if number is not None:
        return f"ifNull({value.number} = {parameters.number(name, number)}, false)"
    return f"({value.type} = 'String' AND {value.text} = {parameters.text(name, str(expected))})"


def _compare(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    return _ordered(value, COMPARISONS[condition.operator], cast(Scalar, condition.value), "value", parameters)


def _ordered(value: JsonValue, sign: str, bound: Scalar, name: str, parameters: ScopedParameters) -> str:
    number = parse_number(bound)
    if number is not None:
        return f"ifNull({value.number} {sign} {parameters.number(name, number)}, false)"
    instant = parse_date(bound)
    if instant is not None:
        return f"ifNull({value.date} {sign} {parameters.instant(name, instant)}, false)"
    return "false"


def _between(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    low = _ordered(value, ">=", cast(Scalar, condition.value), "value", parameters)
    high = _ordered(value, "<=", cast(Scalar, condition.value2), "value2", parameters)
    return f"({low} AND {high})"


def _in(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    allowed = cast(tuple[Scalar, ...], condition.value)
    numbers = [number for number in map(parse_number, allowed) if number is not None]
    booleans = [str(item).lower() for item in allowed if isinstance(item, bool)]
    texts = [item for item in allowed if isinstance(item, str) and parse_number(item) is None]
    parts = []
    if numbers:
        parts.append(f"ifNull({value.number} IN {parameters.numbers('numbers', numbers)}, false)")
    if booleans:
        parts.append(f"{value.raw} IN {parameters.texts('booleans', booleans)}")
    if texts:
        parts.append(f"({value.type} = 'String' AND {value.text} IN {parameters.texts('texts', texts)})")
    return _any(parts)


def _contains(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    expected = cast(Scalar, condition.value)
    needle = parameters.text("text", scalar_text(expected))
    element = equals(JsonValue("element"), expected, "element", parameters)
    in_text = f"({value.is_textual} AND position({value.text}, {needle}) > 0)"
    return _any([in_text, f"arrayExists(element -> {element}, {value.elements})"])


def _textual(function: str) -> Callable[[JsonValue, PropertyCondition, ScopedParameters], str]:
    def predicate(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
        expected = parameters.text("text", scalar_text(cast(Scalar, condition.value)))
        return f"({value.is_textual} AND {function}({value.text}, {expected}))"

    return predicate


def _matches_regex(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    # ClickHouse lets the dot match a line break; RE2 itself does not.
    pattern = parameters.text("pattern", "(?-s)" + str(condition.value))
    return f"({value.is_textual} AND match({value.text}, {pattern}))"


def _is_set(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
    return f"NOT ({value.is_missing})"


def _is_boolean(text: str) -> Callable[[JsonValue, PropertyCondition, ScopedParameters], str]:
    def predicate(value: JsonValue, condition: PropertyCondition, parameters: ScopedParameters) -> str:
        return f"{value.raw} IN ('{text}', '\"{text}\"')"

    return predicate


def scalar_text(value: Scalar) -> str:
    """A scalar as the text operators see it: numbers and booleans as their JSON text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _any(parts: Iterable[str]) -> str:
    return f"({' OR '.join(parts)})"


_POSITIVE: dict[str, Callable[[JsonValue, PropertyCondition, ScopedParameters], str]] = {
    "eq": _eq,
    "gt": _compare,
    "gte": _compare,
    "lt": _compare,
    "lte": _compare,
    "between": _between,
    "in": _in,
    "contains": _contains,
    "starts_with": _textual("startsWith"),
    "ends_with": _textual("endsWith"),
    "matches_regex": _matches_regex,
    "is_set": _is_set,
    "is_true": _is_boolean("true"),
    "is_false": _is_boolean("false"),
}
