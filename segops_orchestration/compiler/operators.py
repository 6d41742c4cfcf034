"""Property operators -> SQL predicates that are true or false, never NULL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.parameters import AT, ScopedParameters
from segops_orchestration.compiler.sql import earlier, later
from segops_orchestration.dsl.durations import span_of
from segops_orchestration.dsl.models import Duration, EventProperty, Filter, PropertyHeld, UserProperty
from segops_orchestration.dsl.property_path import ArrayStep, PathStep, split_path
from segops_orchestration.dsl.values import parse_date, parse_number

PropertyTest = EventProperty | UserProperty | PropertyHeld | Filter
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


def property_predicate(test: PropertyTest, parameters: ScopedParameters, document: str = "payload") -> str:
    """Whether the property in ``document`` (an SQL expression of JSON text) satisfies the test's *positive* operator.

    The caller negates for a complement: a user property negates the set of users, so that a user without any
    payload is in it, an event property negates the predicate, so that a user without an event is not.
    """
    operator, _ = split_complement(test.operator)
    return any_value(
        document, split_path(test.property), lambda it: _POSITIVE[operator](it, test, parameters), parameters
    )


def satisfies(test: PropertyTest, parameters: ScopedParameters, document: str = "payload") -> str:
    """Whether the property satisfies the test's operator, be it a complement or not."""
    predicate = property_predicate(test, parameters, document)
    _, is_complement = split_complement(test.operator)
    return f"NOT ({predicate})" if is_complement else predicate


def filter_predicates(
    filters: Sequence[Filter] | None, parameters: ScopedParameters, document: str = "payload"
) -> list[str]:
    """That all of the filters are true of one document: an event's payload or an element of an array."""
    return [satisfies(test, parameters.of(f"where{index}"), document) for index, test in enumerate(filters or ())]


def any_value(
    document: str, path: Sequence[PathStep], test: Callable[[JsonValue], str], parameters: ScopedParameters
) -> str:
    """That ``test`` is true of at least one value at ``path``: of the only one, unless the path leads into arrays."""
    keys: list[str] = []
    for index, step in enumerate(path):
        if isinstance(step, ArrayStep):
            element = parameters.variable(f"element{index}")
            inside = any_value(element, path[index + 1 :], test, parameters.of(f"in{index}"))
            return f"arrayExists({element} -> {inside}, {JsonValue(document, keys).elements})"
        keys.append(parameters.text(f"key{index}", step))
    return test(JsonValue(document, keys))


def _eq(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    return equals(value, cast(Scalar, test.value), "value", parameters)


def equals(value: JsonValue, expected: Scalar, name: str, parameters: ScopedParameters) -> str:
    """Equal: as numbers when both are numbers, booleans as booleans, text exactly."""
    if isinstance(expected, bool):
        return f"{value.raw} = {parameters.text(name, 'true' if expected else 'false')}"
    number = parse_number(expected)
    if number is not None:
        return f"ifNull({value.number} = {parameters.number(name, number)}, false)"
    return f"({value.type} = 'String' AND {value.text} = {parameters.text(name, str(expected))})"


def _compare(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    return _ordered(value, COMPARISONS[test.operator], cast(Scalar, test.value), "value", parameters)


def _ordered(value: JsonValue, sign: str, bound: Scalar, name: str, parameters: ScopedParameters) -> str:
    number = parse_number(bound)
    if number is not None:
        return f"ifNull({value.number} {sign} {parameters.number(name, number)}, false)"
    instant = parse_date(bound)
    if instant is not None:
        return f"ifNull({value.date} {sign} {parameters.instant(name, instant)}, false)"
    return "false"


def _between(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    low = _ordered(value, ">=", cast(Scalar, test.value), "value", parameters)
    high = _ordered(value, "<=", cast(Scalar, test.value2), "value2", parameters)
    return f"({low} AND {high})"


def _in(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    allowed = cast(tuple[Scalar, ...], test.value)
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


def _contains(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    expected = cast(Scalar, test.value)
    needle = parameters.text("text", scalar_text(expected))
    element = equals(JsonValue("element"), expected, "element", parameters)
    in_text = f"({value.is_textual} AND position({value.text}, {needle}) > 0)"
    return _any([in_text, f"arrayExists(element -> {element}, {value.elements})"])


def _textual(function: str) -> Callable[[JsonValue, PropertyTest, ScopedParameters], str]:
    def predicate(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
        expected = parameters.text("text", scalar_text(cast(Scalar, test.value)))
        return f"({value.is_textual} AND {function}({value.text}, {expected}))"

    return predicate


def _matches_regex(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    # ClickHouse lets the dot match a line break; RE2 itself does not.
    pattern = parameters.text("pattern", "(?-s)" + str(test.value))
    return f"({value.is_textual} AND match({value.text}, {pattern}))"


def _is_set(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    return f"NOT ({value.is_missing})"


def _is_boolean(text: str) -> Callable[[JsonValue, PropertyTest, ScopedParameters], str]:
    def predicate(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
        return f"{value.raw} IN ('{text}', '\"{text}\"')"

    return predicate


def _has_element(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    element = parameters.variable("element")
    inside = " AND ".join([f"JSONType({element}) = 'Object'", *filter_predicates(test.where, parameters, element)])
    return f"arrayExists({element} -> {inside}, {value.elements})"


def _relative(value: JsonValue, test: PropertyTest, parameters: ScopedParameters) -> str:
    """A date against T: inside (T-N, T], inside (T, T+N], or at or before T-N."""
    span = span_of(cast(Duration, test.value))
    match test.operator:
        case "in_last":
            inside = f"{value.date} > {earlier(AT, span, 'value', parameters)} AND {value.date} <= {AT}"
        case "in_next":
            inside = f"{value.date} > {AT} AND {value.date} <= {later(AT, span, 'value', parameters)}"
        case _:
            inside = f"{value.date} <= {earlier(AT, span, 'value', parameters)}"
    return f"ifNull({inside}, false)"


def scalar_text(value: Scalar) -> str:
    """A scalar as the text operators see it: numbers and booleans as their JSON text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _any(parts: Iterable[str]) -> str:
    return f"({' OR '.join(parts)})"


_POSITIVE: dict[str, Callable[[JsonValue, PropertyTest, ScopedParameters], str]] = {
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
    "has_element": _has_element,
    "in_last": _relative,
    "in_next": _relative,
    "before_last": _relative,
}
