"""Every property test of the vocabulary against every value of it: one tenant, one computation.

Generated histories are about time, arrival and order; they meet only a few values each. The grid meets all. The tests
beyond the public ones, and some of these, are also asked as filters of events (``where``).

    events, definitions = grid_events(), grid_definitions()
    expected = members_of_all(definitions, events, AT)
"""

from __future__ import annotations

from typing import Any

from segops_orchestration_tests.oracle.case import (
    IDENTIFIED,
    ORDER,
    VIEW,
    all_of,
    event,
    event_count,
    event_property,
    identified,
    monetary,
    user_property,
)
from segops_orchestration_tests.oracle.evaluate import Event, SegmentKey
from segops_orchestration_tests.oracle.vocabulary import EXTENDED_TESTS, NUMERIC_OPERATORS, PROPERTY_TESTS, TEXTS

_METRICS = ("sum", "avg", "max", "min", "median", "count_distinct")
_AS_FILTERS = (*PROPERTY_TESTS[::9], *EXTENDED_TESTS)


def grid_events() -> tuple[Event, ...]:
    """A user for each value, holding it on an order and on an identification; and one without either."""
    events = [event("nothing", VIEW)]
    for key, texts in TEXTS.items():
        for text in dict.fromkeys(texts):
            user, payload = f"{key}: {text}", f'{{"{key}": {text}}}'
            events += [event(user, ORDER, payload=payload), identified(user, payload=payload)]
    return tuple(events)


def grid_definitions() -> dict[SegmentKey, dict[str, Any]]:
    """A segment for each property test, of users and of orders, and for each comparison of an amount."""
    found: dict[SegmentKey, dict[str, Any]] = {}
    for index, test in enumerate((*PROPERTY_TESTS, *EXTENDED_TESTS)):
        found[f"user-{index}"] = all_of(user_property(**_worded(test)))
        found[f"event-{index}"] = all_of(event_property(event_type=(ORDER, IDENTIFIED)[index % 2], **_worded(test)))
    for index, test in enumerate(_AS_FILTERS):
        found[f"filter-{index}"] = all_of(event_count("eq", 1, where=[test]))
    amounts = ((metric, name, value) for metric in _METRICS for name in NUMERIC_OPERATORS for value in (0, 0.1, 10))
    for metric, name, value in amounts:
        for path in ("total", "odd"):
            found[f"amount-{len(found)}"] = all_of(monetary(metric, name, value, path))
    return found


def _worded(test: dict[str, Any]) -> dict[str, Any]:
    return {"path": test["property"], **{name: value for name, value in test.items() if name != "property"}}
