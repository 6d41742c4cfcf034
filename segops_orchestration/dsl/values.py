"""What a scalar is taken for in a comparison: a number, a date, or neither.

Payload values and values in a definition are read by the same rules, so the two sides of a comparison agree.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Literal

# Numbers are compared as decimals of 38 digits, 9 of them after the point.
NUMBER_SCALE = 9
NUMBER_LIMIT = 10**29

# The text of a number and of a date; in the syntax that Python and JSON Schema share.
NUMBER_TEXT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
DATE_TEXT = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_NUMBER = re.compile(NUMBER_TEXT)
_DATE = re.compile(DATE_TEXT)


def parse_number(value: object) -> Decimal | None:
    """The number that a scalar stands for, or None.

    A JSON number, or text such as ``10``, ``-2.50``, ``.5`` or ``1e3``: optional sign, digits, optional
    fraction and exponent; no spaces, nothing else. Its magnitude is below 10^29; what is larger is no number
    here. A boolean is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < NUMBER_LIMIT else None
    if isinstance(value, float):
        return _bounded(Decimal(str(value))) if math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            return _bounded(Decimal(value))
        except InvalidOperation:  # an exponent of more digits than Decimal holds
            return None
    return None


def parse_date(value: object) -> datetime | None:
    """The UTC instant that a text stands for, or None; digits of a second beyond milliseconds are cut off.

    ``2026-01-31`` is midnight. After ``T`` or a space may come ``HH:MM``, ``:SS``, ``.fraction``, then ``Z``,
    ``+HH:MM`` or ``+HHMM``; without an offset it is UTC. A day or an hour that does not exist makes it none.
    """
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    milliseconds = int(((fraction or "") + "000")[:3])
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            milliseconds * 1000, tzinfo=_zone(offset),
        )  # fmt: skip
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_ordered(value: object) -> Decimal | datetime | None:
    """The number or else the date that a scalar stands for, or None: what has an order."""
    number = parse_number(value)
    return parse_date(value) if number is None else number


def kind_of(value: object) -> Literal["number", "date", "other"]:
    """What an ordering comparison takes the scalar for."""
    ordered = parse_ordered(value)
    if ordered is None:
        return "other"
    return "number" if isinstance(ordered, Decimal) else "date"


def _bounded(number: Decimal) -> Decimal | None:
    return number if number.copy_abs() < NUMBER_LIMIT else None


def _zone(offset: str | None) -> timezone:
    if offset is None or offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)
