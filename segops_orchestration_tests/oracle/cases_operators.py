"""Cases for section 3.2: every property operator against every kind of value, on events and on users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from segops_orchestration_tests.oracle.case import (
    ORDER,
    VIEW,
    Case,
    case,
    event,
    event_property,
    identified,
    user_property,
)

PRESENT = {
    "ten": "10",
    "ten and a half": "10.5",
    "zero": "0",
    "minus three": "-3",
    "'10'": '"10"',
    "'10.0'": '"10.0"',
    "' 10'": '" 10"',
    "gold": '"gold"',
    "Gold": '"Gold"',
    "empty text": '""',
    "true": "true",
    "false": "false",
    "'true'": '"true"',
    "'false'": '"false"',
    "'TRUE'": '"TRUE"',
    "date": '"2026-01-31"',
    "midnight": '"2026-01-31T00:00:00Z"',
    "next day": '"2026-02-01"',
    "array": '[10, "gold", true]',
    "empty array": "[]",
    "object": '{"x": 10, "gold": "gold"}',
    "empty object": "{}",
}
"""Users with a property ``x``, by the JSON text that they hold."""

MISSING = {
    "null": '{"x": null}',
    "missing": '{"y": 10}',
    "no properties": "{}",
}
"""Users without one, by their payload."""

PAYLOADS = {user: '{"x": ' + text + "}" for user, text in PRESENT.items()} | MISSING

_NUMBERS_FROM_TEN = {"ten", "'10'", "'10.0'", "ten and a half"}
_NUMBERS = {*_NUMBERS_FROM_TEN, "zero", "minus three"}
_DATES = {"date", "midnight", "next day"}
_SCALARS = set(PRESENT) - {"array", "empty array", "object", "empty object"}


class Row(NamedTuple):
    """A positive operator, what it asks, and of whom it is true; ``complement`` is true of all others."""

    operator: str
    asks: dict[str, Any]
    true_of: set[str]
    complement: str | None = None


ROWS = (
    Row("eq", {"value": 10}, {"ten", "'10'", "'10.0'"}, "neq"),
    Row("eq", {"value": "10"}, {"ten", "'10'", "'10.0'"}, "neq"),
    Row("eq", {"value": 10.5}, {"ten and a half"}, "neq"),
    Row("eq", {"value": 0}, {"zero"}, "neq"),
    Row("eq", {"value": 1}, set(), "neq"),
    Row("eq", {"value": -3}, {"minus three"}, "neq"),
    Row("eq", {"value": "gold"}, {"gold"}, "neq"),
    Row("eq", {"value": ""}, {"empty text"}, "neq"),
    Row("eq", {"value": " 10"}, {"' 10'"}, "neq"),
    Row("eq", {"value": True}, {"true"}, "neq"),
    Row("eq", {"value": False}, {"false"}, "neq"),
    Row("eq", {"value": "true"}, {"'true'"}, "neq"),
    Row("eq", {"value": "null"}, set(), "neq"),
    Row("eq", {"value": "[]"}, set(), "neq"),
    Row("eq", {"value": "2026-01-31"}, {"date"}, "neq"),
    Row("gt", {"value": 10}, {"ten and a half"}),
    Row("gt", {"value": "9"}, _NUMBERS_FROM_TEN),
    Row("gt", {"value": -5}, _NUMBERS),
    Row("gte", {"value": 10}, _NUMBERS_FROM_TEN),
    Row("gte", {"value": "10.0"}, _NUMBERS_FROM_TEN),
    Row("lt", {"value": 10}, {"zero", "minus three"}),
    Row("lt", {"value": 1e9}, _NUMBERS),
    Row("lte", {"value": 10}, _NUMBERS - {"ten and a half"}),
    Row("lte", {"value": -3}, {"minus three"}),
    Row("gt", {"value": "2026-01-30"}, _DATES),
    Row("gt", {"value": "2026-01-31"}, {"next day"}),
    Row("gte", {"value": "2026-01-31"}, _DATES),
    Row("gte", {"value": "2026-01-31T01:00:00+01:00"}, _DATES),
    Row("lt", {"value": "2026-02-01"}, {"date", "midnight"}),
    Row("lt", {"value": "2026-01-31 00:00:00.001"}, {"date", "midnight"}),
    Row("lte", {"value": "2026-01-31T00:00"}, {"date", "midnight"}),
    Row("between", {"value": 0, "value2": 10}, {"zero", "ten", "'10'", "'10.0'"}, "not_between"),
    Row("between", {"value": "10", "value2": "10.5"}, _NUMBERS_FROM_TEN, "not_between"),
    Row("between", {"value": 11, "value2": 12}, set(), "not_between"),
    Row("between", {"value": "2026-01-31", "value2": "2026-02-01"}, _DATES, "not_between"),
    Row(
        "between",
        {"value": "2026-01-30", "value2": "2026-01-31T00:00:00Z"},
        {"date", "midnight"},
        "not_between",
    ),
    Row("in", {"value": [10]}, {"ten", "'10'", "'10.0'"}, "not_in"),
    Row("in", {"value": ["10", "gold"]}, {"ten", "'10'", "'10.0'", "gold"}, "not_in"),
    Row("in", {"value": [True, "Gold", -3]}, {"true", "Gold", "minus three"}, "not_in"),
    Row("in", {"value": [False, ""]}, {"false", "empty text"}, "not_in"),
    Row("in", {"value": ["true", "2026-01-31"]}, {"'true'", "date"}, "not_in"),
    Row("in", {"value": ["platinum", 99]}, set(), "not_in"),
    Row("contains", {"value": "gold"}, {"gold", "array"}, "does_not_contain"),
    Row("contains", {"value": "ol"}, {"gold", "Gold"}, "does_not_contain"),
    Row("contains", {"value": "G"}, {"Gold"}, "does_not_contain"),
    Row(
        "contains",
        {"value": "10"},
        {"ten", "ten and a half", "'10'", "'10.0'", "' 10'", "array"},
        "does_not_contain",
    ),
    Row("contains", {"value": "ru"}, {"true", "'true'"}, "does_not_contain"),
    Row("contains", {"value": "-"}, {"minus three", *_DATES}, "does_not_contain"),
    Row("contains", {"value": "%"}, set(), "does_not_contain"),
    Row("contains", {"value": "_"}, set(), "does_not_contain"),
    Row("contains", {"value": "{"}, set(), "does_not_contain"),
    Row("starts_with", {"value": "1"}, _NUMBERS_FROM_TEN),
    Row("starts_with", {"value": "go"}, {"gold"}),
    Row("starts_with", {"value": "t"}, {"true", "'true'"}),
    Row("starts_with", {"value": "2026-01"}, {"date", "midnight"}),
    Row("starts_with", {"value": "["}, set()),
    Row("starts_with", {"value": "gold and more"}, set()),
    Row("ends_with", {"value": "0"}, {"ten", "zero", "'10'", "'10.0'", "' 10'"}),
    Row("ends_with", {"value": "old"}, {"gold", "Gold"}),
    Row("ends_with", {"value": "e"}, {"true", "false", "'true'", "'false'"}),
    Row("ends_with", {"value": "]"}, set()),
    Row("matches_regex", {"value": "^[Gg]old$"}, {"gold", "Gold"}),
    Row("matches_regex", {"value": "l"}, {"gold", "Gold", "false", "'false'"}),
    Row("matches_regex", {"value": "^1[0-9](\\.[05])?$"}, _NUMBERS_FROM_TEN),
    Row("matches_regex", {"value": "(?i)^(true|gold)$"}, {"true", "'true'", "'TRUE'", "gold", "Gold"}),
    Row("matches_regex", {"value": "^$"}, {"empty text"}),
    Row("matches_regex", {"value": "[\\[{]"}, set()),
    Row("is_set", {}, set(PRESENT), "is_not_set"),
    Row("is_true", {}, {"true", "'true'"}),
    Row("is_false", {}, {"false", "'false'"}),
)


def _asked(asks: dict[str, Any]) -> str:
    return " ".join(repr(value) for value in asks.values())


def _cases(operator: str, asks: dict[str, Any], true_of: set[str], positive: bool) -> Iterator[Case]:
    name = f"{operator} {_asked(asks)}".strip()
    yield case(
        f"event_property: {name}, by kind of value",
        event_property("x", operator, **asks),
        [*(event(user, ORDER, payload=text) for user, text in PAYLOADS.items()), event("no event", VIEW)],
        true_of,
    )
    yield case(
        f"user_property: {name}, by kind of value",
        user_property("x", operator, **asks),
        [
            *(identified(user, payload=text) for user, text in PAYLOADS.items()),
            event("never identified", VIEW),
        ],
        true_of if positive else {*true_of, "never identified"},
    )


def _by_kind() -> Iterator[Case]:
    for row in ROWS:
        yield from _cases(row.operator, row.asks, row.true_of, positive=True)
        if row.complement is not None:
            yield from _cases(row.complement, row.asks, set(PAYLOADS) - row.true_of, positive=False)


OPERATOR_CASES = tuple(_by_kind())
