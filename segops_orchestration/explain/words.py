"""What a condition asks, in a line of plain English."""

from __future__ import annotations

import json
from collections.abc import Sequence

from segops_orchestration.dsl.models import (
    AgoWindow,
    Condition,
    Definition,
    Duration,
    EventCount,
    EventProperty,
    EventSequence,
    Filter,
    FirstEvent,
    FixedWindow,
    Group,
    Monetary,
    Not,
    PropertyHeld,
    Recency,
    Regularity,
    SegmentMembership,
    UserProperty,
)

_NUMBERS = {
    "eq": "exactly",
    "neq": "anything but",
    "gt": "more than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
}
_TESTS = {
    "eq": "is",
    "neq": "is not",
    "gt": "is above",
    "gte": "is at least",
    "lt": "is below",
    "lte": "is at most",
    "between": "is between",
    "not_between": "is not between",
    "in": "is one of",
    "not_in": "is none of",
    "contains": "contains",
    "does_not_contain": "does not contain",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "matches_regex": "matches",
    "is_set": "is set",
    "is_not_set": "is not set",
    "is_true": "is true",
    "is_false": "is false",
    "in_last": "is in the last",
    "in_next": "is in the next",
    "before_last": "is before the last",
}
_MOST_VALUES = 5

Test = Filter | EventProperty | UserProperty | PropertyHeld


def asks(condition: Condition | Definition, slug: str | None = None) -> str:
    """The line. ``slug`` is that of the segment that the condition refers to."""
    match condition:
        case Definition() | Group():
            return "all of" if condition.logic == "AND" else "any of"
        case Not():
            return "not"
        case SegmentMembership():
            return f"{'in' if condition.operator == 'in' else 'not in'} the segment {slug or condition.segment_id}"
        case UserProperty():
            return f"{_test(condition)}, as last identified"
        case PropertyHeld():
            return _held(condition)
    return _about_events(condition)


def _about_events(condition: Condition) -> str:
    match condition:
        case EventCount():
            count = f"{_NUMBERS[condition.operator]} {condition.value} {condition.event_type}"
            return count + _where(condition.where) + _period(condition)
        case Recency():
            return f"the latest {condition.event_type}{_where(condition.where)} is {_age(condition)}"
        case Monetary():
            amounts = f"{condition.metric} of {condition.property} over {condition.event_type}"
            amounts += _where(condition.where) + _period(condition)
            return f"{amounts} is {_NUMBERS[condition.operator]} {condition.value}"
        case EventProperty():
            where = None if condition.operator == "has_element" else condition.where
            latest = f"the latest {condition.event_type}{_where(where)}{_window(condition.window)}"
            return f"{_test(condition)}, in {latest}"
        case EventSequence():
            return _sequence(condition)
        case FirstEvent():
            return f"the first {condition.event_type}{_where(condition.where)} was{_period(condition) or ' ever'}"
        case Regularity():
            often = f"{_NUMBERS[condition.operator]} {condition.value} {condition.event_type}{_where(condition.where)}"
            periods = f"at least {condition.min_periods} of the last {condition.periods} periods"
            return f"{often} in {periods} of {_span(condition.period)}"
    raise TypeError(f"{type(condition).__name__} is no condition")


def _age(condition: Recency) -> str:
    days = condition.window_days
    if condition.operator == "eq":
        return f"{days} whole days ago"
    return f"{'more' if condition.operator == 'gt' else 'less'} than {days} {'day' if days == 1 else 'days'} ago"


def _sequence(condition: EventSequence) -> str:
    steps = " then ".join(f"{step.event_type}{_where(step.where)}" for step in condition.steps)
    within = f" within {_span(condition.within)}" if condition.within else ""
    strict = ", with nothing in between" if condition.strict else ""
    return f"{steps}{within}{_period(condition)}{strict}"


def _held(condition: PropertyHeld) -> str:
    if condition.at_least is not None:
        return f"{_test(condition)}, without a break for at least {_span(condition.at_least)}"
    assert condition.less_than is not None
    return f"{_test(condition)}, for less than {_span(condition.less_than)}"


def _test(test: Test) -> str:
    if test.operator == "has_element":
        return f"{test.property} has an element{_where(test.where)}"
    said = f"{test.property} {_TESTS[test.operator]}"
    if isinstance(test.value, Duration):
        return f"{said} {_span(test.value)}"
    if isinstance(test.value, tuple):
        return f"{said} {_values(test.value)}"
    if test.value is None:
        return said
    upper = "" if test.value2 is None else f" and {_value(test.value2)}"
    return f"{said} {_value(test.value)}{upper}"


def _where(filters: Sequence[Filter] | None) -> str:
    return f" with {' and '.join(_test(one) for one in filters)}" if filters else ""


def _values(values: Sequence[object]) -> str:
    shown = ", ".join(_value(value) for value in values[:_MOST_VALUES])
    return shown if len(values) <= _MOST_VALUES else f"{shown}, … ({len(values):,} values)"


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _period(condition: EventCount | Monetary | EventSequence | FirstEvent) -> str:
    if condition.window_days is not None:
        return f" in the last {condition.window_days} {'day' if condition.window_days == 1 else 'days'}"
    return _window(condition.window)


def _window(window: Duration | FixedWindow | AgoWindow | None) -> str:
    match window:
        case None:
            return ""
        case Duration():
            return f" in the last {_span(window)}"
        case FixedWindow():
            start = f" from {window.from_}" if window.from_ is not None else ""
            return start + (f" before {window.to}" if window.to is not None else "")
        case AgoWindow():
            return _between_ages(window)


def _between_ages(window: AgoWindow) -> str:
    if window.from_ago is None:
        return f" at least {window.to_ago} {_units(window.to_ago or 0, window.unit)} ago"
    if not window.to_ago:
        return f" in the last {window.from_ago} {_units(window.from_ago, window.unit)}"
    return f" between {window.from_ago} and {window.to_ago} {_units(window.to_ago, window.unit)} ago"


def _span(duration: Duration) -> str:
    return f"{duration.last} {_units(duration.last, duration.unit)}"


def _units(amount: int, unit: str) -> str:
    return unit if amount == 1 else f"{unit}s"
