"""Cases for sequences (section 3.1): steps, ties, windows, and what strict allows in between."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import (
    CART,
    DAY,
    HOUR,
    MS,
    ORDER,
    VIEW,
    all_of,
    case,
    event,
    identified,
    sequence,
)

NOBODY: tuple[str, ...] = ()

SEQUENCE = (
    case(
        "event_sequence: in this order",
        sequence(VIEW, ORDER),
        [
            event("ordered", VIEW, 2 * HOUR),
            event("ordered", ORDER, HOUR),
            event("reversed", ORDER, 2 * HOUR),
            event("reversed", VIEW, HOUR),
            event("half", VIEW, 2 * HOUR),
        ],
        ["ordered"],
    ),
    case(
        "event_sequence: each step strictly later; one millisecond is enough",
        sequence(VIEW, ORDER),
        [
            event("same instant", VIEW, HOUR),
            event("same instant", ORDER, HOUR),
            event("1 ms later", VIEW, HOUR),
            event("1 ms later", ORDER, HOUR - MS),
        ],
        ["1 ms later"],
    ),
    case(
        "event_sequence: arrival order does not make steps at one instant later",
        sequence(VIEW, ORDER),
        [event("a", VIEW, HOUR, received=1), event("a", ORDER, HOUR, received=2)],
        NOBODY,
    ),
    case(
        "event_sequence: time order counts, not the order of arrival",
        sequence(VIEW, ORDER),
        [event("a", ORDER, HOUR, received=1), event("a", VIEW, 2 * HOUR, received=2)],
        ["a"],
    ),
    case(
        "event_sequence: a repeated type needs two events",
        sequence(ORDER, ORDER),
        [event("once", ORDER), event("twice", ORDER, HOUR), event("twice", ORDER, 2 * HOUR)],
        ["twice"],
    ),
    case(
        "event_sequence: two equal events at one instant are no repetition",
        sequence(ORDER, ORDER),
        [event("a", ORDER, HOUR), event("a", ORDER, HOUR)],
        NOBODY,
    ),
    case(
        "event_sequence: other events may lie between",
        sequence(VIEW, CART, ORDER),
        [
            event("a", VIEW, 5 * HOUR),
            event("a", ORDER, 4 * HOUR),
            event("a", CART, 3 * HOUR),
            event("a", VIEW, 2 * HOUR),
            event("a", ORDER, HOUR),
        ],
        ["a"],
    ),
    case(
        "event_sequence: there and back",
        sequence(VIEW, ORDER, VIEW),
        [
            event("a", VIEW, 3 * HOUR),
            event("a", ORDER, 2 * HOUR),
            event("a", VIEW, HOUR),
            event("b", VIEW, 3 * HOUR),
            event("b", VIEW, 2 * HOUR),
            event("b", ORDER, HOUR),
        ],
        ["a"],
    ),
    case(
        "event_sequence: three steps over two instants are none",
        sequence(VIEW, CART, ORDER),
        [event("a", VIEW, 2 * HOUR), event("a", CART, HOUR), event("a", ORDER, HOUR)],
        NOBODY,
    ),
    case(
        "event_sequence: the middle step is found between ties",
        sequence(VIEW, CART, ORDER),
        [
            event("a", VIEW, 2 * HOUR),
            event("a", CART, 2 * HOUR),
            event("a", CART, HOUR),
            event("a", ORDER, HOUR),
            event("a", ORDER, HOUR - MS),
        ],
        ["a"],
    ),
    case(
        "event_sequence: the steps of several users do not mix",
        sequence(VIEW, ORDER),
        [event("a", VIEW, 2 * HOUR), event("b", ORDER, HOUR)],
        NOBODY,
    ),
    case(
        "event_sequence: a future step does not count yet",
        sequence(VIEW, ORDER),
        [event("a", VIEW, HOUR), event("a", ORDER, -MS), event("b", VIEW, HOUR), event("b", ORDER, 0 * HOUR)],
        ["b"],
    ),
    case(
        "event_sequence: the whole of it lies in the window",
        sequence(VIEW, ORDER, window_days=7),
        [
            event("out", VIEW, 7 * DAY),
            event("out", ORDER, HOUR),
            event("in", VIEW, 7 * DAY - MS),
            event("in", ORDER, HOUR),
            event("out and in", VIEW, 8 * DAY),
            event("out and in", VIEW, 2 * DAY),
            event("out and in", ORDER, DAY),
        ],
        ["in", "out and in"],
    ),
    case(
        "event_sequence: without a window, however long ago",
        sequence(VIEW, ORDER),
        [event("a", VIEW, 5000 * DAY), event("a", ORDER, 100 * DAY)],
        ["a"],
    ),
    case(
        "event_sequence: ten steps",
        sequence(*[VIEW, ORDER] * 5),
        [
            event(user, (VIEW, ORDER)[step % 2], (10 - step) * HOUR)
            for user, steps in (("ten", 10), ("nine", 9))
            for step in range(steps)
        ],
        ["ten"],
    ),
)

STRICT = (
    case(
        "strict: nothing of any type between two steps",
        sequence(VIEW, ORDER, strict=True),
        [
            event("straight", VIEW, 3 * HOUR),
            event("straight", ORDER, HOUR),
            event("detour", VIEW, 3 * HOUR),
            event("detour", CART, 2 * HOUR),
            event("detour", ORDER, HOUR),
            event("identified between", VIEW, 3 * HOUR),
            identified("identified between", 2 * HOUR),
            event("identified between", ORDER, HOUR),
        ],
        ["straight"],
    ),
    case(
        "strict: false is the default",
        all_of(sequence(VIEW, ORDER), sequence(VIEW, ORDER, strict=False)),
        [event("a", VIEW, 3 * HOUR), event("a", CART, 2 * HOUR), event("a", ORDER, HOUR)],
        ["a"],
    ),
    case(
        "strict: a later start may do",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", VIEW, 4 * HOUR),
            event("a", CART, 3 * HOUR),
            event("a", VIEW, 2 * HOUR),
            event("a", ORDER, HOUR),
        ],
        ["a"],
    ),
    case(
        "strict: an earlier sequence may do",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", VIEW, 4 * HOUR),
            event("a", ORDER, 3 * HOUR),
            event("a", VIEW, 2 * HOUR),
            event("a", CART, HOUR),
        ],
        ["a"],
    ),
    case(
        "strict: a step again is an event between",
        sequence(VIEW, CART, ORDER, strict=True),
        [
            event("a", VIEW, 4 * HOUR),
            event("a", CART, 3 * HOUR),
            event("a", CART, 2 * HOUR),
            event("a", ORDER, HOUR),
        ],
        NOBODY,
    ),
    case(
        "strict: events before the first and after the last step do not matter",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", CART, 4 * HOUR),
            event("a", VIEW, 3 * HOUR),
            event("a", ORDER, 2 * HOUR),
            event("a", CART, HOUR),
        ],
        ["a"],
    ),
    case(
        "strict: an event at the instant of a step lies between if its order says so",
        sequence(VIEW, ORDER, strict=True),
        [
            event("before", CART, 2 * HOUR, event_id=1),
            event("before", VIEW, 2 * HOUR, event_id=2),
            event("before", ORDER, HOUR, event_id=3),
            event("between", VIEW, 2 * HOUR, event_id=1),
            event("between", CART, 2 * HOUR, event_id=2),
            event("between", ORDER, HOUR, event_id=3),
            event("between, at the end", VIEW, 2 * HOUR, event_id=1),
            event("between, at the end", CART, HOUR, event_id=2),
            event("between, at the end", ORDER, HOUR, event_id=3),
            event("after", VIEW, 2 * HOUR, event_id=1),
            event("after", ORDER, HOUR, event_id=2),
            event("after", CART, HOUR, event_id=3),
        ],
        ["before", "after"],
    ),
    case(
        "strict: of steps at one instant the one received later stands nearer",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", VIEW, 2 * HOUR, event_id=1, received=2),
            event("a", CART, 2 * HOUR, event_id=2, received=1),
            event("a", ORDER, HOUR),
        ],
        ["a"],
    ),
    case(
        "strict: neighbours at one instant are no steps",
        sequence(VIEW, ORDER, strict=True),
        [event("a", VIEW, HOUR, event_id=1), event("a", ORDER, HOUR, event_id=2)],
        NOBODY,
    ),
    case(
        "strict: a redelivery is no event between",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", VIEW, 2 * HOUR, event_id=1, received=1),
            event("a", VIEW, 2 * HOUR, event_id=1, received=3),
            event("a", ORDER, HOUR, event_id=2, received=2),
        ],
        ["a"],
    ),
    case(
        "strict: another user's event is not between",
        sequence(VIEW, ORDER, strict=True),
        [event("a", VIEW, 3 * HOUR), event("b", CART, 2 * HOUR), event("a", ORDER, HOUR)],
        ["a"],
    ),
    case(
        "strict: inside the window",
        sequence(VIEW, ORDER, window_days=1, strict=True),
        [
            event("out", VIEW, DAY),
            event("out", ORDER, HOUR),
            event("in", CART, DAY),
            event("in", VIEW, DAY - MS),
            event("in", ORDER, HOUR),
        ],
        ["in"],
    ),
    case(
        "strict: a late event falls between and ends it",
        sequence(VIEW, ORDER, strict=True),
        [
            event("a", VIEW, 3 * HOUR, received=1),
            event("a", ORDER, HOUR, received=1),
            event("a", CART, 2 * HOUR, received=9),
        ],
        NOBODY,
    ),
)

SEQUENCE_CASES = (*SEQUENCE, *STRICT)
