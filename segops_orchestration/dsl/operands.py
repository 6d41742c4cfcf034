"""Rules of ``value`` and ``value2``: what each property operator compares with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from segops_orchestration.dsl import models
from segops_orchestration.dsl.faults import (
    Fault,
    Fields,
    Rule,
    encoding_fault,
    missing_fields,
    misspelt_fields,
    number_fault,
    refused,
)
from segops_orchestration.dsl.regex import pattern_fault
from segops_orchestration.dsl.values import kind_of, parse_ordered
from segops_orchestration.dsl.windows import duration_problems
from segops_orchestration.dsl.wording import child, element, found, listed
from segops_orchestration.errors import Problem

MAX_LIST = 10_000

# The operand of a property operator, in words.
_SCALAR = "text, a number or a boolean"
_ORDERED = "a number, a numeric text or a date such as 2026-01-31"
_LIST = f"an array of 1 to {MAX_LIST:,} texts, numbers or booleans"
_PATTERN = "a regular expression in the syntax of RE2"
_DURATION = "a span of time such as {last: 7, unit: day}"
_FILTERS = "an array of filters that one element has to satisfy"

SCALAR_OPERATORS = ("eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with")
ORDER_OPERATORS = ("gt", "gte", "lt", "lte")
RANGE_OPERATORS = ("between", "not_between")
LIST_OPERATORS = ("in", "not_in")
DATE_OPERATORS = ("in_last", "in_next", "before_last")
HAS_ELEMENT = "has_element"
_OPERANDS: dict[str, str] = (
    dict.fromkeys(SCALAR_OPERATORS, _SCALAR)
    | dict.fromkeys((*ORDER_OPERATORS, *RANGE_OPERATORS), _ORDERED)
    | dict.fromkeys(LIST_OPERATORS, _LIST)
    | dict.fromkeys(DATE_OPERATORS, _DURATION)
    | {"matches_regex": _PATTERN}
)


def is_operator(operator: object) -> bool:
    """Whether this is an operator on a property."""
    return isinstance(operator, str) and operator in get_args(models.PropertyOperator)


def missing_operands(path: str, test: Fields, names: Sequence[str]) -> Iterator[Problem]:
    """Problems of a test of a property that lacks what its operator needs; ``names`` are the fields it may have."""
    operator = test.get("operator")
    allowed = _OPERANDS.get(operator) if isinstance(operator, str) else None
    if allowed is not None:
        for name in missing_fields(test, names, ("value", "value2") if operator in RANGE_OPERATORS else ("value",)):
            yield Problem(child(path, name), f"missing; operator {operator} needs {allowed}")
    elif operator == HAS_ELEMENT and test.get("where") is None and "where" not in misspelt_fields(test, names):
        yield Problem(child(path, "where"), f"missing; operator {operator} needs {_FILTERS}")


def _check_value(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    operator = fields.get("operator")
    if not is_operator(operator):
        return  # the operator's own problem says enough
    allowed = _OPERANDS.get(str(operator))
    if allowed is None:
        if value is not None:
            needs = f"; it needs where, {_FILTERS}" if operator == HAS_ELEMENT else ""
            yield Problem(path, f"found {found(value)}; operator {operator} takes no value{needs}")
    elif value is None:
        hint = (
            "to select what is present use is_set" if operator == "neq" else "to select what is missing use is_not_set"
        )
        yield Problem(path, f"{refused(value, allowed)}; {hint}")
    elif allowed is _LIST:
        yield from _list_problems(path, value)
    elif allowed is _DURATION:
        yield from duration_problems(path, value)
    else:
        fault = _operand_fault(value, allowed)
        if fault is not None:
            yield Problem(path, fault + _operand_hint(value, operator))


def _operand_hint(value: object, operator: object) -> str:
    if isinstance(value, dict) and operator in (*ORDER_OPERATORS, *RANGE_OPERATORS):
        return f"; for a date so long ago or so soon use {listed(DATE_OPERATORS)}"
    if not isinstance(value, list | tuple):
        return ""
    if operator in RANGE_OPERATORS:
        return "; write the bounds of the range as value and value2"
    return "; for several values use in or not_in" if operator in ("eq", "neq") else ""


def _operand_fault(value: object, allowed: str) -> Fault:
    if allowed is _PATTERN:
        return _regex_fault(value)
    fault = _scalar_fault(value, allowed)
    if fault is None and allowed is _ORDERED and kind_of(value) == "other":
        return refused(value, allowed)
    return fault


def _scalar_fault(value: object, allowed: str) -> Fault:
    if isinstance(value, str):
        return encoding_fault(value)
    return None if isinstance(value, bool) else number_fault(value, allowed)


def _regex_fault(value: object) -> Fault:
    if not isinstance(value, str):
        return refused(value, _PATTERN)
    reason = encoding_fault(value) or pattern_fault(value)
    return f"found {found(value)}: {reason}; allowed: {_PATTERN}" if reason else None


def _list_problems(path: str, value: object) -> Iterator[Problem]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_LIST:
        yield Problem(path, refused(value, _LIST))
        return
    for index, item in enumerate(value):
        fault = _scalar_fault(item, _SCALAR)
        if fault is not None:
            yield Problem(element(path, index), fault)


def _check_value2(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    operator = fields.get("operator")
    if not is_operator(operator) or (value is None and operator not in RANGE_OPERATORS):
        return
    if operator not in RANGE_OPERATORS:
        yield Problem(path, f"found {found(value)}; value2 belongs to {listed(RANGE_OPERATORS)} only")
        return
    fault = _operand_fault(value, _ORDERED) or _range_fault(fields.get("value"), value)
    if fault is not None:
        yield Problem(path, fault)


def _range_fault(lower: object, upper: object) -> Fault:
    """A fault between two bounds of which the upper one is fine by itself."""
    low, high = parse_ordered(lower), parse_ordered(upper)
    if low is None or high is None:
        return None  # the lower bound's own problem says enough
    if kind_of(lower) != kind_of(upper):
        return f"found {found(upper)} beside value {found(lower)}; allowed: two numbers or two dates"
    if low > high:  # type: ignore[operator]  # both of one kind
        return f"found {found(upper)}; the upper bound lies below value {found(lower)}"
    return None


VALUE = Rule("the value to compare with", _check_value)
VALUE2 = Rule("the upper bound of the range", _check_value2)
