"""Faults in the extensions, each with its path and message, and whether a JSON Schema can see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segops_orchestration_tests.dsl.documents import (
    EVENT_COUNT,
    EVENT_PROPERTY,
    EVENT_SEQUENCE,
    FIRST_EVENT,
    HAS_ELEMENT,
    IS_GOLD,
    MONETARY,
    PROPERTY_HELD,
    REGULARITY,
    USER_PROPERTY,
    WEEK,
    Document,
    without,
)


@dataclass(frozen=True)
class Planted:
    """A condition with one fault: ``path`` is within the condition, ``message`` its beginning or all of it."""

    condition: Document
    path: str
    message: str
    seen_by_schema: bool = True


def counted(window: Any) -> Document:
    """An event_count in this window."""
    return EVENT_COUNT | {"window": window}


def filtered(**changes: Any) -> Document:
    """An event_count with one filter, changed so."""
    return EVENT_COUNT | {"where": [IS_GOLD | changes]}


def held_in(depth: int) -> Document:
    """A has_element with so many levels of where."""
    inner: Document = IS_GOLD
    for _ in range(depth - 1):
        inner = {"property": "items", "operator": "has_element", "where": [inner]}
    return HAS_ELEMENT | {"where": [inner]}


_FORMS = "{last, unit}, {from, to} or {from_ago, to_ago, unit}"
_INSTANT = "an ISO date or time such as 2026-01-31 or 2026-01-31T12:00:00Z"
_UNITS = "second, minute, hour, day, week, month, year"
_FILTERS = "an array of 1 to 100 filters, each with property, operator and value"
_DURATION = "an object such as {last: 7, unit: day}"

WINDOWS = (
    Planted(counted(7), "window", f"found 7; allowed: {_FORMS}"),
    Planted(counted({}), "window", "found an object without any of last, from, to, from_ago, to_ago; allowed"),
    Planted(counted({"unit": "day"}), "window", "found an object without any of last, from"),
    Planted(
        counted({"last": 7, "from": "2026-01-01"}),
        "window",
        f"found last beside from; allowed: exactly one of {_FORMS}",
    ),
    Planted(counted({"from": "2026-01-01", "from_ago": 7, "unit": "day"}), "window", "found from beside from_ago"),
    Planted(
        counted(WEEK) | {"window_days": 7}, "window", "found an object beside window_days; allowed: one of the two"
    ),
    Planted(
        counted({"lst": 7, "unit": "day"}),
        "window.lst",
        "unknown field; allowed: last, from, to, from_ago, to_ago, unit; did you mean 'last'?",
    ),
    Planted(
        counted({"since": "2026-01-01"}),
        "window.since",
        "unknown field; allowed: last, from, to, from_ago, to_ago, unit; did you mean 'from'?",
    ),
    Planted(counted(WEEK | {"timezone": "UTC"}), "window.timezone", "timezone of a window is an extension"),
    Planted(counted({"last": 7}), "window.unit", f"missing; required: {_UNITS}"),
    Planted(counted(WEEK | {"unit": "days"}), "window.unit", f"found 'days'; allowed: {_UNITS}; did you mean 'day'?"),
    Planted(counted(WEEK | {"unit": "quarter"}), "window.unit", f"found 'quarter'; allowed: {_UNITS}"),
    Planted(
        counted(WEEK | {"last": 0}),
        "window.last",
        "found 0; allowed: a whole number from 1 to 3,650, the unit being day",
    ),
    Planted(counted(WEEK | {"last": 1.5}), "window.last", "found 1.5; allowed: a whole number"),
    Planted(
        counted(WEEK | {"last": 7.0}),
        "window.last",
        "found 7.0; allowed: a whole number from 1 to 3,650, the unit being day, written without a fraction",
        seen_by_schema=False,
    ),
    Planted(counted(WEEK | {"last": True}), "window.last", "found true"),
    Planted(counted(WEEK | {"last": "7"}), "window.last", "found '7'"),
    *(
        Planted(
            counted({"last": most + 1, "unit": unit}),
            "window.last",
            f"found {most + 1}; allowed: a whole number from 1 to {most:,}, the unit being {unit}",
        )
        for unit, most in (
            ("second", 315_360_000),
            ("minute", 5_256_000),
            ("hour", 87_600),
            ("day", 3_650),
            ("week", 521),
            ("month", 120),
            ("year", 10),
        )
    ),
    Planted(counted({"from": "yesterday"}), "window.from", f"found 'yesterday'; allowed: {_INSTANT}"),
    Planted(counted({"to": 20260131}), "window.to", f"found 20260131; allowed: {_INSTANT}"),
    Planted(counted({"to": "2026-02-30"}), "window.to", "found '2026-02-30'; allowed", seen_by_schema=False),
    Planted(counted({"from": "2026-01-31", "unit": "day"}), "window.unit", "unknown field; allowed: from, to"),
    Planted(
        counted({"from": "2026-01-31", "to": "2026-01-31T01:00+01:00"}),
        "window.to",
        "found '2026-01-31T01:00+01:00'; it must lie after from, '2026-01-31'",
        seen_by_schema=False,
    ),
    Planted(counted({"from": None, "to": None}), "window", "found neither from nor to; allowed: one of them, or both"),
    Planted(counted({"from_ago": 90}), "window.unit", f"missing; required: {_UNITS}"),
    Planted(counted({"from_ago": 0, "unit": "day"}), "window.from_ago", "found 0; allowed: a whole number from 1"),
    Planted(counted({"to_ago": -1, "unit": "day"}), "window.to_ago", "found -1; allowed: a whole number from 0"),
    Planted(
        counted({"to_ago": 121, "unit": "month"}), "window.to_ago", "found 121; allowed: a whole number from 0 to 120"
    ),
    Planted(
        counted({"from_ago": 30, "to_ago": 30, "unit": "day"}),
        "window.to_ago",
        "found 30; it must be below from_ago, 30",
        seen_by_schema=False,
    ),
    Planted(counted({"from_ago": None, "unit": "day"}), "window", "found neither from_ago nor to_ago"),
    Planted(EVENT_SEQUENCE | {"within": 7}, "within", f"found 7; allowed: {_DURATION}"),
    Planted(EVENT_SEQUENCE | {"within": {"last": 1}}, "within.unit", f"missing; required: {_UNITS}"),
    Planted(EVENT_SEQUENCE | {"within": WEEK | {"from": 1}}, "within.from", "unknown field; allowed: last, unit"),
)

WHERE = (
    Planted(EVENT_COUNT | {"where": []}, "where", f"found an array of 0; allowed: {_FILTERS}"),
    Planted(EVENT_COUNT | {"where": IS_GOLD}, "where", f"found an object; allowed: {_FILTERS}"),
    Planted(EVENT_COUNT | {"where": [IS_GOLD] * 101}, "where", f"found an array of 101; allowed: {_FILTERS}"),
    Planted(
        EVENT_COUNT | {"where": ["plan"]},
        "where[0]",
        "found 'plan'; allowed: an object with property, operator and value",
    ),
    Planted(
        EVENT_COUNT | {"filters": [IS_GOLD]},
        "filters",
        "unknown field; allowed: type, event_type, operator, value, window_days, window, where; did you mean 'where'?",
    ),
    Planted(
        EVENT_COUNT | {"where": [without(IS_GOLD, "property")]},
        "where[0].property",
        "missing; required: the path of a property such as total or address.city",
    ),
    Planted(
        EVENT_COUNT | {"where": [without(IS_GOLD, "value")]},
        "where[0].value",
        "missing; operator eq needs text, a number or a boolean",
    ),
    Planted(filtered(operator="gtee"), "where[0].operator", "found 'gtee'; allowed: eq, neq, "),
    Planted(filtered(operator="gt"), "where[0].value", "found 'gold'; allowed: a number, a numeric text or a date"),
    Planted(filtered(value2=3), "where[0].value2", "found 3; value2 belongs to between, not_between only"),
    Planted(filtered(operator="is_set"), "where[0].value", "found 'gold'; operator is_set takes no value"),
    Planted(
        filtered(type="user_property"),
        "where[0].type",
        "unknown field; allowed: property, operator, value, value2, where",
    ),
    Planted(
        filtered(where=[IS_GOLD]),
        "where[0].where",
        "found an array of 1; where belongs to operator has_element here, not to eq",
    ),
    Planted(
        USER_PROPERTY | {"where": [IS_GOLD]},
        "where",
        "found an array of 1; where belongs to operator has_element here, not to eq",
    ),
    Planted(
        PROPERTY_HELD | {"where": [IS_GOLD]}, "where", "found an array of 1; where belongs to operator has_element"
    ),
    Planted(
        without(HAS_ELEMENT, "where"),
        "where",
        "missing; operator has_element needs an array of filters that one element has to satisfy",
    ),
    Planted(
        without(EVENT_PROPERTY, "value") | {"operator": "has_element"}, "where", "missing; operator has_element needs"
    ),
    Planted(
        HAS_ELEMENT | {"value": 1},
        "value",
        "found 1; operator has_element takes no value; it needs where, an array of filters",
    ),
    Planted(
        held_in(9),
        "where[0].where" + "[0].where" * 7,
        "nested too deep; allowed: 8 levels of where",
        seen_by_schema=False,
    ),
    Planted(
        EVENT_SEQUENCE | {"events": ["a", {"where": [IS_GOLD]}]},
        "events[1].event_type",
        "missing; required: an event type, text of 1 to 256 characters",
    ),
    Planted(
        EVENT_SEQUENCE | {"events": ["a", {"event": "b"}]},
        "events[1].event",
        "unknown field; allowed: event_type, where; did you mean 'event_type'?",
    ),
    Planted(
        EVENT_SEQUENCE | {"events": [{"event_type": "a", "where": []}, "b"]}, "events[0].where", "found an array of 0"
    ),
    Planted(EVENT_SEQUENCE | {"where": [IS_GOLD]}, "where", "unknown field; allowed: type, events, "),
)

OPERANDS = (
    Planted(
        MONETARY | {"metric": "p50"},
        "metric",
        "found 'p50'; allowed: sum, avg, max, min, median, count_distinct; did you mean 'median'?",
    ),
    Planted(USER_PROPERTY | {"operator": "in_last", "value": 7}, "value", f"found 7; allowed: {_DURATION}"),
    Planted(USER_PROPERTY | {"operator": "in_last", "value": WEEK | {"unit": "d"}}, "value.unit", "found 'd'; allowed"),
    Planted(USER_PROPERTY | {"operator": "in_next", "value": {"unit": "day"}}, "value.last", "missing; required"),
    Planted(
        without(USER_PROPERTY, "value") | {"operator": "before_last"},
        "value",
        "missing; operator before_last needs a span of time such as {last: 7, unit: day}",
    ),
    Planted(
        USER_PROPERTY | {"operator": "gt", "value": WEEK},
        "value",
        "found an object; allowed: a number, a numeric text or a date such as 2026-01-31; "
        "for a date so long ago or so soon use in_last, in_next, before_last",
    ),
    Planted(USER_PROPERTY | {"property": "[]"}, "property", "found '[]': [] follows no name; allowed"),
    Planted(USER_PROPERTY | {"property": "a.[].b"}, "property", "found 'a.[].b': [] follows no name; allowed"),
    Planted(
        USER_PROPERTY | {"property": "a" + "[]" * 9},
        "property",
        "found 'a[][][][][][][][][]': more than 8 steps into arrays",
        seen_by_schema=False,
    ),
)

CONDITIONS = (
    Planted(
        without(FIRST_EVENT, "window_days"),
        "window",
        f"missing; required: window or window_days, window being {_FORMS}",
    ),
    Planted(FIRST_EVENT | {"window_days": None}, "window", "missing; required: window or window_days"),
    Planted(FIRST_EVENT | {"window": WEEK}, "window", "found an object beside window_days; allowed: one of the two"),
    Planted(
        without(FIRST_EVENT, "window_days") | {"windows": WEEK},
        "windows",
        "unknown field; allowed: type, event_type, window_days, window, where; did you mean 'window'?",
    ),
    Planted(REGULARITY | {"period": 7}, "period", f"found 7; allowed: {_DURATION}"),
    Planted(REGULARITY | {"period": None}, "period", f"found null; allowed: {_DURATION}"),
    Planted(REGULARITY | {"periods": 1}, "periods", "found 1; allowed: a whole number from 2 to 60"),
    Planted(REGULARITY | {"periods": 61}, "periods", "found 61; allowed: a whole number from 2 to 60"),
    Planted(REGULARITY | {"min_periods": 0}, "min_periods", "found 0; allowed: a whole number from 1"),
    Planted(
        REGULARITY | {"min_periods": 9},
        "min_periods",
        "found 9; allowed: 1 to 8, the number of periods",
        seen_by_schema=False,
    ),
    Planted(
        REGULARITY | {"period": {"last": 61, "unit": "day"}, "periods": 60},
        "periods",
        "found 60 periods of 61 day; allowed: 3,650 day in all",
        seen_by_schema=False,
    ),
    Planted(REGULARITY | {"value": -1}, "value", "found -1; allowed: an integer from 0 up"),
    Planted(REGULARITY | {"operator": "between"}, "operator", "found 'between'; allowed: eq, neq, gt, gte, lt, lte"),
    Planted(
        without(PROPERTY_HELD, "at_least"),
        "at_least",
        f"missing; required: at_least or less_than, at_least being {_DURATION}",
    ),
    Planted(
        PROPERTY_HELD | {"less_than": WEEK}, "less_than", "found an object beside at_least; allowed: one of the two"
    ),
    Planted(PROPERTY_HELD | {"at_least": 7}, "at_least", f"found 7; allowed: {_DURATION}"),
    Planted(
        without(PROPERTY_HELD, "at_least") | {"held_for": WEEK},
        "held_for",
        "unknown field; allowed: type, property, operator, value, value2, where, at_least, less_than; "
        "did you mean 'at_least'?",
    ),
    Planted(without(PROPERTY_HELD, "value"), "value", "missing; operator eq needs text, a number or a boolean"),
    Planted(
        {"type": "top_n"}, "type", "type 'top_n' is an extension of the segment language that this version does not"
    ),
)

PLANTED = (*WINDOWS, *WHERE, *OPERANDS, *CONDITIONS)
