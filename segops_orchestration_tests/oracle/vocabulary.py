"""The words that generated histories are made of: few, so that events and conditions meet, and nasty.

Properties, by what they mostly hold: ``total`` amounts, ``plan`` text, ``vip`` booleans, ``address.city`` a
nested text, ``a\\.b`` a key with a dot in it (beside a nested ``a.b``), ``tags`` arrays, ``items`` arrays of
objects, ``since`` dates near the clock of histories, ``odd`` anything. Only ``total`` holds numbers in unusual
spellings (``1e3``, ``1.10``), so no text operator is ever asked about it. A fraction of more than 17 digits is
written as text: as a JSON number most readers, and ClickHouse's, make a double of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from segops_orchestration_tests.oracle.values import COMPLEMENTS, milliseconds, parsed, satisfies, steps

START = datetime(2026, 1, 31, tzinfo=UTC)
"""Where the clock of a history begins; the dates in payloads and windows lie around it."""

EVENT_TYPES = ("order_placed", "page_viewed", "cart_updated", "context_identified")
USERS = ("u1", "u2", "o'brien", "Ünï \\ 用户", "50%", "u6 {a:String}")
WINDOW_DAYS = (1, 2, 7, 30, 0.5, 1.5, 36.25)
SLUGS = ("first", "second", "third", "fourth", "fifth")
DURATIONS: tuple[tuple[int, str], ...] = (
    (1, "second"),
    (90, "minute"),
    (36, "hour"),
    (1, "day"),
    (2, "day"),
    (7, "day"),
    (1, "week"),
    (1, "month"),
    (1, "month"),
    (2, "month"),
    (3, "month"),
    (1, "year"),
)
EXACT_UNITS = ("second", "minute", "hour", "day", "week")
CALENDAR_UNITS = ("month", "year")
NUMERIC_OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte")

_QUOTES = 'it\'s %s {x:String} \\ "quoted"'

# fmt: off
# What payloads hold: the JSON texts of values, by key.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "total": (
        # Often amounts whose sums are off in binary.
        "0.1", "0.2", "0.7", "1.1", "19.99", "33.333333", "0.1", "0.2", "0.7", "1.1", "19.99", "33.333333",
        "0.1", "0.2", "0.3", "10", '"10"', "19.99", "0", "-5.5", "0.000001", "1.10", "1e3", "33.333333",
        '"0.1"', '"10.0"', "1234567.891234", '" 10"', '"ten"', "null", "true", '""', "[10]", '{"amount": 10}',
        "0.1234567899", '"1e1"', '".5"', '"+7"', '"inf"', '"0x10"', '"123456789012345678901.5"',
    ),
    "plan": (
        '"gold"', '"Gold"', '"silver"', '"gold plus"', '""', '"10"', "10", "null", '"Zürich"',
        '"Z\\u00fcrich"', '"line\\nbreak"',
    ),
    "vip": ("true", "false", '"true"', '"false"', '"True"', "1", "0", "null"),
    "address": (
        '{"city": "Zürich"}', '{"city": "Bern"}', '{"city": null}', "{}", '"Bern"', "null", '{"city": 8000}',
    ),
    "a.b": ("1", '"x"', "null"),
    "a": ('{"b": 2}', '{"b": "x"}', '{"b": {"c": 1}}', "3"),
    "tags": (
        '["gold", "new"]', "[]", "[10, 20]", '["10"]', "[true, null]", '[["gold"]]', '"gold,new"', "null",
    ),
    "since": (
        '"2026-01-31"', '"2026-01-31T00:00:00Z"', '"2026-01-31 00:00:00"', '"2026-01-31T00:00:00.001Z"',
        '"2026-01-30T23:30:00-00:30"', '"2026-02-30"', '"2026-01-31T00:00:00.0009Z"', "1769817600",
        '"soon"', '"2026-01-30"', '"2026-01-31T02:00:00+02:00"', '"2026-01-29T12:00:00Z"',
        '"2026-02-01T12:00:00.001Z"', '"2026-02-28T12:00:00Z"', '"2026-03-01"', '"2025-12-31T12:00:00Z"',
        '"2026-02-01"', '"2026-02-02T12:00:00Z"', '"2026-02-07T00:00:00.500Z"',
        '"2025-01-31"',
    ),
    "items": (
        '[{"sku": "apple", "n": 1, "due": "2026-02-01"}, {"sku": "pear", "n": 5}]',
        '[{"sku": "pear", "n": "5", "due": "2026-01-30T12:00:00Z"}]', '[{"sku": "apple", "n": 5}]',
        '[{"sku": null, "n": 1}]', "[]", '{"sku": "apple", "n": 5}', '[1, "apple", null, ["apple"]]',
        '[{"n": 0.1}, 3, {"sku": "Zürich", "n": 0.2, "tags": ["gold", 10]}]', '[[{"sku": "apple"}]]', "null",
        '"apple"', "[{}]", '[{"sku": "apple"}, {"sku": "apple", "n": 1, "due": "2026-02-28T12:00:00Z"}]',
    ),
    "odd": (
        '"gold"', '"GOLD"', "10", '"10"', "12.5", "94107", "true", "false", '"true"', "null", '""',
        '"2026-01-31"', "[]", '["gold"]', "{}", '{"city": "Bern"}', "[null]", '"Zürich"',
        '"it\'s %s {x:String} \\\\ \\"quoted\\""',
    ),
}
_SCALARS: Mapping[str, tuple[Any, ...]] = {
    "total": (10, 0.1, "10", 0, -5.5, 19.99, 1000, 1.1, "ten", 0.5, 7),
    "plan": ("gold", "Gold", "", "10", 10, "Zürich", "gold plus"),
    "vip": (True, False, "true", 1),
    "address.city": ("Zürich", "Bern", 8000),
    "a\\.b": (1, "x"),
    "a.b": (2, "x"),
    "tags": ("gold",),
    "since": ("2026-01-31", "2026-01-31T00:00:00Z"),
    "odd": ("gold", 10, "10", True, False, "true", "", 12.5, _QUOTES),
    "items": ("apple",),
    "nowhere": ("gold", 10),
}
_NUMBERS: tuple[Any, ...] = (10, 0.1, 0, -5.5, 19.99, 1000, "10", 12.5)
_DATES: tuple[Any, ...] = (
    "2026-01-31", "2026-01-31T00:00:00.001Z", "2026-01-30T23:00:00-01:00", "2026-01-30",
)
_ORDERED: Mapping[str, tuple[Any, ...]] = {
    "total": _NUMBERS,
    "odd": _NUMBERS + _DATES,
    "since": _DATES,
    "vip": (0, 1),
    "a\\.b": (0, 1),
    "nowhere": (1,),
}
_RANGES: tuple[tuple[str, Any, Any], ...] = (
    ("total", 0.1, 10), ("total", 10, 10), ("odd", 0, 12.5), ("odd", "2026-01-30", "2026-01-31"),
    ("since", "2026-01-30", "2026-01-31"), ("since", "2026-01-31", "2026-01-31T00:00:00.001Z"),
    ("nowhere", 0, 1),
)
_TEXT_PATHS = ("plan", "vip", "address.city", "odd", "since", "nowhere", "tags")
_TEXT_PARTS: Mapping[str, tuple[str, ...]] = {
    "contains": ("gold", "ol", "10", "ru", "ü", " %s ", "941"),
    "starts_with": ("g", "G", "gold", "94", "tr", "Z", "2026-01", "12.", "it's %"),
    "ends_with": ("d", "new", "107", "e", "ürich", ".5", '"quoted"'),
    "matches_regex": (
        "^gold$", "o.d", "(?i)GOLD", "^[0-9]+$", "ü", "line.break", "^$", "gold|silver", "r[ui]",
    ),
}
# fmt: on

Test = dict[str, Any]


def _asked(path: str, operators: Iterable[str], values: Iterable[Any]) -> Iterator[Test]:
    for value in values:
        for name in operators:
            yield {"property": path, "operator": name, "value": value}


def _equalities() -> Iterator[Test]:
    for path, values in _SCALARS.items():
        yield from _asked(path, ("eq", "neq"), values)
        choices = (values[:1], values[1:3] or values, values)
        yield from _asked(path, ("in", "not_in"), (list(choice) for choice in choices))
        for name in ("is_set", "is_not_set", "is_true", "is_false"):
            yield {"property": path, "operator": name}


def _orderings() -> Iterator[Test]:
    for path, values in _ORDERED.items():
        yield from _asked(path, ("gt", "gte", "lt", "lte"), values)
    for path, low, high in _RANGES:
        for name in ("between", "not_between"):
            yield {"property": path, "operator": name, "value": low, "value2": high}


def _texts() -> Iterator[Test]:
    for path in _TEXT_PATHS:
        yield from _asked(path, ("does_not_contain",), _TEXT_PARTS["contains"])
        for name, parts in _TEXT_PARTS.items():
            yield from _asked(path, (name,), parts)
    yield from _asked("tags", ("contains", "does_not_contain"), (10,))


def by_operator(tests: Iterable[Test]) -> Mapping[str, Sequence[Test]]:
    """The tests grouped by their operators, in the order of the operators' names."""
    found: dict[str, list[Test]] = {}
    for test in sorted(tests, key=lambda test: str(test["operator"])):
        found.setdefault(test["operator"], []).append(test)
    return found


PROPERTY_TESTS: tuple[Test, ...] = (*_equalities(), *_orderings(), *_texts())
"""Every public property test that a generated condition may make."""

_DATE_PATHS = ("since", "items[].due", "odd")
# fmt: off
_ELEMENT_FILTERS: tuple[tuple[Test, ...], ...] = (
    ({"property": "sku", "operator": "eq", "value": "apple"},),
    ({"property": "sku", "operator": "eq", "value": "apple"}, {"property": "n", "operator": "eq", "value": 5}),
    ({"property": "sku", "operator": "neq", "value": "apple"},),
    ({"property": "sku", "operator": "is_not_set"}, {"property": "n", "operator": "lt", "value": 5}),
    ({"property": "n", "operator": "between", "value": 1, "value2": 5},),
    ({"property": "n", "operator": "not_between", "value": 1, "value2": 5},),
    ({"property": "due", "operator": "in_next", "value": {"last": 2, "unit": "day"}},),
    ({"property": "due", "operator": "before_last", "value": {"last": 1, "unit": "day"}},),
    ({"property": "tags[]", "operator": "eq", "value": "gold"},),
    ({"property": "tags", "operator": "contains", "value": 10}, {"property": "sku", "operator": "is_set"}),
)
# fmt: on


def _relative_dates() -> Iterator[Test]:
    spans = [{"last": amount, "unit": unit} for amount, unit in dict.fromkeys(DURATIONS)]
    for path in _DATE_PATHS:
        yield from _asked(path, ("in_last", "in_next", "before_last"), spans if path == "since" else spans[3:8:2])


def _array_steps() -> Iterator[Test]:
    for path, values in {
        "items[].sku": ("apple", "Zürich"),
        "items[].n": (5, 0.1),
        "items[].tags[]": ("gold",),
        "items[][].sku": ("apple",),
        "items[]": ("apple",),
        "tags[]": ("gold", 10, True),
        "odd[]": ("gold",),
    }.items():
        yield from _asked(path, ("eq", "neq"), values)
        yield from _asked(path, ("in", "not_in"), [list(values), ["pear", *values[:1]]])
        for name in ("is_set", "is_not_set"):
            yield {"property": path, "operator": name}
    yield from _asked("items[].n", ("gt", "gte", "lt", "lte"), (1, 5))
    for name in ("between", "not_between"):
        yield {"property": "items[].n", "operator": name, "value": 1, "value2": 5}
        yield {"property": "items[].due", "operator": name, "value": "2026-01-30", "value2": "2026-02-01"}
    for name, part in (("contains", "ppl"), ("starts_with", "ap"), ("ends_with", "r"), ("matches_regex", "^a")):
        yield {"property": "items[].sku", "operator": name, "value": part}
    yield {"property": "items[].sku", "operator": "does_not_contain", "value": "ppl"}
    yield {"property": "tags[]", "operator": "is_true"}


def _elements() -> Iterator[Test]:
    for parts in _ELEMENT_FILTERS:
        yield {"property": "items", "operator": "has_element", "where": list(parts)}
    for path in ("odd", "tags", "address", "nowhere"):
        yield {"property": path, "operator": "has_element", "where": [{"property": "city", "operator": "is_not_set"}]}


EXTENDED_TESTS: tuple[Test, ...] = (*_relative_dates(), *_array_steps(), *_elements())
"""Every property test beyond the public ones: date operators, array steps and ``has_element``."""


@lru_cache(maxsize=64)
def tests_of(key: str, extended: bool) -> tuple[Test, ...]:
    """The tests that ask something of ``key``."""
    public = tuple(test for test in PROPERTY_TESTS if steps(test["property"])[0] == key)
    return public + extended_tests_of(key) if extended else public


@lru_cache(maxsize=64)
def extended_tests_of(key: str) -> tuple[Test, ...]:
    """Those that are not public."""
    return tuple(test for test in EXTENDED_TESTS if steps(test["property"])[0] == key)


@lru_cache(maxsize=1024)
def tests_met_by(key: str, text: str, extended: bool) -> tuple[Test, ...]:
    """Those that hold of a payload with this value at ``key`` at START, and the complements that then do not."""
    payload, at = parsed(f'{{"{key}": {text}}}'), milliseconds(START)
    return tuple(
        test for test in tests_of(key, extended) if satisfies(payload, test, at) != (test["operator"] in COMPLEMENTS)
    )
