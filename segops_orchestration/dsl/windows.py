"""Rules of time: how long, between which instants, between which ages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from segops_orchestration.dsl import models
from segops_orchestration.dsl.faults import (
    Fault,
    Fields,
    Rule,
    choice,
    is_whole,
    misspelt_fields,
    number_fault,
    object_problems,
    refused,
    unknown_field,
    whole_fault,
)
from segops_orchestration.dsl.values import parse_date
from segops_orchestration.dsl.wording import child, found, listed
from segops_orchestration.errors import Problem

MAX_WINDOW_DAYS = 3650
# 3,650 days' worth of each unit.
MOST: dict[str, int] = {
    "second": 315_360_000,
    "minute": 5_256_000,
    "hour": 87_600,
    "day": MAX_WINDOW_DAYS,
    "week": 521,
    "month": 120,
    "year": 10,
}
PERIODS = (2, 60)

_UNITS = get_args(models.Unit)
_UNIT = choice(_UNITS)
_DAYS = f"days, a number above 0 and at most {MAX_WINDOW_DAYS:,}"
_DURATION = "an object such as {last: 7, unit: day}"
_INSTANT = "an ISO date or time such as 2026-01-31 or 2026-01-31T12:00:00Z"
_FORMS = "{last, unit}, {from, to} or {from_ago, to_ago, unit}"


# A duration


def _amount(least: int) -> Rule:
    """So many units of the field beside it."""

    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        unit = fields.get("unit")
        known = isinstance(unit, str) and unit in MOST
        most = MOST[str(unit)] if known else MOST["second"]
        allowed = f"a whole number from {least} to {most:,}" + (f", the unit being {unit}" if known else "")
        fault = whole_fault(value, least, most, allowed)
        if fault is not None:
            yield Problem(path, fault)

    return Rule(f"a whole number from {least} up", check)


_DURATION_RULES = {"last": _amount(1), "unit": _UNIT}


def duration_problems(path: str, value: object) -> Iterator[Problem]:
    """Problems of a span of time that has to be there."""
    if not isinstance(value, dict):
        yield Problem(path, refused(value, _DURATION))
        return
    yield from object_problems(path, value, "a duration", _DURATION_RULES, tuple(_DURATION_RULES))


def _check_duration(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is not None:
        yield from duration_problems(path, value)


def _check_period(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    yield from duration_problems(path, value)


def _check_less_than(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is not None and fields.get("at_least") is not None:
        yield Problem(path, f"found {found(value)} beside at_least; allowed: one of the two")
        return
    yield from _check_duration(path, value, fields)


# A window


def _check_window_days(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is None and fields.get("type") != "recency":
        return  # null says what leaving the field out says: no window
    fault = number_fault(value, _DAYS)
    if fault is None:
        assert isinstance(value, int | float)
        if not 0 < value <= MAX_WINDOW_DAYS:
            fault = refused(value, _DAYS)
        elif fields.get("type") == "recency" and fields.get("operator") == "eq" and value != int(value):
            fault = refused(value, "whole days with operator eq")
    if fault is not None:
        yield Problem(path, fault)


def _check_instant(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is not None and parse_date(value) is None:
        yield Problem(path, refused(value, _INSTANT))


def _check_to(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    yield from _check_instant(path, value, fields)
    start, end = parse_date(fields.get("from")), parse_date(value)
    if start is not None and end is not None and not start < end:
        yield Problem(path, f"found {found(value)}; it must lie after from, {found(fields['from'])}")


def _check_from_ago(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is not None:
        yield from _FROM_AGO.check(path, value, fields)


def _check_to_ago(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is None:
        return
    problems = list(_TO_AGO.check(path, value, fields))
    yield from problems
    start = fields.get("from_ago")
    if not problems and is_whole(value) and is_whole(start) and start >= 1 and not start > value:
        yield Problem(path, f"found {value}; it must be below from_ago, {found(start)}")


_FROM_AGO, _TO_AGO = _amount(1), _amount(0)


@dataclass(frozen=True)
class _Form:
    """One form of a window: its fields, those that tell it from the others, those that it cannot lack."""

    rules: dict[str, Rule]
    telling: tuple[str, ...]
    required: tuple[str, ...]


_LAST = _Form(_DURATION_RULES, ("last",), ("last", "unit"))
_FIXED = _Form({"from": Rule(_INSTANT, _check_instant), "to": Rule(_INSTANT, _check_to)}, ("from", "to"), ())
_AGO = _Form(
    {
        "from_ago": Rule(_FROM_AGO.allowed, _check_from_ago),
        "to_ago": Rule(_TO_AGO.allowed, _check_to_ago),
        "unit": _UNIT,
    },
    ("from_ago", "to_ago"),
    ("unit",),
)
_TELLING = (*_LAST.telling, *_FIXED.telling, *_AGO.telling)


def _check_window(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    if value is None:
        return
    if fields.get("window_days") is not None:
        yield Problem(path, f"found {found(value)} beside window_days; allowed: one of the two")
    elif not isinstance(value, dict):
        yield Problem(path, refused(value, _FORMS))
    else:
        yield from _form_problems(path, value)


def _form_problems(path: str, window: Fields) -> Iterator[Problem]:
    forms = [form for form in (_LAST, _FIXED, _AGO) if any(name in window for name in form.telling)]
    if not forms:
        yield from _formless(path, window)
        return
    if len(forms) > 1:
        beside = [next(name for name in form.telling if name in window) for form in forms]
        yield Problem(path, f"found {' beside '.join(beside)}; allowed: exactly one of {_FORMS}")
        return
    (form,) = forms
    yield from object_problems(path, window, "a window", form.rules, form.required)
    if form is not _LAST and all(window.get(name) is None for name in form.telling):
        yield Problem(path, f"found neither {' nor '.join(form.telling)}; allowed: one of them, or both")


def _formless(path: str, window: Fields) -> Iterator[Problem]:
    names = (*_TELLING, "unit")
    for key in window:
        if key != "unit":
            yield unknown_field(child(path, key), key, "a window", names)
    if not misspelt_fields(window, names) & set(_TELLING):
        yield Problem(path, f"found an object without any of {listed(_TELLING)}; allowed: {_FORMS}")


# Regularity


def _check_periods(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    least, most = PERIODS
    fault = whole_fault(value, least, most, _PERIODS) or _length_fault(value, fields.get("period"))
    if fault is not None:
        yield Problem(path, fault)


def _length_fault(periods: object, period: object) -> Fault:
    """Periods that reach back further than any window may."""
    if not isinstance(period, dict) or not is_whole(periods):
        return None
    last, unit = period.get("last"), period.get("unit")
    if not is_whole(last) or not isinstance(unit, str) or unit not in MOST or not 1 <= last <= MOST[unit]:
        return None  # the period's own problem says enough
    if last * periods <= MOST[unit]:
        return None
    return f"found {periods} periods of {last:,} {unit}; allowed: {MOST[unit]:,} {unit} in all"


def _check_min_periods(path: str, value: object, fields: Fields) -> Iterator[Problem]:
    fault = whole_fault(value, 1, PERIODS[1], _MIN_PERIODS)
    periods = fields.get("periods")
    if fault is None and is_whole(value) and is_whole(periods) and PERIODS[0] <= periods < value:
        fault = f"found {value}; allowed: 1 to {periods}, the number of periods"
    if fault is not None:
        yield Problem(path, fault)


_PERIODS = f"a whole number from {PERIODS[0]} to {PERIODS[1]}"
_MIN_PERIODS = "a whole number from 1 to the number of periods"

WINDOW_RULES: dict[str, Rule] = {
    "window_days": Rule(_DAYS, _check_window_days),
    "window": Rule(_FORMS, _check_window),
    "within": Rule(_DURATION, _check_duration),
    "at_least": Rule(_DURATION, _check_duration),
    "less_than": Rule(_DURATION, _check_less_than),
    "period": Rule(_DURATION, _check_period),
    "periods": Rule(_PERIODS, _check_periods),
    "min_periods": Rule(_MIN_PERIODS, _check_min_periods),
}
"""The rules of the fields that are about time, whatever condition they belong to."""
