"""Cases for the extensions of the event conditions: ``where``, ``window``, ``within`` and further metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from segops_orchestration_tests.oracle.case import (
    CART,
    DAY,
    HOUR,
    MINUTE,
    MS,
    ORDER,
    SECOND,
    VIEW,
    Document,
    any_of,
    case,
    event,
    event_count,
    event_property,
    monetary,
    recency,
    sequence,
)
from segops_orchestration_tests.oracle.cases_conditions import amounts

NOBODY: tuple[str, ...] = ()

MARCH_END = datetime(2026, 3, 31, 12, tzinfo=UTC)
LEAP_DAY = datetime(2028, 2, 29, 12, tzinfo=UTC)


def is_(path: str, value: object) -> Document:
    return {"property": path, "operator": "eq", "value": value}


def last(amount: float, unit: str) -> Document:
    return {"last": amount, "unit": unit}


GOLD = [is_("plan", "gold")]

WHERE = (
    case(
        "where: only events that satisfy it are counted",
        event_count("eq", 1, where=GOLD),
        [
            event("one of two", payload='{"plan": "gold"}'),
            event("one of two", payload='{"plan": "silver"}'),
            event("none", payload='{"plan": "silver"}'),
            event("two", payload='{"plan": "gold"}'),
            event("two", payload='{"plan": "gold"}'),
        ],
        ["one of two"],
    ),
    case(
        "where: all parts are of the same event",
        event_count("gte", 1, where=[is_("a", 1), is_("b", 2)]),
        [
            event("same", payload='{"a": 1, "b": 2}'),
            event("apart", payload='{"a": 1}'),
            event("apart", payload='{"b": 2}'),
        ],
        ["same"],
    ),
    case(
        "where: a zero count of such events",
        event_count("eq", 0, where=GOLD),
        [event("gold", payload='{"plan": "gold"}'), event("silver", payload='{"plan": "silver"}'), event("none", VIEW)],
        ["silver", "none"],
    ),
    case(
        "where: a complement selects events that lack the property",
        event_count("eq", 1, where=[{"property": "coupon", "operator": "neq", "value": "X"}]),
        [event("without"), event("other", payload='{"coupon": "Y"}'), event("with", payload='{"coupon": "X"}')],
        ["without", "other"],
    ),
    case(
        "where: between with value2",
        event_count("eq", 1, where=[{"property": "n", "operator": "between", "value": 1, "value2": 2}]),
        [event(f"{n}", payload=f'{{"n": {n}}}') for n in range(4)],
        ["1", "2"],
    ),
    case(
        "where: recency of the latest event that satisfies it",
        recency("gt", 7, where=GOLD),
        [
            event("old gold", ORDER, 8 * DAY, '{"plan": "gold"}'),
            event("old gold", ORDER, DAY, '{"plan": "silver"}'),
            event("new gold", ORDER, DAY, '{"plan": "gold"}'),
            event("silver", ORDER, 8 * DAY, '{"plan": "silver"}'),
        ],
        ["old gold"],
    ),
    case(
        "where: amounts of the events that satisfy it",
        monetary("sum", "eq", 10, where=GOLD),
        [event("a", payload='{"total": 10, "plan": "gold"}'), event("a", payload='{"total": 5, "plan": "silver"}')],
        ["a"],
    ),
    case(
        "where: the property of the latest event that satisfies it",
        event_property("n", "eq", value=1, where=GOLD),
        [
            event("a", ORDER, 2 * DAY, '{"n": 1, "plan": "gold"}'),
            event("a", ORDER, DAY, '{"n": 2, "plan": "silver"}'),
        ],
        ["a"],
    ),
    case(
        "where: no event that satisfies it is no event, for complements too",
        event_property("n", "neq", value=1, where=GOLD),
        [event("a", payload='{"n": 2, "plan": "silver"}')],
        NOBODY,
    ),
    case(
        "where: on the steps of a sequence",
        sequence({"event_type": VIEW, "where": [is_("page", "shop")]}, ORDER),
        [
            event("shop", VIEW, 2 * HOUR, '{"page": "shop"}'),
            event("shop", ORDER, HOUR),
            event("home", VIEW, 2 * HOUR, '{"page": "home"}'),
            event("home", ORDER, HOUR),
        ],
        ["shop"],
    ),
    case(
        "where: in a strict sequence an event that fails it still lies between",
        sequence({"event_type": VIEW, "where": [is_("page", "shop")]}, ORDER, strict=True),
        [
            event("a", VIEW, 3 * HOUR, '{"page": "shop"}'),
            event("a", VIEW, 2 * HOUR, '{"page": "home"}'),
            event("a", ORDER, HOUR),
        ],
        NOBODY,
    ),
    case(
        "where: judges the first delivery",
        event_count("eq", 1, where=GOLD),
        [
            event("a", payload='{"plan": "silver"}', event_id=7, received=1),
            event("a", payload='{"plan": "gold"}', event_id=7, received=2),
        ],
        NOBODY,
    ),
)


LAST = tuple(
    case(
        f"window: the last {amount} {unit}s, T - N outside",
        event_count("eq", 1, window=last(amount, unit)),
        [event("edge", ORDER, span), event("inside", ORDER, span - MS), event("now", ORDER, 0 * DAY)],
        ["inside", "now"],
    )
    for amount, unit, span in (
        (90, "second", 90 * SECOND),
        (90, "minute", 90 * MINUTE),
        (36, "hour", 36 * HOUR),
        (7, "day", 7 * DAY),
        (2, "week", 14 * DAY),
        (1, "month", 31 * DAY),  # from 31 January back to 31 December
        (1, "year", 365 * DAY),
    )
)

WINDOW = (
    *LAST,
    case(
        "window: a month back to a day that the month lacks is its last day",
        event_count("eq", 1, window=last(1, "month")),
        [
            event("edge", ORDER, 31 * DAY, at=MARCH_END),
            event("inside", ORDER, 31 * DAY - MS, at=MARCH_END),
        ],
        ["inside"],
        at=MARCH_END,
    ),
    *(
        case(
            f"window: a month before {at:%d March, %H:%M} is 28 February, {at:%H:%M}",
            event_count("eq", 1, window=last(1, "month")),
            [event("noon of 28 February", ORDER, at - datetime(2026, 2, 28, 12, tzinfo=UTC), at=at)],
            expected,
            at=at,
        )
        # What has left the window can come back: the month before does not always move on with the day.
        for at, expected in (
            (datetime(2026, 3, 28, 18, tzinfo=UTC), NOBODY),
            (datetime(2026, 3, 29, 6, tzinfo=UTC), ["noon of 28 February"]),
        )
    ),
    case(
        "window: a year back from a leap day is 28 February",
        event_count("eq", 1, window=last(1, "year")),
        [event("edge", ORDER, 366 * DAY, at=LEAP_DAY), event("inside", ORDER, 366 * DAY - MS, at=LEAP_DAY)],
        ["inside"],
        at=LEAP_DAY,
    ),
    case(
        "window: from is included, to excluded",
        event_count("eq", 1, window={"from": "2026-01-01", "to": "2026-01-31T00:00:00Z"}),
        [
            event("before", ORDER, 30 * DAY + 12 * HOUR + MS),
            event("from", ORDER, 30 * DAY + 12 * HOUR),
            event("last ms", ORDER, 12 * HOUR + MS),
            event("to", ORDER, 12 * HOUR),
        ],
        ["from", "last ms"],
    ),
    case(
        "window: from alone",
        event_count("eq", 1, window={"from": "2026-01-30"}),
        [event("before", ORDER, 36 * HOUR + MS), event("from", ORDER, 36 * HOUR), event("future", ORDER, -MS)],
        ["from"],
    ),
    case(
        "window: to alone",
        event_count("eq", 1, window={"to": "2026-01-30T12:00:00+12:00"}),
        [event("before", ORDER, 36 * HOUR + MS), event("to", ORDER, 36 * HOUR)],
        ["before"],
    ),
    case(
        "window: to in the future does not bring the future nearer",
        event_count("eq", 1, window={"from": "2026-01-01", "to": "2027-01-01"}),
        [event("now", ORDER, 0 * DAY), event("future", ORDER, -MS), event("future", VIEW)],
        ["now"],
    ),
    case(
        "window: between 90 and 30 days ago",
        event_count("eq", 1, window={"from_ago": 90, "to_ago": 30, "unit": "day"}),
        [
            event("90 days", ORDER, 90 * DAY),
            event("90 days less 1 ms", ORDER, 90 * DAY - MS),
            event("30 days", ORDER, 30 * DAY),
            event("30 days less 1 ms", ORDER, 30 * DAY - MS),
        ],
        ["90 days less 1 ms", "30 days"],
    ),
    case(
        "window: from_ago alone ends now",
        event_count("eq", 1, window={"from_ago": 1, "unit": "day"}),
        [event("out", ORDER, DAY), event("in", ORDER, DAY - MS), event("now", ORDER, 0 * DAY)],
        ["in", "now"],
    ),
    case(
        "window: to_ago alone begins with time",
        event_count("eq", 1, window={"to_ago": 1, "unit": "month"}),
        [event("long ago", ORDER, 999 * DAY), event("edge", ORDER, 31 * DAY), event("out", ORDER, 31 * DAY - MS)],
        ["long ago", "edge"],
    ),
    case(
        "window: on amounts",
        monetary("sum", "eq", 10, window=last(1, "day")),
        [event("a", ORDER, DAY, '{"total": 5}'), event("a", ORDER, HOUR, '{"total": 10}')],
        ["a"],
    ),
    case(
        "window_days: on amounts; with none in it no operator matches",
        monetary("sum", "gte", 0, window_days=1),
        [event("out", ORDER, DAY, '{"total": 5}'), event("in", ORDER, DAY - MS, '{"total": 5}')],
        ["in"],
    ),
    case(
        "window: on the latest event",
        event_property("n", "neq", value=1, window={"from_ago": 9, "to_ago": 2, "unit": "day"}),
        [
            event("a", ORDER, 3 * DAY, '{"n": 2}'),
            event("a", ORDER, DAY, '{"n": 1}'),
            event("out", ORDER, DAY, '{"n": 2}'),
        ],
        ["a"],
    ),
    case(
        "window: a whole sequence lies in it",
        sequence(VIEW, ORDER, window={"from_ago": 9, "to_ago": 2, "unit": "day"}),
        [
            event("in", VIEW, 8 * DAY),
            event("in", ORDER, 2 * DAY),
            event("half", VIEW, 8 * DAY),
            event("half", ORDER, DAY),
        ],
        ["in"],
    ),
)

WITHIN = (
    case(
        "within: from the first step to the last, limit included",
        sequence(VIEW, CART, ORDER, within=last(2, "hour")),
        [
            event("limit", VIEW, 5 * HOUR),
            event("limit", CART, 4 * HOUR),
            event("limit", ORDER, 3 * HOUR),
            event("1 ms over", VIEW, 5 * HOUR),
            event("1 ms over", CART, 4 * HOUR),
            event("1 ms over", ORDER, 3 * HOUR - MS),
        ],
        ["limit"],
    ),
    case(
        "within: a later start may be in time",
        sequence(VIEW, ORDER, within=last(1, "hour")),
        [event("a", VIEW, 9 * HOUR), event("a", VIEW, 2 * HOUR), event("a", ORDER, HOUR)],
        ["a"],
    ),
    case(
        "within: an earlier end may be in time",
        sequence(VIEW, ORDER, within=last(1, "hour")),
        [event("a", VIEW, 9 * HOUR), event("a", ORDER, 8 * HOUR), event("a", ORDER, HOUR)],
        ["a"],
    ),
    case(
        "within: with strict",
        sequence(VIEW, ORDER, within=last(1, "hour"), strict=True),
        [
            event("a", VIEW, 9 * HOUR),
            event("a", ORDER, 8 * HOUR),
            event("b", VIEW, 9 * HOUR),
            event("b", CART, 8 * HOUR + MINUTE),
            event("b", ORDER, 8 * HOUR),
        ],
        ["a"],
    ),
)

_THREE = [*amounts("a", "1", "2", "9"), *amounts("b", "4", "4"), *amounts("none", '"x"')]

METRICS = (
    case("monetary: min", monetary("min", "eq", 1), _THREE, ["a"]),
    case("monetary: median of an odd number", monetary("median", "eq", 2), _THREE, ["a"]),
    case(
        "monetary: median of an even number is the middle of the two",
        monetary("median", "eq", 1.5),
        amounts("a", "9", "1", "-9", "2"),
        ["a"],
    ),
    case("monetary: count_distinct", monetary("count_distinct", "eq", 1), _THREE, ["b"]),
    case(
        "monetary: count_distinct takes equal numbers as one, however written",
        monetary("count_distinct", "eq", 2),
        amounts("a", "10", '"10"', "10.0", "1e1", "11", '"eleven"'),
        ["a"],
    ),
    case(
        "monetary: no amount, no operator, for these metrics too",
        any_of(*(monetary(metric, "lte", 99) for metric in ("min", "median", "count_distinct"))),
        [*amounts("text", '"x"'), event("none", VIEW)],
        NOBODY,
    ),
)

EXTENDED_EVENT_CASES = (*WHERE, *WINDOW, *WITHIN, *METRICS)
