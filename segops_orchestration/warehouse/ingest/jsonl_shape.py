"""The fast way through JSON lines: lines written alike are taken apart by one regular expression.

Programs write the fields of a record in one order, so the first line shows how to read most others. The expression
matches a line only if every value in it is a whole JSON value; at most one value may be an object or array, and that
one is read by the JSON scanner before it is believed. Such a line can be read in no other way, because JSON's grammar
is unambiguous. Lines that do not match, or hold anything out of the ordinary, go the slow way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.warehouse.ingest import payload
from segops_orchestration.warehouse.ingest.arrays import Bools, Ints, bools, texts
from segops_orchestration.warehouse.ingest.block import Block
from segops_orchestration.warehouse.ingest.mapping import Roles

_BLANK = r"[ \t\r]*"
_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_SCALAR = rf"({_STRING}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"
_NESTED = r"(\{.*\}|\[.*\])"
_PLAIN_TEXT = r'^"[^\\]*"$'
_TEXT_OR_NUMBER = r'^(?:"[^\\]*"|-?[0-9]+)$'
_TIME = r'^(?:"[^\\]*"|-?[0-9.eE+-]+)$'


@dataclass(frozen=True)
class Shape:
    """Fields in the order they are written, and which of them (by position) is an object or array, if any."""

    names: tuple[str, ...]
    nested: int | None

    @classmethod
    def of(cls, members: dict[str, str], roles: Roles) -> Shape | None:
        """The shape of a line, or None when lines like it must go the slow way."""
        names = tuple(members)
        nested = [place for place, name in enumerate(names) if members[name][0] in "{["]
        if len(nested) > 1 or any('"' in name or "\\" in name for name in names):
            return None
        needed = {roles.user_id, roles.occurred_at} | ({roles.event_type_column} - {None})
        if not needed <= set(names):
            return None
        if roles.payload in names and (names.index(roles.payload) not in nested or rest_of(names, roles)):
            return None
        return cls(names, nested[0] if nested else None)


def rest_of(names: tuple[str, ...], roles: Roles) -> list[str]:
    """The fields that are payload properties when the line has no payload."""
    used = (roles.user_id, roles.event_type_column, roles.occurred_at, roles.event_id, roles.payload, *roles.drop)
    return [name for name in names if name not in used]


@lru_cache(maxsize=64)
def _pattern(shape: Shape) -> re.Pattern[str]:
    fields = [
        f'"{re.escape(name)}"{_BLANK}:{_BLANK}{_NESTED if place == shape.nested else _SCALAR}'
        for place, name in enumerate(shape.names)
    ]
    separator = f"{_BLANK},{_BLANK}"
    return re.compile(rf"{_BLANK}\{{{_BLANK}{separator.join(fields)}{_BLANK}\}}{_BLANK}")


def read(lines: list[str], rows: Ints, shape: Shape, roles: Roles) -> tuple[Block | None, Bools]:
    """Read the lines that have a shape.

    Returns:
        Their block, and a mask of the lines it holds; all other lines are still to be read.
    """
    fullmatch = _pattern(shape).fullmatch
    matches = [fullmatch(line) for line in lines]
    taken = np.array([match is not None for match in matches], np.bool_)
    if not taken.any():
        return None, taken
    columns = dict(zip(shape.names, zip(*[match.groups() for match in matches if match], strict=True), strict=True))
    sound = np.ones(int(taken.sum()), np.bool_)
    if shape.nested is not None:
        sound &= np.array([_is_whole(value) for value in columns[shape.names[shape.nested]]], np.bool_)
    arrays = {name: texts(values) for name, values in columns.items() if name not in roles.drop}
    for name, allowed in _allowed(roles).items():
        if name in arrays:
            sound &= bools(pc.match_substring_regex(arrays[name], allowed))
    if roles.payload in arrays:
        sound &= bools(pc.starts_with(arrays[roles.payload], "{"))
    taken[np.flatnonzero(taken)[~sound]] = False
    if not sound.all():
        arrays = {name: values.filter(pa.array(sound)) for name, values in arrays.items()}
    return _block(arrays, rows[taken], roles), taken


def _allowed(roles: Roles) -> dict[str, str]:
    """What the fast way takes for the fields that make the event; anything else is judged on the slow way."""
    allowed = {roles.user_id: _TEXT_OR_NUMBER, roles.occurred_at: _TIME}
    if roles.event_type_column is not None:
        allowed[roles.event_type_column] = _PLAIN_TEXT
    if roles.event_id is not None:
        allowed[roles.event_id] = _TEXT_OR_NUMBER
    return allowed


def _is_whole(text: str) -> bool:
    try:
        return payload.scan(text, 0)[1] == len(text)
    except (ValueError, RecursionError):
        return False


def _unquoted(values: Any) -> Any:
    """Quoted text without its quotes, numbers as they are."""
    return pc.replace_substring(values, '"', "")


def _block(arrays: dict[str, Any], rows: Ints, roles: Roles) -> Block:
    if roles.payload in arrays:
        payloads = arrays[roles.payload]
    else:
        rest = rest_of(tuple(arrays), roles)
        payloads = payload.objects(rest, [arrays[name] for name in rest], len(rows))
    event_id = None if roles.event_id is None else arrays.get(roles.event_id)
    return Block(
        rows=rows,
        user_id=_unquoted(arrays[roles.user_id]),
        event_type=None if roles.event_type_column is None else _unquoted(arrays[roles.event_type_column]),
        occurred_at=_unquoted(arrays[roles.occurred_at]),
        event_id=None if event_id is None else _unquoted(event_id),
        payload=payloads,
        payload_checked=True,
    )
