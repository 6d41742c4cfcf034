"""The words that generated histories are made of: few, so that events and conditions meet, and nasty.

Properties, by what they mostly hold: ``total`` amounts, ``plan`` text, ``vip`` booleans, ``address.city`` a
nested text, ``a\\.b`` a key with a dot in it (beside a nested ``a.b``), ``tags`` arrays, ``since`` dates,
``odd`` anything. Only ``total`` holds numbers in unusual spellings (``1e3``, ``1.10``), so no text operator
is ever asked about it. A fraction of more than 17 digits is written as text: as a JSON number most readers, and
ClickHouse's, make a double of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from segops_orchestration_tests.oracle.values import COMPLEMENTS, parsed, satisfies, steps

EVENT_TYPES = ("order_placed", "page_viewed", "cart_updated", "context_identified")
USERS = ("u1", "u2", "o'brien", "Ünï \\ 用户", "50%", "u6 {a:String}")
WINDOW_DAYS = (1, 2, 7, 30, 0.5, 1.5, 36.25)
SLUGS = ("first", "second", "third", "fourth", "fifth")
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
        '"soon"', '"2026-01-30"', '"2026-01-31T02:00:00+02:00"',
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
"""Every property test that a generated condition may make."""


@lru_cache(maxsize=64)
def tests_of(key: str) -> tuple[Test, ...]:
    """The tests that ask something of ``key``."""
    return tuple(test for test in PROPERTY_TESTS if steps(test["property"])[0] == key)


@lru_cache(maxsize=1024)
def tests_met_by(key: str, text: str) -> tuple[Test, ...]:
    """Those that hold of a payload with this value at ``key``, and the complements that then do not."""
    payload = parsed(f'{{"{key}": {text}}}')
    return tuple(test for test in tests_of(key) if satisfies(payload, test, 0) != (test["operator"] in COMPLEMENTS))
