"""Cases for the condition types and property operators that are extensions."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import (
    AT,
    DAY,
    HOUR,
    IDENTIFIED,
    MS,
    ORDER,
    VIEW,
    Document,
    case,
    event,
    event_count,
    event_property,
    identified,
    negated,
    user_property,
)
from segops_orchestration_tests.oracle.cases_extensions import GOLD, MARCH_END, NOBODY, is_, last

FIRST_EVENT = (
    case(
        "first_event: the first ever lies in the window",
        {"type": "first_event", "event_type": ORDER, "window_days": 7},
        [
            event("new", ORDER, 7 * DAY - MS),
            event("edge", ORDER, 7 * DAY),
            event("returning", ORDER, 99 * DAY),
            event("returning", ORDER, DAY),
            event("never", VIEW),
            event("future", ORDER, -MS),
            event("future", VIEW),
        ],
        ["new"],
    ),
    case(
        "first_event: a late event of an earlier time makes the first one earlier",
        {"type": "first_event", "event_type": ORDER, "window_days": 7},
        [event("a", ORDER, DAY, received=1), event("a", ORDER, 99 * DAY, received=2)],
        NOBODY,
    ),
    case(
        "first_event: where narrows which events may be first",
        {"type": "first_event", "event_type": ORDER, "window": last(1, "week"), "where": GOLD},
        [event("a", ORDER, 99 * DAY, '{"plan": "silver"}'), event("a", ORDER, DAY, '{"plan": "gold"}')],
        ["a"],
    ),
    case(
        "first_event: in an absolute window",
        {"type": "first_event", "event_type": ORDER, "window": {"from": "2026-01-01", "to": "2026-01-02"}},
        [event("a", ORDER, 30 * DAY), event("b", ORDER, 31 * DAY), event("b", ORDER, 30 * DAY)],
        ["a"],
    ),
)


def _regularity(**fields: object) -> Document:
    return {
        "type": "regularity",
        "event_type": ORDER,
        "period": last(7, "day"),
        "periods": 3,
        "min_periods": 2,
        "operator": "gte",
        "value": 1,
        **fields,
    }


REGULARITY = (
    case(
        "regularity: at least two of the last three weeks",
        _regularity(),
        [
            event("two weeks", ORDER, DAY),
            event("two weeks", ORDER, 15 * DAY),
            event("one week", ORDER, DAY),
            event("one week", ORDER, 2 * DAY),
            event("too long ago", ORDER, DAY),
            event("too long ago", ORDER, 22 * DAY),
        ],
        ["two weeks"],
    ),
    case(
        "regularity: a period's older edge is outside, its newer edge inside",
        _regularity(),
        [
            event("last of each", ORDER, 0 * DAY),
            event("last of each", ORDER, 7 * DAY),
            event("same period", ORDER, 7 * DAY),
            event("same period", ORDER, 14 * DAY - MS),
            event("edge of all", ORDER, DAY),
            event("edge of all", ORDER, 21 * DAY),
        ],
        ["last of each"],
    ),
    case(
        "regularity: periods without an event can count",
        _regularity(operator="eq", value=0, min_periods=3),
        [event("never", VIEW), event("once", ORDER, 8 * DAY), event("long ago", ORDER, 21 * DAY)],
        ["never", "long ago"],
    ),
    case(
        "regularity: so many in each period",
        _regularity(operator="gte", value=2, min_periods=3),
        [
            event(user, ORDER, week * 7 * DAY + extra * HOUR)
            for user, each in (("two", 2), ("one", 1))
            for week in range(3)
            for extra in range(1, each + 1)
        ],
        ["two"],
    ),
    case(
        "regularity: where narrows the events",
        _regularity(where=GOLD),
        [
            event("a", ORDER, DAY, '{"plan": "gold"}'),
            event("a", ORDER, 8 * DAY, '{"plan": "gold"}'),
            event("b", ORDER, DAY, '{"plan": "gold"}'),
            event("b", ORDER, 8 * DAY, '{"plan": "silver"}'),
        ],
        ["a"],
    ),
    case(
        "regularity: months by calendar, each counted back from T",
        _regularity(period=last(1, "month"), periods=2, min_periods=2),
        # From 31 March: back to 28 February, and to 31 January.
        [
            event("both", ORDER, 31 * DAY - MS, at=MARCH_END),
            event("both", ORDER, 31 * DAY, at=MARCH_END),
            event("second and edge", ORDER, 31 * DAY - MS, at=MARCH_END),
            event("second and edge", ORDER, 59 * DAY, at=MARCH_END),
            event("second and inside", ORDER, 31 * DAY - MS, at=MARCH_END),
            event("second and inside", ORDER, 59 * DAY - MS, at=MARCH_END),
        ],
        ["both", "second and inside"],
        at=MARCH_END,
    ),
)


def _held(**fields: object) -> Document:
    return {"type": "property_held", "property": "plan", "operator": "eq", "value": "gold", **fields}


_HOLDERS = [
    identified("7 days", 7 * DAY, '{"plan": "gold"}'),
    identified("7 days less 1 ms", 7 * DAY - MS, '{"plan": "gold"}'),
    identified("confirmed", 9 * DAY, '{"plan": "gold"}'),
    identified("confirmed", DAY, '{"plan": "gold", "n": 2}'),
    identified("interrupted", 9 * DAY, '{"plan": "gold"}'),
    identified("interrupted", 5 * DAY, '{"plan": "silver"}'),
    identified("interrupted", 2 * DAY, '{"plan": "gold"}'),
    identified("dropped by an identification without it", 9 * DAY, '{"plan": "gold"}'),
    identified("dropped by an identification without it", 5 * DAY, "{}"),
    identified("dropped by an identification without it", 2 * DAY, '{"plan": "gold"}'),
    identified("lost", 9 * DAY, '{"plan": "gold"}'),
    identified("lost", DAY, '{"plan": "silver"}'),
    event("never identified", VIEW, 30 * DAY),
]

PROPERTY_HELD = (
    case(
        "property_held: at_least, from the identification that made it true",
        _held(at_least=last(7, "day")),
        _HOLDERS,
        ["7 days", "confirmed"],
    ),
    case(
        "property_held: less_than",
        _held(less_than=last(7, "day")),
        _HOLDERS,
        ["7 days less 1 ms", "interrupted", "dropped by an identification without it"],
    ),
    case(
        "property_held: a complement holds while the property is missing",
        {"type": "property_held", "property": "plan", "operator": "neq", "value": "gold", "at_least": last(1, "week")},
        [identified("a", 8 * DAY, "{}"), identified("b", 8 * DAY, '{"plan": "gold"}'), identified("b", DAY, "{}")],
        ["a"],
    ),
    case(
        "property_held: a user never identified has held nothing",
        {"type": "property_held", "property": "plan", "operator": "is_not_set", "at_least": last(1, "day")},
        [event("never", VIEW, 30 * DAY), identified("known", 30 * DAY)],
        ["known"],
    ),
    case(
        "property_held: a late identification can interrupt",
        _held(at_least=last(7, "day")),
        [
            identified("a", 9 * DAY, '{"plan": "gold"}', received=1),
            identified("a", DAY, '{"plan": "gold"}', received=1),
            identified("a", 2 * DAY, '{"plan": "silver"}', received=2),
        ],
        NOBODY,
    ),
)

RELATIVE_DATES = tuple(
    case(
        f"{operator}: {reading}",
        user_property("due", operator, value=last(2, "day")),
        [
            identified(user, payload={"due": due})
            for user, due in {
                "T - 2d": "2026-01-29T12:00:00Z",
                "T - 2d + 1 ms": "2026-01-29T12:00:00.001Z",
                "T": "2026-01-31T12:00:00Z",
                "T + 1 ms": "2026-01-31T12:00:00.001Z",
                "T + 2d": "2026-02-02T12:00:00Z",
                "T + 2d + 1 ms": "2026-02-02T12:00:00.001Z",
                "long ago": "1999-12-31",
                "no date": "soon",
                "a number": 1769860800,
                "null": None,
            }.items()
        ],
        expected,
    )
    for operator, reading, expected in (
        ("in_last", "inside (T-N, T]", ["T - 2d + 1 ms", "T"]),
        ("in_next", "inside (T, T+N]", ["T + 1 ms", "T + 2d"]),
        ("before_last", "at or before T-N", ["T - 2d", "long ago"]),
    )
)

_BASKETS = [
    event("apple", payload={"items": [{"sku": "apple", "n": 1}, {"sku": "pear", "n": 5}]}),
    event("pears", payload={"items": [{"sku": "pear", "n": 5}]}),
    event("no sku", payload={"items": [{"n": 5}]}),
    event("null sku", payload={"items": [{"sku": None}]}),
    event("empty", payload={"items": []}),
    event("no array", payload={"items": {"sku": "apple"}}),
    event("missing", payload={}),
]

ARRAY_STEPS = (
    case(
        "array step: true when it is true for at least one element",
        event_property("items[].sku", "eq", value="apple"),
        _BASKETS,
        ["apple"],
    ),
    case(
        "array step: a complement stays the complement",
        event_property("items[].sku", "neq", value="apple"),
        _BASKETS,
        ["pears", "no sku", "null sku", "empty", "no array", "missing"],
    ),
    case(
        "array step: is_set when it is for one element",
        event_property("items[].sku", "is_set"),
        _BASKETS,
        ["apple", "pears"],
    ),
    case(
        "array step: is_not_set is its complement",
        event_property("items[].sku", "is_not_set"),
        _BASKETS,
        ["no sku", "null sku", "empty", "no array", "missing"],
    ),
    case(
        "array step: ordering",
        event_property("items[].n", "lt", value=5),
        _BASKETS,
        ["apple"],
    ),
    case(
        "array step: the elements themselves",
        event_property("tags[]", "starts_with", value="go"),
        [
            event("a", payload={"tags": ["silver", "gold"]}),
            event("b", payload={"tags": ["ago"]}),
            event("c", payload={"tags": "gold"}),
        ],
        ["a"],
    ),
    case(
        "array step: arrays in arrays",
        event_property("orders[].items[].sku", "in", value=["apple"]),
        [
            event("a", payload={"orders": [{"items": []}, {"items": [{"sku": "pear"}, {"sku": "apple"}]}]}),
            event("b", payload={"orders": [{"items": [{"sku": "pear"}]}]}),
        ],
        ["a"],
    ),
    case(
        "array step: inside a where",
        event_count("eq", 1, where=[is_("items[].sku", "apple")]),
        _BASKETS,
        ["apple"],
    ),
    case(
        "has_element: one element satisfies all of it",
        event_property("items", "has_element", where=[is_("sku", "apple"), is_("n", 5)]),
        [
            event("same", payload={"items": [{"sku": "pear", "n": 1}, {"sku": "apple", "n": 5}]}),
            event("apart", payload={"items": [{"sku": "apple", "n": 1}, {"sku": "pear", "n": 5}]}),
        ],
        ["same"],
    ),
    case(
        "has_element: a complement inside it is of that element",
        event_property("items", "has_element", where=[{"property": "sku", "operator": "is_not_set"}]),
        [*_BASKETS, event("plain values", payload={"items": [1, "x", None]})],
        ["no sku", "null sku"],
    ),
    case(
        "has_element: not of it includes those without an array",
        negated(event_property("items", "has_element", where=[is_("sku", "pear")])),
        [*_BASKETS, event("viewer", VIEW)],
        ["no sku", "null sku", "empty", "no array", "missing", "viewer"],
    ),
    case(
        "has_element: of an identification",
        event_property("items", "has_element", IDENTIFIED, where=[is_("sku", "apple")]),
        [identified("a", payload={"items": [{"sku": "apple"}]}), identified("b", payload={"items": ["apple"]})],
        ["a"],
        at=AT,
    ),
)

EXTENSION_CONDITION_CASES = (*FIRST_EVENT, *REGULARITY, *PROPERTY_HELD, *RELATIVE_DATES, *ARRAY_STEPS)
