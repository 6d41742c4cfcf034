"""Cases for section 1 (which users, which events, in which order), for counts and for recency."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import (
    AT,
    DAY,
    HOUR,
    MS,
    ORDER,
    VIEW,
    Case,
    all_of,
    any_of,
    case,
    event,
    event_count,
    event_property,
    identified,
    monetary,
    negated,
    recency,
    sequence,
    user_property,
)

NOBODY: tuple[str, ...] = ()

UNIVERSE = (
    case(
        "universe: a user with no matching event counts zero",
        event_count("eq", 0),
        [event("viewer", VIEW), event("buyer", ORDER)],
        ["viewer"],
    ),
    case(
        "universe: an identification alone makes a user",
        event_count("eq", 0),
        [identified("known")],
        ["known"],
    ),
    case(
        "universe: a user whose every event is in the future is not there yet",
        event_count("eq", 0),
        [event("tomorrow", VIEW, -DAY), event("now", VIEW, 0 * DAY), event("next ms", VIEW, -MS)],
        ["now"],
    ),
    case("universe: no events, no users", event_count("eq", 0), [], NOBODY),
    case(
        "universe: an evaluation in the past does not know later events",
        event_count("eq", 1),
        [event("a", ORDER, 3 * DAY), event("a", ORDER, DAY), event("b", ORDER, DAY)],
        ["a"],
        at=AT - 2 * DAY,
    ),
    case(
        "universe: an old user without recent events stays in it",
        event_count("eq", 0, window_days=1),
        [event("old", ORDER, 2000 * DAY), event("new", ORDER)],
        ["old"],
    ),
    case(
        "universe: user ids are told apart exactly",
        event_count("gte", 2),
        [
            event("Ann"),
            event("ann"),
            event("ann "),
            event("Zoë"),
            event("Zoë"),
            event("o'neil"),
            event("o'neil"),
        ],
        ["Zoë", "o'neil"],
    ),
)

DUPLICATES = (
    case(
        "duplicates: an event delivered three times is one event",
        event_count("eq", 1),
        [event("a", event_id=7, received=n) for n in range(3)],
        ["a"],
    ),
    case(
        "duplicates: equal content with different ids is two events",
        event_count("eq", 2),
        [event("a", event_id=7), event("a", event_id=8)],
        ["a"],
    ),
    case(
        "duplicates: an amount delivered twice is summed once",
        monetary("sum", "eq", 10),
        [event("a", payload='{"total": 10}', event_id=7, received=n) for n in range(2)],
        ["a"],
    ),
    case(
        "duplicates: the first delivery's payload stays",
        monetary("sum", "eq", 10),
        [
            event("a", payload='{"total": 10}', event_id=7, received=1),
            event("a", payload='{"total": 99}', event_id=7, received=2),
        ],
        ["a"],
    ),
    case(
        "duplicates: the first delivery is the one received first, whichever was written first",
        monetary("sum", "eq", 10),
        [
            event("a", payload='{"total": 99}', event_id=7, received=2),
            event("a", payload='{"total": 10}', event_id=7, received=1),
        ],
        ["a"],
    ),
    case(
        "duplicates: a redelivery does not make an event later among its equals",
        event_property("n", "eq", value=2),
        [
            event("a", payload='{"n": 1}', event_id=1, received=1),
            event("a", payload='{"n": 2}', event_id=2, received=2),
            event("a", payload='{"n": 1}', event_id=1, received=3),
        ],
        ["a"],
    ),
    case(
        "duplicates: a redelivered identification changes nothing",
        user_property("plan", "eq", value="gold"),
        [
            identified("a", payload='{"plan": "gold"}', event_id=7, received=1),
            identified("a", payload='{"plan": "silver"}', event_id=7, received=2),
        ],
        ["a"],
    ),
    case(
        "duplicates: one id used by two users is two events",
        event_count("eq", 1),
        [event("a", event_id=7), event("b", event_id=7)],
        ["a", "b"],
    ),
    case(
        "duplicates: one id on two event types is two events",
        all_of(event_count("eq", 1), event_count("eq", 1, VIEW)),
        [event("a", event_id=7), event("a", VIEW, event_id=7)],
        ["a"],
    ),
    case(
        "duplicates: one id at two instants is two events",
        event_count("eq", 2),
        [event("a", ORDER, HOUR, event_id=7), event("a", ORDER, 2 * HOUR, event_id=7)],
        ["a"],
    ),
    case(
        "duplicates: a redelivery does not repeat a step of a sequence",
        sequence(ORDER, ORDER),
        [event("a", event_id=7), event("a", event_id=7, received=1)],
        NOBODY,
    ),
)

ORDERING = (
    case(
        "order: the latest event is the latest to occur, not to arrive",
        event_property("n", "eq", value=2),
        [
            event("a", ORDER, HOUR, '{"n": 2}', received=1),
            event("a", ORDER, 2 * HOUR, '{"n": 1}', received=9),
        ],
        ["a"],
    ),
    case(
        "order: at one instant the one received later is later",
        event_property("n", "eq", value=2),
        [
            event("a", ORDER, HOUR, '{"n": 2}', event_id=1, received=2),
            event("a", ORDER, HOUR, '{"n": 1}', event_id=2, received=1),
        ],
        ["a"],
    ),
    case(
        "order: at one instant, received together, the greater id is later",
        event_property("n", "eq", value=2),
        [
            event("a", ORDER, HOUR, '{"n": 2}', event_id=2),
            event("a", ORDER, HOUR, '{"n": 1}', event_id=1),
        ],
        ["a"],
    ),
    case(
        "order: ids are ordered as they are written, first half first",
        event_property("n", "eq", value=2),
        [
            event("a", ORDER, HOUR, '{"n": 2}', event_id=(2 << 64) | 1),
            event("a", ORDER, HOUR, '{"n": 1}', event_id=(1 << 64) | 2),
        ],
        ["a"],
    ),
    case(
        "order: one millisecond decides",
        event_property("n", "eq", value=2),
        [
            event("a", ORDER, HOUR, '{"n": 2}', event_id=1, received=1),
            event("a", ORDER, HOUR + MS, '{"n": 1}', event_id=2, received=2),
        ],
        ["a"],
    ),
)

USER_PROPERTIES = (
    case(
        "user properties: the latest identification counts",
        user_property("plan", "eq", value="gold"),
        [
            identified("up", 2 * HOUR, '{"plan": "silver"}'),
            identified("up", HOUR, '{"plan": "gold"}'),
            identified("down", 2 * HOUR, '{"plan": "gold"}'),
            identified("down", HOUR, '{"plan": "silver"}'),
        ],
        ["up"],
    ),
    case(
        "user properties: an identification replaces the earlier one whole",
        user_property("plan", "is_not_set"),
        [identified("a", 2 * HOUR, '{"plan": "gold"}'), identified("a", HOUR, '{"city": "Bern"}')],
        ["a"],
    ),
    case(
        "user properties: an empty identification empties them",
        user_property("plan", "is_set"),
        [identified("a", 2 * HOUR, '{"plan": "gold"}'), identified("a", HOUR, "{}")],
        NOBODY,
    ),
    case(
        "user properties: a late identification of an earlier time changes nothing",
        user_property("plan", "eq", value="gold"),
        [
            identified("a", HOUR, '{"plan": "gold"}', received=1),
            identified("a", 2 * HOUR, '{"plan": "silver"}', received=2),
        ],
        ["a"],
    ),
    case(
        "user properties: a future identification does not count yet",
        user_property("plan", "eq", value="gold"),
        [identified("a", HOUR, '{"plan": "gold"}'), identified("a", -MS, '{"plan": "silver"}')],
        ["a"],
    ),
    case(
        "user properties: of two identifications at one instant the one received later counts",
        user_property("plan", "eq", value="gold"),
        [
            identified("a", HOUR, '{"plan": "gold"}', event_id=1, received=2),
            identified("a", HOUR, '{"plan": "silver"}', event_id=2, received=1),
        ],
        ["a"],
    ),
    case(
        "user properties: other events' payloads are none of them",
        user_property("plan", "is_set"),
        [event("a", ORDER, payload='{"plan": "gold"}')],
        NOBODY,
    ),
    case(
        "user properties: of a user never identified every property is missing",
        any_of(user_property("plan", "neq", value="gold"), user_property("plan", "is_set")),
        [event("a", VIEW)],
        ["a"],
    ),
)


def _counts() -> list[Case]:
    """``event_count`` against 2 of users with none to three orders."""
    orders = [
        event("none", VIEW),
        event("one"),
        *(event("two") for _ in range(2)),
        *(event("three") for _ in range(3)),
    ]
    expected = {
        "eq": ["two"],
        "neq": ["none", "one", "three"],
        "gt": ["three"],
        "gte": ["two", "three"],
        "lt": ["none", "one"],
        "lte": ["none", "one", "two"],
    }
    return [
        case(f"event_count: {operator} 2", event_count(operator, 2), orders, who) for operator, who in expected.items()
    ]


_AROUND_A_WEEK = [
    event("exactly", ORDER, 7 * DAY),
    event("1 ms inside", ORDER, 7 * DAY - MS),
    event("1 ms outside", ORDER, 7 * DAY + MS),
    event("now", ORDER, 0 * DAY),
    event("1 ms ahead", ORDER, -MS),
    event("1 ms ahead", VIEW, DAY),
]

EVENT_COUNT = (
    *_counts(),
    case(
        "event_count: neq selects users with none too",
        event_count("neq", 1),
        [event("none", VIEW), event("one")],
        ["none"],
    ),
    case(
        "event_count: gte 0 is everybody",
        event_count("gte", 0),
        [event("none", VIEW), event("one")],
        ["none", "one"],
    ),
    case("event_count: lt 0 is nobody", event_count("lt", 0), [event("none", VIEW), event("one")], NOBODY),
    case(
        "event_count: other event types do not count, not even by prefix or case",
        event_count("eq", 0),
        [event("a", "order_placed_again"), event("b", "Order_Placed"), event("c", "order")],
        ["a", "b", "c"],
    ),
    case(
        "window_days: T - N*24h itself is outside, T inside, the future not counted",
        event_count("gte", 1, window_days=7),
        _AROUND_A_WEEK,
        ["1 ms inside", "now"],
    ),
    case(
        "window_days: a zero count in the window",
        event_count("eq", 0, window_days=7),
        _AROUND_A_WEEK,
        ["exactly", "1 ms outside", "1 ms ahead"],
    ),
    case(
        "window_days: half a day is twelve hours",
        event_count("eq", 1, window_days=0.5),
        [event("in", ORDER, 12 * HOUR - MS), event("out", ORDER, 12 * HOUR)],
        ["in"],
    ),
    case(
        "window_days: a fraction is rounded to the nearest millisecond",
        # 0.3333333 days are 28,799,997.12 ms.
        event_count("eq", 1, window_days=0.3333333),
        [event("in", ORDER, 28_799_996 * MS), event("out", ORDER, 28_799_997 * MS)],
        ["in"],
    ),
    case(
        "window_days: a tenth of a day is exact",
        event_count("eq", 1, window_days=0.1),
        [event("in", ORDER, 8_640_000 * MS - MS), event("out", ORDER, 8_640_000 * MS)],
        ["in"],
    ),
    case(
        "window_days: ten years",
        event_count("eq", 1, window_days=3650),
        [event("in", ORDER, 3650 * DAY - MS), event("out", ORDER, 3650 * DAY)],
        ["in"],
    ),
    case(
        "window_days: rolling, not by calendar day",
        event_count("eq", 1, window_days=1),
        [event("yesterday", ORDER, 23 * HOUR), event("today", ORDER, HOUR)],
        ["yesterday", "today"],
    ),
    case(
        "event_count: an event counts from its own instant on",
        event_count("eq", 1),
        [event("a", ORDER, -DAY), event("a", VIEW, DAY)],
        ["a"],
        at=AT + DAY,
    ),
)

_RECENCIES = [
    event("at 7 days less 1 ms", ORDER, 7 * DAY - MS),
    event("at 7 days", ORDER, 7 * DAY),
    event("at 7 days and 1 ms", ORDER, 7 * DAY + MS),
    event("at 8 days less 1 ms", ORDER, 8 * DAY - MS),
    event("at 8 days", ORDER, 8 * DAY),
    event("now", ORDER, 0 * DAY),
    event("never", VIEW, 7 * DAY),
]

RECENCY = (
    case(
        "recency: gt is strictly older than N*24h",
        recency("gt", 7),
        _RECENCIES,
        ["at 7 days and 1 ms", "at 8 days less 1 ms", "at 8 days"],
    ),
    case(
        "recency: lt is strictly younger than N*24h",
        recency("lt", 7),
        _RECENCIES,
        ["at 7 days less 1 ms", "now"],
    ),
    case(
        "recency: eq is from N whole days up to N + 1",
        recency("eq", 7),
        _RECENCIES,
        ["at 7 days", "at 7 days and 1 ms", "at 8 days less 1 ms"],
    ),
    case(
        "recency: eq knows the day before",
        recency("eq", 6),
        _RECENCIES,
        ["at 7 days less 1 ms"],
    ),
    case(
        "recency: a user who never fired the event matches no operator",
        any_of(recency("gt", 1), recency("lt", 3650), recency("eq", 7)),
        [event("never", VIEW, 7 * DAY), event("future", ORDER, -DAY), event("future", VIEW)],
        NOBODY,
    ),
    case(
        "recency: not gt selects the never too",
        negated(recency("gt", 7)),
        [event("never", VIEW), event("recent", ORDER), event("old", ORDER, 8 * DAY)],
        ["never", "recent"],
    ),
    case(
        "recency: the latest event decides",
        recency("gt", 7),
        [event("came back", ORDER, 9 * DAY), event("came back", ORDER, DAY), event("gone", ORDER, 9 * DAY)],
        ["gone"],
    ),
    case(
        "recency: a late event of an earlier time does not make a user older",
        recency("lt", 7),
        [event("a", ORDER, DAY, received=1), event("a", ORDER, 9 * DAY, received=2)],
        ["a"],
    ),
    case(
        "recency: a future event is not the latest yet",
        recency("gt", 7),
        [event("a", ORDER, 9 * DAY), event("a", ORDER, -MS)],
        ["a"],
    ),
    case(
        "recency: half days",
        recency("gt", 1.5),
        [event("in", ORDER, 36 * HOUR + MS), event("out", ORDER, 36 * HOUR)],
        ["in"],
    ),
    case(
        "recency: other event types do not refresh it",
        recency("gt", 7),
        [event("a", ORDER, 9 * DAY), event("a", VIEW, HOUR)],
        ["a"],
    ),
)


EVENT_CASES = (*UNIVERSE, *DUPLICATES, *ORDERING, *USER_PROPERTIES, *EVENT_COUNT, *RECENCY)
