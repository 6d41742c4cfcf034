"""Cases for the meaning (section 3.1) of amounts, event properties, memberships and boolean logic."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import (
    AT,
    CART,
    DAY,
    HOUR,
    IDENTIFIED,
    MS,
    ORDER,
    VIEW,
    Case,
    Document,
    all_of,
    any_of,
    case,
    event,
    event_count,
    event_property,
    group,
    identified,
    membership,
    monetary,
    negated,
    recency,
    sequence,
    user_property,
)
from segops_orchestration_tests.oracle.evaluate import Event

NOBODY: tuple[str, ...] = ()


def amounts(user: str, *texts: str) -> list[Event]:
    """One order of each ``total``, given as JSON text."""
    return [event(user, payload='{"total": ' + text + "}") for text in texts]


_SPENDERS = [
    *amounts("thirty", "10", "20"),
    *amounts("fifteen", "5", "10"),
    *amounts("twenty", "20"),
    *amounts("text only", '"a lot"'),
    event("none", VIEW),
]


def _by_operator() -> list[Case]:
    """``monetary`` sum against 20, each operator once."""
    expected = {
        "eq": ["twenty"],
        "neq": ["thirty", "fifteen"],
        "gt": ["thirty"],
        "gte": ["thirty", "twenty"],
        "lt": ["fifteen"],
        "lte": ["fifteen", "twenty"],
    }
    return [
        case(
            f"monetary: sum {operator} 20, never a user without amounts",
            monetary("sum", operator, 20),
            _SPENDERS,
            who,
        )
        for operator, who in expected.items()
    ]


MONETARY = (
    *_by_operator(),
    case("monetary: avg", monetary("avg", "eq", 15), _SPENDERS, ["thirty"]),
    case("monetary: max", monetary("max", "eq", 20), _SPENDERS, ["thirty", "twenty"]),
    case(
        "monetary: a user with no number matches no operator",
        any_of(*(monetary("sum", name, 0) for name in ("eq", "neq", "gt", "gte", "lt", "lte"))),
        [event("none", VIEW), event("empty"), *amounts("text", '"x"', "null", "true", "[1]", "{}", '""')],
        NOBODY,
    ),
    case(
        "monetary: amounts that come to zero are an amount",
        monetary("sum", "eq", 0),
        [*amounts("zero", "0"), *amounts("refunded", "10", "-10"), event("none", VIEW)],
        ["zero", "refunded"],
    ),
    case(
        "monetary: values that are no numbers are skipped, not zero",
        monetary("avg", "eq", 15),
        amounts("a", "10", "20", '"n/a"', "null", "true", "false", "[10]", '{"total": 10}', '""', '" 10"'),
        ["a"],
    ),
    case(
        "monetary: numeric strings count",
        monetary("sum", "eq", 60.5),
        amounts("a", '"10"', "20", '"30.5"'),
        ["a"],
    ),
    case(
        "monetary: signs, points and exponents in numeric strings",
        monetary("sum", "eq", 1017.5),
        amounts("a", '"+7"', '".5"', '"10."', '"1e3"'),
        ["a"],
    ),
    case(
        "monetary: inf, nan, hexadecimals, spaces, separators and currencies are not numbers",
        monetary("sum", "eq", 1),
        amounts(
            "a",
            "1",
            '"inf"',
            '"-inf"',
            '"nan"',
            '"0x10"',
            '"1 000"',
            '"1_000"',
            '"1,000"',
            '"$5"',
            '"5 "',
            '"1e"',
        ),
        ["a"],
    ),
    case("monetary: ten times 0.1 is 1.0 (eq)", monetary("sum", "eq", 1.0), amounts("a", *["0.1"] * 10), ["a"]),
    case(
        "monetary: ten times 0.1 is 1.0 (gte)",
        monetary("sum", "gte", 1.0),
        amounts("a", *["0.1"] * 10),
        ["a"],
    ),
    case("monetary: ten times 0.1 is 1.0 (gt)", monetary("sum", "gt", 1.0), amounts("a", *["0.1"] * 10), NOBODY),
    case("monetary: ten times 0.1 is 1.0 (lt)", monetary("sum", "lt", 1.0), amounts("a", *["0.1"] * 10), NOBODY),
    case("monetary: 0.1 and 0.2 is 0.3", monetary("sum", "eq", 0.3), amounts("a", "0.1", "0.2"), ["a"]),
    case("monetary: the average of 0.1 is 0.1", monetary("avg", "eq", 0.1), amounts("a", *["0.1"] * 3), ["a"]),
    case(
        "monetary: a sum is right to the sixth place",
        monetary("sum", "gt", 1234567.1),
        [*amounts("more", "1234567.1", "0.000001"), *amounts("equal", "1234567.1")],
        ["more"],
    ),
    case(
        "monetary: large amounts do not swallow small ones, whatever the order",
        monetary("sum", "eq", 0.1),
        [
            *amounts("a", "10000000000000000", "0.1", "-10000000000000000"),
            *amounts("b", "0.1", "10000000000000000", "-10000000000000000"),
        ],
        ["a", "b"],
    ),
    case(
        "monetary: an average is compared to six places",
        monetary("avg", "eq", 3.333333),
        amounts("a", "10", "0", "0"),
        ["a"],
    ),
    case(
        "monetary: an average of two thirds is rounded up",
        monetary("avg", "eq", 0.666667),
        amounts("a", "1", "1", "0"),
        ["a"],
    ),
    case(
        "monetary: an average of a negative third",
        monetary("avg", "eq", -0.333333),
        amounts("a", "-1", "0", "0"),
        ["a"],
    ),
    case(
        "monetary: the greatest of negative amounts",
        monetary("max", "lt", 0),
        [*amounts("a", "-3", "-1"), *amounts("b", "-3", "0")],
        ["a"],
    ),
    case(
        "monetary: max compares numbers, not text",
        monetary("max", "eq", 10),
        amounts("a", '"9"', '"10"'),
        ["a"],
    ),
    case(
        "monetary: max is exact",
        monetary("max", "gt", 0.3),
        [*amounts("equal", "0.3"), *amounts("more", "0.3000001")],
        ["more"],
    ),
    case(
        "monetary: digits beyond the ninth place are cut off",
        monetary("max", "eq", 0.123456789),
        [*amounts("a", "0.1234567899"), *amounts("negative", "-0.1234567899")],
        ["a"],
    ),
    case(
        "monetary: a negative threshold",
        monetary("sum", "lte", -5.5),
        [*amounts("a", "-5.5"), *amounts("b", "-5.4")],
        ["a"],
    ),
    case(
        "monetary: two equal amounts both count",
        monetary("sum", "eq", 20),
        amounts("a", "10", "10"),
        ["a"],
    ),
    case(
        "monetary: all time, however long ago; the future not yet",
        monetary("sum", "eq", 10),
        [
            event("a", ORDER, 4000 * DAY, '{"total": 10}'),
            event("a", ORDER, -MS, '{"total": 5}'),
        ],
        ["a"],
    ),
    case(
        "monetary: other event types add nothing",
        monetary("sum", "eq", 10),
        [event("a", ORDER, payload='{"total": 10}'), event("a", CART, payload='{"total": 5}')],
        ["a"],
    ),
    case(
        "monetary: a nested amount",
        monetary("sum", "eq", 10, "price.amount"),
        [event("a", payload='{"price": {"amount": 4}}'), event("a", payload='{"price": {"amount": "6"}}')],
        ["a"],
    ),
    case(
        "monetary: a dotted key is not the nested path",
        monetary("sum", "eq", 4, "price\\.amount"),
        [event("a", payload='{"price": {"amount": 100}, "price.amount": 4}')],
        ["a"],
    ),
)

EVENT_PROPERTY = (
    case(
        "event_property: the latest event decides",
        event_property("plan", "eq", value="gold"),
        [
            event("now gold", ORDER, 2 * DAY, '{"plan": "silver"}'),
            event("now gold", ORDER, DAY, '{"plan": "gold"}'),
            event("was gold", ORDER, 2 * DAY, '{"plan": "gold"}'),
            event("was gold", ORDER, DAY, '{"plan": "silver"}'),
        ],
        ["now gold"],
    ),
    case(
        "event_property: the latest event without the property has it missing",
        event_property("plan", "is_set"),
        [event("a", ORDER, 2 * DAY, '{"plan": "gold"}'), event("a", ORDER, DAY, "{}")],
        NOBODY,
    ),
    case(
        "event_property: complements are true of a missing property",
        event_property("plan", "neq", value="gold"),
        [event("a", ORDER, 2 * DAY, '{"plan": "gold"}'), event("a", ORDER, DAY, "{}")],
        ["a"],
    ),
    *(
        case(
            f"event_property: {test['operator']} is false without such an event",
            {"type": "event_property", "event_type": ORDER, "property": "plan", **test},
            [
                event("viewer", VIEW, payload="{}"),
                event("future", ORDER, -DAY),
                event("future", VIEW),
                event("buyer"),
            ],
            ["buyer"],
        )
        for test in (
            {"operator": "neq", "value": "gold"},
            {"operator": "not_in", "value": ["gold"]},
            {"operator": "not_between", "value": 1, "value2": 2},
            {"operator": "does_not_contain", "value": "gold"},
            {"operator": "is_not_set"},
        )
    ),
    case(
        "event_property: a future event is not the latest yet",
        event_property("plan", "eq", value="gold"),
        [event("a", ORDER, DAY, '{"plan": "gold"}'), event("a", ORDER, -MS, '{"plan": "silver"}')],
        ["a"],
    ),
    case(
        "event_property: later events of other types do not matter",
        event_property("plan", "eq", value="gold"),
        [event("a", ORDER, DAY, '{"plan": "gold"}'), event("a", VIEW, HOUR, '{"plan": "silver"}')],
        ["a"],
    ),
    case(
        "event_property: identifications are events too",
        event_property("plan", "eq", IDENTIFIED, value="gold"),
        [identified("a", payload='{"plan": "gold"}')],
        ["a"],
    ),
)

_PEOPLE = [
    event("buyer", ORDER, DAY),
    event("viewer", VIEW, DAY),
    event("both", ORDER, 9 * DAY),
    event("both", VIEW, DAY),
]
_BUYERS = all_of(event_count("gte", 1))

MEMBERSHIP = (
    case(
        "segment_membership: in",
        membership("buyers"),
        _PEOPLE,
        ["buyer", "both"],
        segments={"buyers": _BUYERS},
    ),
    case(
        "segment_membership: not_in selects from all users",
        membership("buyers", "not_in"),
        _PEOPLE,
        ["viewer"],
        segments={"buyers": _BUYERS},
    ),
    case(
        "segment_membership: at the same T",
        all_of(membership("recent"), event_count("gte", 1)),
        _PEOPLE,
        ["buyer"],
        segments={"recent": all_of(event_count("gte", 1, window_days=7))},
    ),
    case(
        "segment_membership: through another segment",
        membership("recent_buyers"),
        _PEOPLE,
        ["buyer"],
        segments={
            "buyers": _BUYERS,
            "recent_buyers": all_of(membership("buyers"), recency("lt", 7)),
        },
    ),
    case(
        "segment_membership: of an empty segment",
        any_of(membership("nobody"), membership("nobody", "not_in")),
        _PEOPLE,
        ["buyer", "viewer", "both"],
        segments={"nobody": all_of(event_count("gt", 99))},
    ),
    case(
        "segment_membership: not in is not_in",
        all_of(negated(membership("buyers"))),
        _PEOPLE,
        ["viewer"],
        segments={"buyers": _BUYERS},
    ),
)


def _wrapped(condition: Document, levels: int) -> Document:
    for _ in range(levels):
        condition = group("AND", condition)
    return condition


_BOUGHT, _VIEWED = event_count("gte", 1), event_count("gte", 1, VIEW)

LOGIC = (
    case("logic: AND", all_of(_BOUGHT, _VIEWED), _PEOPLE, ["both"]),
    case("logic: OR", any_of(_BOUGHT, recency("gt", 30, VIEW)), _PEOPLE, ["buyer", "both"]),
    case(
        "logic: one condition, AND and OR alike",
        group("OR", group("AND", _BOUGHT)),
        _PEOPLE,
        ["buyer", "both"],
    ),
    case("logic: not", negated(_BOUGHT), _PEOPLE, ["viewer"]),
    case("logic: not not", negated(negated(_BOUGHT)), _PEOPLE, ["buyer", "both"]),
    case(
        "logic: not of a group (De Morgan)",
        negated(group("AND", _BOUGHT, _VIEWED)),
        _PEOPLE,
        ["buyer", "viewer"],
    ),
    case(
        "logic: not of an OR",
        negated(group("OR", _BOUGHT, _VIEWED)),
        [*_PEOPLE, event("idle", CART)],
        ["idle"],
    ),
    case(
        "logic: groups bind before the outer logic",
        any_of(group("AND", _BOUGHT, _VIEWED), group("AND", negated(_BOUGHT), _VIEWED)),
        _PEOPLE,
        ["viewer", "both"],
    ),
    case(
        "logic: nothing is unknown: not of a missing amount is true",
        negated(monetary("sum", "gte", 500)),
        [*_PEOPLE, *amounts("rich", "500")],
        ["buyer", "viewer", "both"],
    ),
    case(
        "logic: not of a comparison with a missing property is true",
        negated(user_property("age", "gt", value=18)),
        [
            identified("adult", payload='{"age": 30}'),
            identified("child", payload='{"age": 3}'),
            event("unknown"),
        ],
        ["child", "unknown"],
    ),
    case(
        "logic: the same condition twice",
        all_of(_BOUGHT, _BOUGHT, negated(negated(_BOUGHT))),
        _PEOPLE,
        ["buyer", "both"],
    ),
    case("logic: seven groups deep", _wrapped(_BOUGHT, 6), _PEOPLE, ["buyer", "both"]),
    case(
        "logic: several windows on one event type",
        all_of(event_count("gte", 1), event_count("eq", 0, window_days=7), event_count("eq", 1, window_days=9.5)),
        _PEOPLE,
        ["both"],
    ),
    case(
        "logic: all seven public types at once",
        all_of(
            event_count("gte", 2),
            recency("lt", 30),
            monetary("avg", "gte", 10),
            event_property("coupon", "is_not_set"),
            user_property("plan", "in", value=["gold", "silver"]),
            sequence(VIEW, ORDER),
            membership("blocked", "not_in"),
        ),
        [
            e
            for user, plan in (("yes", "gold"), ("blocked", "silver"), ("bronze", "bronze"))
            for e in (
                identified(user, 9 * DAY, {"plan": plan, "blocked": user == "blocked"}),
                event(user, VIEW, 8 * DAY),
                event(user, ORDER, 3 * DAY, {"total": 5, "coupon": "X"}),
                event(user, ORDER, 2 * DAY, {"total": "15"}),
            )
        ],
        ["yes"],
        at=AT,
        segments={"blocked": all_of(user_property("blocked", "is_true"))},
    ),
)

CONDITION_CASES = (*MONETARY, *EVENT_PROPERTY, *MEMBERSHIP, *LOGIC)
