"""What payload values mean: numbers, dates, paths and the property operators of the Segment DSL, section 3.2.

Choices made where the page leaves room:

- A JSON number of magnitude 10^29 or more is no number: it is set, and equal to nothing.
- Two numeric strings are equal when they are equal as numbers: ``"10"`` eq ``"10.0"``.
- ``"true"`` (text) is not equal to ``true`` (boolean), in either direction.
- A time of day is ``HH:MM``, ``HH:MM:SS`` or ``HH:MM:SS.fff``; an offset is ``Z``, ``+HH:MM`` or
  ``+HHMM``, and needs a time. Hour 24 and second 60 do not exist. Fraction digits beyond milliseconds are cut.
- ``.`` in a pattern does not match a line break, ``$`` only the very end, classes are ASCII: RE2's defaults.
- The text operators see objects and arrays as nothing (``contains`` on an array looks at its elements).
- A path never indexes an array by number; below an array only a ``[]`` step leads on.
- ``has_element`` looks at the elements that are objects; others are passed over.
- Null array elements are missing, so no positive operator is true of them.
- A payload that is empty, or no JSON object, has every property missing.
"""

from __future__ import annotations

import calendar
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, DecimalException
from functools import lru_cache
from typing import Any

Json = Any
Condition = Mapping[str, Any]

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBER_LIMIT = Decimal(10) ** 29
_NINE_PLACES = Decimal("1e-9")
_WIDE = Context(prec=80)

ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    **ORDERINGS,
    "eq": operator.eq,
    "neq": operator.ne,
}
COMPLEMENTS: Mapping[str, str] = {
    "neq": "eq",
    "not_in": "in",
    "not_between": "between",
    "does_not_contain": "contains",
    "is_not_set": "is_set",
}

_NUMERIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_EXACT_UNITS_MS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
}
_MONTHS = {"month": 1, "year": 12}


# -- time ------------------------------------------------------------------------------------------------


def milliseconds(instant: datetime) -> int:
    """Whole milliseconds since 1970 UTC."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def span_ms(amount: object, unit_ms: int) -> int:
    """``amount`` units as the nearest whole millisecond (``amount`` may be a float, by its shortest text)."""
    return int((Decimal(str(amount)) * unit_ms).to_integral_value(ROUND_HALF_UP))


def shifted(instant_ms: int, amount: Any, unit: str, direction: int) -> int:
    """The instant ``amount`` units earlier (``direction`` -1) or later (+1); months and years by calendar."""
    if unit in _EXACT_UNITS_MS:
        return instant_ms + direction * span_ms(amount, _EXACT_UNITS_MS[unit])
    moment = EPOCH + timedelta(milliseconds=instant_ms)
    month_index = moment.year * 12 + moment.month - 1 + direction * int(amount) * _MONTHS[unit]
    year, month = month_index // 12, month_index % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return milliseconds(moment.replace(year=year, month=month, day=day))


def date_ms(value: Json) -> int | None:
    """A date or datetime text as milliseconds since 1970 UTC; None when it is not one."""
    matched = _DATE.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in matched.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset = _offset_ms(matched["offset"])
    if offset is None:
        return None
    return milliseconds(moment) + int(((matched["fraction"] or "") + "000")[:3]) - offset


def _offset_ms(text: str | None) -> int | None:
    if text is None or text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        return None
    return (-1 if text[0] == "-" else 1) * (hours * 60 + minutes) * 60_000


# -- scalars ---------------------------------------------------------------------------------------------


def number(value: Json) -> Decimal | None:
    """A JSON number or numeric string, exact to nine places (more are cut off); None when it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        return None
    if not isinstance(value, int | float | Decimal | str):
        return None
    try:
        exact = Decimal(str(value))
        if not exact.is_finite() or abs(exact) >= NUMBER_LIMIT:
            return None
        return exact.quantize(_NINE_PLACES, ROUND_DOWN, _WIDE)
    except DecimalException:
        return None


def text(value: Json) -> str | None:
    """What the text operators see: text itself, or the JSON text of a number or boolean; else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return repr(float(value))
    return None


def equal(left: Json, right: Json) -> bool:
    """``eq``: booleans with booleans, numbers as numbers, text exactly; arrays and objects equal nothing."""
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    left_number, right_number = number(left), number(right)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    return isinstance(left, str) and isinstance(right, str) and left == right


def ordered(comparison: str, left: Json, right: Json) -> bool:
    """``gt gte lt lte``: both numbers, else both dates, else false."""
    for kind in (number, date_ms):
        left_value, right_value = kind(left), kind(right)
        if left_value is not None and right_value is not None:
            return ORDERINGS[comparison](left_value, right_value)
    return False


# -- paths -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def parsed(payload: str) -> Json:
    """The payload's JSON value with exact decimals; None when it is empty or no JSON."""
    try:
        return json.loads(payload, parse_float=Decimal)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str, ...]:
    r"""``a.b\.c[]`` as ``("a", "b.c", "[]")``."""
    found: list[str] = []
    for step in re.split(r"(?<!\\)\.", path):
        name = step
        depth = 0
        while name.endswith("[]"):
            name, depth = name[:-2], depth + 1
        found.append(name.replace("\\.", "."))
        found.extend(["[]"] * depth)
    return tuple(found)


def present(value: Json, path: str) -> list[Json]:
    """The values at ``path`` that are not missing: at most one, unless the path has ``[]`` steps."""
    return [found for found in _walk(value, steps(path)) if found is not None]


def _walk(value: Json, remaining: tuple[str, ...]) -> Iterator[Json]:
    if not remaining:
        yield value
    elif remaining[0] == "[]":
        for element in value if isinstance(value, list) else ():
            yield from _walk(element, remaining[1:])
    elif isinstance(value, dict):
        yield from _walk(value.get(remaining[0]), remaining[1:])


# -- operators -------------------------------------------------------------------------------------------


def satisfies(value: Json, condition: Condition, at_ms: int) -> bool:
    """Whether ``condition`` (``property``, ``operator``, ``value``...) holds of the JSON object ``value``."""
    name = condition["operator"]
    positive = POSITIVE[COMPLEMENTS.get(name, name)]
    holds = any(positive(found, condition, at_ms) for found in present(value, condition["property"]))
    return holds != (name in COMPLEMENTS)


def _contains(value: Json, condition: Condition, at_ms: int) -> bool:
    if isinstance(value, list):
        return any(equal(element, condition["value"]) for element in value)
    return _on_text(operator.contains)(value, condition, at_ms)


def _on_text(test: Callable[[str, str], bool]) -> Callable[[Json, Condition, int], bool]:
    def tested(value: Json, condition: Condition, at_ms: int) -> bool:
        seen, wanted = text(value), text(condition["value"])
        return seen is not None and wanted is not None and test(seen, wanted)

    return tested


def _ordering(name: str) -> Callable[[Json, Condition, int], bool]:
    return lambda value, condition, at_ms: ordered(name, value, condition["value"])


@lru_cache(maxsize=256)
def _pattern(source: str) -> re.Pattern[str]:
    # Python's $ also matches before a final line break; RE2's does not.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", source), re.ASCII)


def _relative(value: Json, at_ms: int, low: int | None, high: int | None) -> bool:
    when = date_ms(value)
    return when is not None and (low is None or low < when) and (high is None or when <= high)


def _edge(condition: Condition, at_ms: int, direction: int) -> int:
    return shifted(at_ms, condition["value"]["last"], condition["value"]["unit"], direction)


POSITIVE: Mapping[str, Callable[[Json, Condition, int], bool]] = {
    "eq": lambda value, condition, at_ms: equal(value, condition["value"]),
    "gt": _ordering("gt"),
    "gte": _ordering("gte"),
    "lt": _ordering("lt"),
    "lte": _ordering("lte"),
    "between": lambda value, condition, at_ms: (
        ordered("gte", value, condition["value"]) and ordered("lte", value, condition["value2"])
    ),
    "in": lambda value, condition, at_ms: any(equal(value, choice) for choice in condition["value"]),
    "contains": _contains,
    "starts_with": _on_text(str.startswith),
    "ends_with": _on_text(str.endswith),
    "matches_regex": _on_text(lambda seen, pattern: _pattern(pattern).search(seen) is not None),
    "has_element": lambda value, condition, at_ms: (
        isinstance(value, list)
        and any(
            all(satisfies(element, part, at_ms) for part in condition["where"])
            for element in value
            if isinstance(element, dict)
        )
    ),
    "is_set": lambda value, condition, at_ms: True,
    "is_true": lambda value, condition, at_ms: value is True or value == "true",
    "is_false": lambda value, condition, at_ms: value is False or value == "false",
    "in_last": lambda value, condition, at_ms: _relative(value, at_ms, _edge(condition, at_ms, -1), at_ms),
    "in_next": lambda value, condition, at_ms: _relative(value, at_ms, at_ms, _edge(condition, at_ms, +1)),
    "before_last": lambda value, condition, at_ms: _relative(value, at_ms, None, _edge(condition, at_ms, -1)),
}
