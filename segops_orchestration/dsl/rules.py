"""What each field of a condition may hold, but for those that hold conditions or filters."""

from __future__ import annotations

from typing import get_args

from segops_orchestration.dsl import models
from segops_orchestration.dsl.faults import (
    Fault,
    Rule,
    choice,
    encoding_fault,
    number_fault,
    refused,
    single,
    text_fault,
    whole_fault,
)
from segops_orchestration.dsl.operands import VALUE, VALUE2
from segops_orchestration.dsl.property_path import split_path
from segops_orchestration.dsl.windows import WINDOW_RULES
from segops_orchestration.dsl.wording import found

MAX_EVENT_TYPE = 256
MAX_PROPERTY = 1024
MAX_ID = 2**63 - 1

_EVENT_TYPE = f"an event type, text of 1 to {MAX_EVENT_TYPE} characters"
_PROPERTY = "the path of a property such as total or address.city"
_COUNT = "an integer from 0 up"
_SEGMENT = "the id of a segment (a positive integer) or its slug"


def event_type_fault(value: object) -> Fault:
    """Why this is no event type."""
    return text_fault(value, MAX_EVENT_TYPE, _EVENT_TYPE)


def _property_fault(value: object) -> Fault:
    allowed = f"{_PROPERTY}, text of 1 to {MAX_PROPERTY:,} characters"
    if not isinstance(value, str) or not value or len(value) > MAX_PROPERTY:
        return text_fault(value, MAX_PROPERTY, allowed)
    try:
        split_path(value)
    except ValueError as error:
        return f"found {found(value)}: {error}; allowed: {_PROPERTY}, with \\. for a dot inside a name"
    return encoding_fault(value)


def _count_fault(value: object) -> Fault:
    return whole_fault(value, 0, MAX_ID, _COUNT)


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


PROPERTY_OPERATOR = choice(get_args(models.PropertyOperator))
LOGIC = choice(get_args(models.Logic))
EVENT_TYPE = single(_EVENT_TYPE, event_type_fault)
PROPERTY = single(_PROPERTY, _property_fault)

_COMPARISON = choice(get_args(models.CountOperator))
_BY_FIELD: dict[str, Rule] = {
    "event_type": EVENT_TYPE,
    "property": PROPERTY,
    "operator": PROPERTY_OPERATOR,
    "metric": choice(get_args(models.Metric)),
    "value": VALUE,
    "value2": VALUE2,
    "strict": single("true, false", _boolean_fault),
    "segment_id": single(_SEGMENT, _segment_fault),
    "logic": LOGIC,
    **WINDOW_RULES,
}
_BY_TYPE_AND_FIELD: dict[tuple[str, str], Rule] = {
    ("event_count", "operator"): _COMPARISON,
    ("monetary", "operator"): _COMPARISON,
    ("regularity", "operator"): _COMPARISON,
    ("recency", "operator"): choice(get_args(models.RecencyOperator)),
    ("segment_membership", "operator"): choice(get_args(models.MembershipOperator)),
    ("event_count", "value"): single(_COUNT, _count_fault),
    ("regularity", "value"): single(_COUNT, _count_fault),
    ("monetary", "value"): single("a number", _amount_fault),
}


def rule_of(condition_type: str, field: str) -> Rule:
    """The rule of a field that holds neither conditions nor filters."""
    return _BY_TYPE_AND_FIELD.get((condition_type, field)) or _BY_FIELD[field]
