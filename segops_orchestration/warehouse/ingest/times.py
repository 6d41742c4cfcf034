"""Times as text, read a block at a time: ISO dates and times, epoch numbers, strptime formats.

An instant is an int64 of milliseconds since 1970 UTC. Finer fractions are cut, not rounded. A time without a zone is
UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.warehouse.ingest.arrays import Bools, Bytes2D, Ints, bools, by_length
from segops_orchestration.warehouse.ingest.limits import FIRST_YEAR, LAST_YEAR
from segops_orchestration.warehouse.ingest.time_format import EPOCH_MILLISECONDS, EPOCH_SECONDS

_DAY = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
FIRST = (datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
END = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LONGEST = 48

# What became of a text. The numbers are positions in REASONS.
GOOD, SHAPE, IMPOSSIBLE, RANGE, NUMBER, FORMAT = range(6)
REASONS = (
    "",
    "not a date or time: write 2026-01-31 or 2026-01-31T10:00:00, with Z, an offset such as +01:00, or nothing (UTC)",
    "no such day or time",
    f"outside the years {FIRST_YEAR} to {LAST_YEAR}",
    "a number, not a date: if it counts from 1970, say so with --occurred-at-format epoch_seconds or"
    " epoch_milliseconds; if it is written like 20260131, with --occurred-at-format %Y%m%d",
    "not written in the format given with --occurred-at-format",
)
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?$"


@dataclass(frozen=True)
class Instants:
    """Milliseconds since 1970, and per text a status: GOOD or the position of its fault in ``REASONS``."""

    milliseconds: Ints
    status: Any

    def checked(self) -> Instants:
        """The same, with instants outside the years allowed marked RANGE."""
        outside = (self.milliseconds < FIRST) | (self.milliseconds >= END)
        self.status[outside & (self.status == GOOD)] = RANGE
        return self


def parse(texts: Any, time_format: str | None) -> Instants:
    """Read times from a string array without nulls."""
    if time_format is None:
        return _iso(texts)
    if time_format == EPOCH_SECONDS:
        return _epoch(texts, 1000)
    if time_format == EPOCH_MILLISECONDS:
        return _epoch(texts, 1)
    return _strptime(texts, time_format)


def from_timestamps(array: Any) -> Instants:
    """Instants of an Arrow timestamp or date array; nulls are the caller's to leave out."""
    if pa.types.is_timestamp(array.type):
        per_unit = {"s": 1000, "ms": 1, "us": -1000, "ns": -1_000_000}[array.type.unit]
        values = np.asarray(pc.fill_null(array.cast(pa.timestamp(array.type.unit)).cast(pa.int64()), 0), np.int64)
    elif pa.types.is_date32(array.type):
        per_unit, values = _DAY, np.asarray(pc.fill_null(array.cast(pa.int32()), 0), np.int64)
    else:
        per_unit, values = 1, np.asarray(pc.fill_null(array.cast(pa.int64()), 0), np.int64)
    # Beyond this no multiplication overflows, and every such instant is out of range anyway.
    values = np.clip(values, -(2**53), 2**53) if per_unit > 0 else values
    milliseconds = values * per_unit if per_unit > 0 else values // -per_unit
    return Instants(milliseconds, np.zeros(len(values), np.uint8)).checked()


def from_floats(array: Any, time_format: str) -> Instants:
    """Epoch numbers held as floating point; they are read to the microsecond, which is as far as a double goes."""
    values = np.asarray(pc.fill_null(array.cast(pa.float64()), 0.0), np.float64)
    status = np.where(np.isfinite(values), GOOD, FORMAT).astype(np.uint8)
    scale = 1e6 if time_format == EPOCH_SECONDS else 1e3
    micros = np.clip(np.where(status == GOOD, values, 0.0) * scale, -(2.0**62), 2.0**62)
    return Instants(np.round(micros).astype(np.int64) // 1000, status).checked()


def _iso(texts: Any) -> Instants:
    milliseconds = np.zeros(len(texts), np.int64)
    status = np.full(len(texts), SHAPE, np.uint8)
    for where, chars in by_length(texts, _LONGEST):
        if chars.shape[1] >= 10:
            milliseconds[where], status[where] = _iso_of_one_length(chars)
    wrong = status == SHAPE
    if wrong.any():
        numbers = bools(pc.match_substring_regex(texts, _NUMBER))
        status[wrong & numbers] = NUMBER
    return Instants(milliseconds, status).checked()


def _iso_of_one_length(chars: Bytes2D) -> tuple[Ints, Any]:
    size = chars.shape[1]
    days, shaped, possible = _date(chars)
    clock = np.zeros(len(chars), np.int64)
    if size > 10:
        shaped &= _is(chars[:, 10], "T ")
        done = np.zeros(len(chars), np.bool_)
        for zone, width in ((_zulu, 1), (_offset_colon, 6), (_offset_plain, 5), (_offset_hours, 3), (_no_zone, 0)):
            if size - 11 - width < 5:
                continue
            this, minutes, zone_possible = zone(chars)
            this &= ~done
            if this.any():
                time, time_shaped, time_possible = _time(chars[:, 11 : size - width])
                done |= this
                clock = np.where(this, time - minutes * 60_000, clock)
                shaped &= ~this | time_shaped
                possible &= ~this | (time_possible & zone_possible)
        shaped &= done
    status = np.where(shaped, np.where(possible, GOOD, IMPOSSIBLE), SHAPE).astype(np.uint8)
    return days * _DAY + clock, status


def _is(column: Any, allowed: str) -> Bools:
    found = column == ord(allowed[0])
    for char in allowed[1:]:
        found |= column == ord(char)
    return np.asarray(found, np.bool_)


def _digits(chars: Bytes2D, start: int, count: int) -> tuple[Ints, Bools]:
    """The number at a place, and whether all of it is digits."""
    value = np.zeros(len(chars), np.int64)
    good = np.ones(len(chars), np.bool_)
    for column in range(start, start + count):
        digit = chars[:, column] - np.uint8(48)
        good &= digit < 10
        value = value * 10 + digit
    return value, good


def _date(chars: Bytes2D) -> tuple[Ints, Bools, Bools]:
    year, year_good = _digits(chars, 0, 4)
    month, month_good = _digits(chars, 5, 2)
    day, day_good = _digits(chars, 8, 2)
    shaped = year_good & month_good & day_good & _is(chars[:, 4], "-") & _is(chars[:, 7], "-")
    return _days(year, month, day), shaped, _possible_date(year, month, day)


_MONTH_LENGTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


def _possible_date(year: Ints, month: Ints, day: Ints) -> Bools:
    in_year = (month >= 1) & (month <= 12)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _MONTH_LENGTHS[np.where(in_year, month, 0)] + (leap & (month == 2))
    return np.asarray(in_year & (day >= 1) & (day <= last), np.bool_)


def _days(year: Ints, month: Ints, day: Ints) -> Ints:
    """Days since 1970-01-01; whatever for a date that does not exist."""
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    firsts = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(firsts + day - 1, np.int64)


def _time(chars: Bytes2D) -> tuple[Ints, Bools, Bools]:
    """HH:MM, HH:MM:SS or HH:MM:SS.fraction as milliseconds of the day."""
    size = chars.shape[1]
    if size not in (5, 8) and size < 10:
        return np.zeros(len(chars), np.int64), np.zeros(len(chars), np.bool_), np.zeros(len(chars), np.bool_)
    hour, shaped = _digits(chars, 0, 2)
    minute, minute_good = _digits(chars, 3, 2)
    shaped &= minute_good & _is(chars[:, 2], ":")
    possible = (hour < 24) & (minute < 60)
    value = (hour * 60 + minute) * 60_000
    if size >= 8:
        second, second_good = _digits(chars, 6, 2)
        shaped &= second_good & _is(chars[:, 5], ":")
        possible &= second < 60
        value += second * 1000
    if size >= 10:
        _, all_digits = _digits(chars, 9, min(size - 9, 18))
        fraction, _ = _digits(chars, 9, min(size - 9, 3))
        if size - 9 > 18:
            all_digits &= _digits(chars, 27, size - 27)[1]
        shaped &= all_digits & _is(chars[:, 8], ".")
        value += fraction * 10 ** (3 - min(size - 9, 3))
    return value, shaped, possible


_Zone = tuple[Bools, Ints, Bools]


def _zulu(chars: Bytes2D) -> _Zone:
    none = np.zeros(len(chars), np.int64)
    return _is(chars[:, -1], "Z"), none, np.ones(len(chars), np.bool_)


def _no_zone(chars: Bytes2D) -> _Zone:
    return np.ones(len(chars), np.bool_), np.zeros(len(chars), np.int64), np.ones(len(chars), np.bool_)


def _offset_colon(chars: Bytes2D) -> _Zone:
    return _offset(chars, 6, 3)


def _offset_plain(chars: Bytes2D) -> _Zone:
    return _offset(chars, 5, 2)


def _offset_hours(chars: Bytes2D) -> _Zone:
    return _offset(chars, 3, None)


def _offset(chars: Bytes2D, width: int, minutes_from_end: int | None) -> _Zone:
    """``minutes_from_end``: where the minutes are, counted so that +HH:MM has a colon before them."""
    at = chars.shape[1] - width
    hours, shaped = _digits(chars, at + 1, 2)
    minutes = np.zeros(len(chars), np.int64)
    shaped &= _is(chars[:, at], "+-")
    if minutes_from_end is not None:
        minutes, minutes_good = _digits(chars, chars.shape[1] - 2, 2)
        shaped &= minutes_good
        if minutes_from_end == 3:
            shaped &= _is(chars[:, -3], ":")
    sign = np.where(chars[:, at] == ord("-"), -1, 1)
    return shaped, sign * (hours * 60 + minutes), (hours < 24) & (minutes < 60)


def _epoch(texts: Any, per_unit: int) -> Instants:
    shaped = bools(pc.match_substring_regex(texts, r"^-?[0-9]{1,15}(\.[0-9]+)?$"))
    safe = pc.if_else(pa.array(shaped), texts, "0")
    whole = pc.replace_substring_regex(safe, r"\..*$", "").cast(pa.int64()).to_numpy(zero_copy_only=False)
    milliseconds = np.asarray(whole, np.int64) * per_unit
    if per_unit == 1000 and bools(pc.match_substring(safe, ".")).any():
        digits = pc.replace_substring_regex(safe, r"^[^.]*\.?", "")
        padded = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 3, "0"), 0, 3)
        milliseconds = milliseconds + np.asarray(padded.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    status = np.where(shaped, GOOD, FORMAT).astype(np.uint8)
    # Before 1970 in any case, and the fraction of a negative number was added the wrong way.
    status[shaped & bools(pc.starts_with(safe, "-"))] = RANGE
    return Instants(milliseconds, status).checked()


def _strptime(texts: Any, time_format: str) -> Instants:
    """Texts as wide as the format says are read together; of all others, each distinct one by itself."""
    milliseconds = np.zeros(len(texts), np.int64)
    status = np.full(len(texts), FORMAT, np.uint8)
    layout = _Layout.of(time_format)
    if layout is not None:
        for where, chars in by_length(texts, _LONGEST):
            if chars.shape[1] == layout.width:
                milliseconds[where], status[where] = layout.read(chars)
    left = np.flatnonzero(status != GOOD)
    if len(left):
        encoded = texts.take(pa.array(left)).dictionary_encode()
        read = [_strptime_one(text, time_format) for text in encoded.dictionary.to_pylist()]
        codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)
        milliseconds[left] = np.array([each[0] for each in read], np.int64)[codes]
        status[left] = np.array([each[1] for each in read], np.uint8)[codes]
    return Instants(milliseconds, status).checked()


def _strptime_one(text: str, time_format: str) -> tuple[int, int]:
    try:
        moment = datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone is settled on the next line
    except ValueError:
        return 0, FORMAT
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // _MILLISECOND, GOOD


_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}


@dataclass(frozen=True)
class _Layout:
    """A strptime format of which every part has one width: where its fields and its fixed characters are."""

    width: int
    fields: dict[str, int]
    fixed: dict[int, int]

    @classmethod
    def of(cls, time_format: str) -> _Layout | None:
        """The layout, or None for a format that has none."""
        place = 0
        fields: dict[str, int] = {}
        fixed: dict[int, int] = {}
        for directive, char in re.findall(r"%(.)|([^%])", time_format, re.DOTALL):
            if char:
                fixed[place] = ord(char)
            elif directive not in _WIDTHS or directive in fields:
                return None
            else:
                fields[directive] = place
            place += _WIDTHS.get(directive, 1)
        whole = fields.keys() >= {"Y", "m", "d"} and all(code < 128 for code in fixed.values())
        return cls(place, fields, fixed) if whole else None

    def read(self, chars: Bytes2D) -> tuple[Ints, Any]:
        """Instants of texts of this width; what is not written so, or does not exist, is FORMAT."""
        good = np.ones(len(chars), np.bool_)
        for place, code in self.fixed.items():
            good &= chars[:, place] == code
        values: dict[str, Ints] = dict.fromkeys("HMS", np.zeros(len(chars), np.int64))
        for name, place in self.fields.items():
            values[name], digits = _digits(chars, place, _WIDTHS[name])
            good &= digits
        good &= _possible_date(values["Y"], values["m"], values["d"])
        good &= (values["H"] < 24) & (values["M"] < 60) & (values["S"] < 60)
        clock = (values["H"] * 60 + values["M"]) * 60 + values["S"]
        instants = _days(values["Y"], values["m"], values["d"]) * _DAY + clock * 1000
        return instants, np.where(good, GOOD, FORMAT).astype(np.uint8)
