"""What each field of a condition may hold.

A rule looks at one field, with its condition beside it where the operator decides, and yields the problems it
finds.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from segops_orchestration.dsl import models
from segops_orchestration.dsl.not_built import is_not_built, refusal
from segops_orchestration.dsl.property_path import split_path
from segops_orchestration.dsl.regex import pattern_fault
from segops_orchestration.dsl.values import kind_of, parse_number, parse_ordered
from segops_orchestration.dsl.wording import did_you_mean, element, found, listed
from segops_orchestration.errors import Problem

MAX_EVENT_TYPE = 256
MAX_PROPERTY = 1024
MAX_WINDOW_DAYS = 3650
MAX_LIST = 10_000
SEQUENCE_STEPS = (2, 10)
MAX_ID = 2**63 - 1

Fields = Mapping[str, object]
Fault = str | None
"""Why a value is refused, as the message says it; None if it is fine."""


@dataclass(frozen=True)
class Rule:
    """``allowed`` in words, for a missing field; ``check`` for one that is there."""

    allowed: str
    check: Callable[[str, object, Fields], Iterator[Problem]]


def refused(value: object, allowed: str) -> str:
    """The common sentence: what was found, what is allowed."""
    return f"found {found(value)}; allowed: {allowed}"


def choice(kind: str, allowed: Sequence[str]) -> Rule:
    """One word of a fixed list: an operator, a metric, a logic."""
    words = listed(allowed)

    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        if isinstance(value, str) and value in allowed:
            return
        if isinstance(value, str) and is_not_built(kind, value):
            yield Problem(path, f"{refusal(f'{kind} {value!r}')}; allowed: {words}")
            return
        yield Problem(path, refused(value, words) + did_you_mean(value, allowed))

    return Rule(words, check)


def single(allowed: str, fault: Callable[[object], Fault]) -> Rule:
    """A field judged by its value alone."""

    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        message = fault(value)
        if message is not None:
            yield Problem(path, message)

    return Rule(allowed, check)


def text_fault(value: object, longest: int, allowed: str) -> Fault:
    """A text of 1 to ``longest`` characters without control characters."""
    if not isinstance(value, str) or not value:
        return refused(value, allowed)
    if len(value) > longest:
        return f"found {len(value):,} characters; allowed: {allowed}"
    return encoding_fault(value) or control_fault(value)


def encoding_fault(text: str) -> Fault:
    """Half of a surrogate pair cannot be written as UTF-8, and so never reaches the warehouse."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"found {found(text)}, which holds half of a surrogate pair and is not valid Unicode text"
    return None


def control_fault(text: str) -> Fault:
    """A control character in a name is a slip of the keyboard."""
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        return f"found {found(text)}; a control character is not allowed"
    return None


def number_fault(value: object, allowed: str) -> Fault:
    """A finite number whose magnitude the warehouse's decimals can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return refused(value, allowed)
    if isinstance(value, float) and not math.isfinite(value):
        return refused(value, f"{allowed}; it must be finite")
    if parse_number(value) is None:
        return refused(value, f"{allowed}; its magnitude must be below 10^29")
    return None


_EVENT_TYPE = f"an event type, text of 1 to {MAX_EVENT_TYPE} characters"
_PROPERTY = "the path of a property such as total or address.city"
_COUNT = "an integer from 0 up"
_WINDOW = f"days, a number above 0 and at most {MAX_WINDOW_DAYS:,}"
_SEGMENT = "the id of a segment (a positive integer) or its slug"


def _event_type_fault(value: object) -> Fault:
    return text_fault(value, MAX_EVENT_TYPE, _EVENT_TYPE)


def _property_fault(value: object) -> Fault:
    allowed = f"{_PROPERTY}, text of 1 to {MAX_PROPERTY:,} characters"
    if not isinstance(value, str) or not value or len(value) > MAX_PROPERTY:
        return text_fault(value, MAX_PROPERTY, allowed)
    try:
        steps = split_path(value)
    except ValueError as error:
        return f"found {found(value)}: {error}; allowed: {_PROPERTY}, with \\. for a dot inside a name"
    if is_not_built("form", "array step") and any(step.endswith("[]") for step in steps):
        return refusal(f"a step into an array ({found(value)})")
    return encoding_fault(value)


def _count_fault(value: object) -> Fault:
    if isinstance(value, bool) or not isinstance(value, int):
        return refused(value, _COUNT) + (", written without a fraction" if isinstance(value, float) else "")
    if not 0 <= value <= MAX_ID:
        return refused(value, _COUNT)
    return None


def _amount_fault(value: object) -> Fault:
    return number_fault(value, "a number")


def _boolean_fault(value: object) -> Fault:
    return None if isinstance(value, bool) else refused(value, "true, false")


def _segment_fault(value: object) -> Fault:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
        return None
    if isinstance(value, str) and models.SLUG.fullmatch(value):
        return None
    return refused(value, _SEGMENT)


def _check_window_days(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is None and fields.get("type") != "recency":
        return  # null says what leaving the field out says: no window
    fault = number_fault(value, _WINDOW)
    if fault is None:
        assert isinstance(value, int | float)
        if not 0 < value <= MAX_WINDOW_DAYS:
            fault = refused(value, _WINDOW)
        elif fields.get("type") == "recency" and fields.get("operator") == "eq" and value != int(value):
            fault = refused(value, "whole days with operator eq")
    if fault is not None:
        yield Problem(path, fault)


def _check_events(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    least, most = SEQUENCE_STEPS
    allowed = f"an array of {least} to {most} event types"
    if not isinstance(value, list | tuple):
        yield Problem(path, refused(value, allowed))
        return
    if not least <= len(value) <= most:
        yield Problem(path, refused(value, allowed))
    for index, step in enumerate(value[:most]):
        if isinstance(step, dict) and is_not_built("form", "sequence step as an object"):
            yield Problem(element(path, index), f"{refusal('a step as an object')}; allowed: {_EVENT_TYPE}")
            continue
        fault = _event_type_fault(step)
        if fault is not None:
            yield Problem(element(path, index), fault)


# The operand of a property operator, in words.
_SCALAR = "text, a number or a boolean"
_ORDERED = "a number, a numeric text or a date such as 2026-01-31"
_LIST = f"an array of 1 to {MAX_LIST:,} texts, numbers or booleans"
_PATTERN = "a regular expression in the syntax of RE2"

RANGE_OPERATORS = ("between", "not_between")
_OPERANDS: dict[str, str] = (
    dict.fromkeys(("eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with"), _SCALAR)
    | dict.fromkeys(("gt", "gte", "lt", "lte", *RANGE_OPERATORS), _ORDERED)
    | dict.fromkeys(("in", "not_in"), _LIST)
    | {"matches_regex": _PATTERN}
)


def operand(operator: object) -> str | None:
    """What ``value`` must be with this operator, in words; None if it takes no value (or is no operator)."""
    return _OPERANDS.get(operator) if isinstance(operator, str) else None


def _is_operator(operator: object) -> bool:
    return isinstance(operator, str) and operator in get_args(models.PropertyOperator)


def _check_value(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    operator = fields.get("operator")
    if not _is_operator(operator):
        return  # the operator's own problem says enough
    allowed = operand(operator)
    if allowed is None:
        if value is not None:
            yield Problem(path, f"found {found(value)}; operator {operator} takes no value")
    elif value is None:
        hint = (
            "to select what is present use is_set" if operator == "neq" else "to select what is missing use is_not_set"
        )
        yield Problem(path, f"{refused(value, allowed)}; {hint}")
    elif allowed is _LIST:
        yield from _list_problems(path, value)
    else:
        fault = _operand_fault(value, allowed)
        if fault is not None:
            yield Problem(path, fault + _operand_hint(value, operator))


def _operand_hint(value: object, operator: object) -> str:
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
    if not _is_operator(operator) or (value is None and operator not in RANGE_OPERATORS):
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


OPERATORS: dict[str, Rule] = {
    "event_count": choice("operator", get_args(models.CountOperator)),
    "recency": choice("operator", get_args(models.RecencyOperator)),
    "monetary": choice("operator", get_args(models.CountOperator)),
    "event_property": choice("operator", get_args(models.PropertyOperator)),
    "user_property": choice("operator", get_args(models.PropertyOperator)),
    "segment_membership": choice("operator", get_args(models.MembershipOperator)),
}
LOGIC = choice("logic", get_args(models.Logic))
_OPERAND = Rule("the value to compare with", _check_value)

_BY_FIELD: dict[str, Rule] = {
    "event_type": single(_EVENT_TYPE, _event_type_fault),
    "property": single(_PROPERTY, _property_fault),
    "metric": choice("metric", get_args(models.Metric)),
    "window_days": Rule(_WINDOW, _check_window_days),
    "value": _OPERAND,
    "value2": Rule("the upper bound of the range", _check_value2),
    "events": Rule(f"an array of {SEQUENCE_STEPS[0]} to {SEQUENCE_STEPS[1]} event types", _check_events),
    "strict": single("true, false", _boolean_fault),
    "segment_id": single(_SEGMENT, _segment_fault),
    "logic": LOGIC,
}
_BY_TYPE_AND_FIELD: dict[tuple[str, str], Rule] = {
    ("event_count", "value"): single(_COUNT, _count_fault),
    ("monetary", "value"): single("a number", _amount_fault),
}


def rule_of(condition_type: str, field: str) -> Rule:
    """The rule of a field that holds no condition."""
    if field == "operator":
        return OPERATORS[condition_type]
    return _BY_TYPE_AND_FIELD.get((condition_type, field)) or _BY_FIELD[field]
