"""JSON lines: one object a line. A row's number is its line number; blank lines are skipped.

Fields that are neither mapped nor dropped become payload properties in a line that has no payload field. Their values
are taken over as they are written, digit for digit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import compress, islice

import numpy as np

from segops_orchestration.warehouse.ingest import jsonl_shape, payload
from segops_orchestration.warehouse.ingest.arrays import Ints, texts
from segops_orchestration.warehouse.ingest.block import Block
from segops_orchestration.warehouse.ingest.faults import row_faults
from segops_orchestration.warehouse.ingest.jsonl_shape import Shape
from segops_orchestration.warehouse.ingest.limits import KEPT_CHARACTERS
from segops_orchestration.warehouse.ingest.mapping import Roles
from segops_orchestration.warehouse.ingest.source import NOT_UTF8, Bytes, Source, Utf8

_READ_BYTES = 4 << 20
LINE_CHARACTERS = 8 << 20
_SAMPLE_LINES = 1000
_SAMPLE_BYTES = 1 << 20
_WHOLE_ROW = "(row)"
# No text holds half a surrogate pair after decoding, so no line can be taken for a marked one.
_OVERLONG = "\ud800"
# Lines of up to so many shapes are read fast; to find the next one, so many lines are looked at.
_SHAPES = 12
_TRIED_LINES = 20
_OPEN = re.compile(r"[ \t\r]*\{[ \t\r]*")
_KEY = re.compile(r'"((?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*)"[ \t\r]*:[ \t\r]*')
_NEXT = re.compile(r"[ \t\r]*,[ \t\r]*")
_CLOSE = re.compile(r"[ \t\r]*\}[ \t\r]*\Z")
_WHOLE_NUMBER = re.compile(r"-?[0-9]+\Z")


class NotAnObject(ValueError):
    """A line is not one JSON object."""


def members(line: str) -> dict[str, str]:
    """The fields of the JSON object on a line, each with its value as it is written.

    Raises:
        NotAnObject: the line is not exactly one JSON object, or names a field twice.
    """
    found: dict[str, str] = {}
    match = _OPEN.match(line)
    if match is None:
        raise NotAnObject("not a JSON object")
    position = match.end()
    count = 0
    while key := _KEY.match(line, position):
        start = key.end()
        try:
            position = payload.scan(line, start)[1]
        except (ValueError, RecursionError):
            break
        name = key[1]
        found[name if "\\" not in name else _unescaped(name)] = line[start:position]
        count += 1
        following = _NEXT.match(line, position)
        if following is None:
            if _CLOSE.match(line, position) is None:
                break
            if count != len(found):
                raise NotAnObject("a JSON object that names a field twice")
            return found
        position = following.end()
    if not count and _CLOSE.match(line, position):
        return found
    raise NotAnObject("not a JSON object")


def _unescaped(name: str) -> str:
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        raise NotAnObject("not a JSON object") from None


class JsonLinesReader:
    """One file of JSON lines."""

    open_ended = True

    def __init__(self, source: Source) -> None:
        """Look at the first lines for the fields there are.

        Raises:
            SegOpsError: nothing but blanks, or one JSON array instead of lines.
        """
        self.source = source
        with Bytes(source) as data:
            head = Utf8(data).read(_SAMPLE_BYTES).decode()
        if not head.strip():
            raise source.error("the file holds nothing but blanks")
        if head.lstrip().startswith("["):
            raise source.error("holds a JSON array; JSON lines has one object on each line and nothing around them")
        names: dict[str, None] = {}
        for line in islice(head.split("\n"), _SAMPLE_LINES):
            try:
                names.update(dict.fromkeys(members(line)))
            except NotAnObject:
                continue
        self.columns = list(names)

    def check(self, roles: Roles) -> list[str]:
        """Types belong to each line here: nothing to say of the whole file."""
        return []

    def hint(self) -> str:
        """What may be wrong with the whole file when its fields do not fit."""
        return "" if self.columns else "none of its first lines is a JSON object"

    def blocks(self, roles: Roles, progress: Callable[[int], None]) -> Iterator[Block]:
        """The file's rows; ``progress`` is told the bytes of the file read so far."""
        drop = frozenset(roles.drop)
        with Bytes(self.source) as data:
            stream = Utf8(data)
            number = 1
            for lines in _lines(stream):
                numbers = np.arange(number, number + len(lines), dtype=np.int64)
                number += len(lines)
                yield from _read(lines, numbers, roles, drop, stream.broken)
                progress(data.position)


def _read(lines: list[str], rows: Ints, roles: Roles, drop: frozenset[str], broken: bool) -> Iterator[Block]:
    """The fast way for lines of the few shapes that come first, the slow way for the rest."""
    slow = _Rows(roles, drop)
    if not broken:
        for _ in range(_SHAPES):
            shape = _first_shape(lines, roles)
            if shape is None:
                break
            block, taken = jsonl_shape.read(lines, rows, shape, roles)
            if block is not None:
                yield block
            lines, rows = list(compress(lines, ~taken)), rows[~taken]
            if not taken.any():
                break
    for number, line in zip(rows.tolist(), lines, strict=True):
        slow.add(number, line, broken)
    yield slow.block()


def _first_shape(lines: list[str], roles: Roles) -> Shape | None:
    for line in lines[:_TRIED_LINES]:
        try:
            shape = Shape.of(members(line), roles)
        except NotAnObject:
            continue
        if shape is not None:
            return shape
    return None


def _lines(stream: Utf8) -> Iterator[list[str]]:
    """Lists of lines. Of a line longer than LINE_CHARACTERS only the beginning is given, marked as OVERLONG."""
    carry = ""
    while chunk := stream.read(_READ_BYTES):
        first, *rest = chunk.decode().split("\n")
        if not carry.startswith(_OVERLONG):
            carry += first
            if len(carry) > LINE_CHARACTERS:
                carry = _OVERLONG + carry[:KEPT_CHARACTERS]
        if rest:
            *whole, last = rest
            yield [carry, *whole]
            carry = last
    if carry:
        yield [carry]


@dataclass
class _Rows:
    """Rows of one block, gathered line by line."""

    roles: Roles
    drop: frozenset[str]
    rows: list[int] = field(default_factory=list)
    user_id: list[str] = field(default_factory=list)
    event_type: list[str] = field(default_factory=list)
    occurred_at: list[str] = field(default_factory=list)
    event_id: list[str] = field(default_factory=list)
    payload: list[str] = field(default_factory=list)
    faults: list[tuple[int, str, str, str]] = field(default_factory=list)
    blank: int = 0

    def add(self, number: int, line: str, broken: bool) -> None:
        if not line or line.isspace():
            self.blank += 1
            return
        if broken and NOT_UTF8 in line:
            self.faults.append((number, _WHOLE_ROW, line.replace(NOT_UTF8, "\ufffd"), "not UTF-8"))
            return
        if line[0] == _OVERLONG:
            self.faults.append((number, _WHOLE_ROW, line[1:], f"longer than {LINE_CHARACTERS:,} characters"))
            return
        try:
            found = members(line)
        except NotAnObject as error:
            self.faults.append((number, _WHOLE_ROW, line, str(error)))
            return
        roles = self.roles
        self.rows.append(number)
        self.user_id.append(self._text(number, found, roles.user_id, numbers=True))
        if roles.event_type_column is not None:
            self.event_type.append(self._text(number, found, roles.event_type_column))
        self.occurred_at.append(self._time(number, found, roles.occurred_at))
        if roles.event_id is not None:
            self.event_id.append(self._text(number, found, roles.event_id, numbers=True))
        self.payload.append(self._payload(number, found))

    def _text(self, number: int, found: dict[str, str], name: str, *, numbers: bool = False) -> str:
        """A field that must be text, or may be a whole number; empty when it is missing."""
        raw = found.get(name, "null")
        if raw[0] == '"':
            return raw[1:-1] if "\\" not in raw else str(json.loads(raw))
        if raw == "null" or (numbers and _WHOLE_NUMBER.match(raw)):
            return "" if raw == "null" else raw
        self.faults.append((number, name, raw, "neither text nor a whole number" if numbers else "not text"))
        return "?"

    def _time(self, number: int, found: dict[str, str], name: str) -> str:
        raw = found.get(name, "null")
        return raw if raw[0] in "-0123456789" else self._text(number, found, name)

    def _payload(self, number: int, found: dict[str, str]) -> str:
        roles = self.roles
        used = (roles.user_id, roles.event_type_column, roles.occurred_at, roles.event_id, roles.payload)
        rest = [(name, raw) for name, raw in found.items() if name not in used and name not in self.drop]
        whole = found.get(roles.payload, "null") if roles.payload is not None else "null"
        if whole == "null":
            return "{" + ",".join([payload.key_of(name) + raw for name, raw in rest]) + "}"
        if rest:
            names = ", ".join(name for name, _ in rest)
            reason = f"fields beside {roles.payload!r} that are not part of it; leave them out with --drop"
            self.faults.append((number, names[:200], rest[0][1], reason))
        if whole[0] == '"':
            whole = json.loads(whole)
        fault = payload.syntax_fault(whole)
        if fault:
            self.faults.append((number, roles.payload or "payload", whole, fault))
            return payload.EMPTY
        return whole or payload.EMPTY

    def block(self) -> Block:
        """What was gathered, as arrays."""
        return Block(
            rows=np.array(self.rows, np.int64),
            user_id=texts(self.user_id),
            event_type=None if self.roles.event_type_column is None else texts(self.event_type),
            occurred_at=texts(self.occurred_at),
            event_id=None if self.roles.event_id is None else texts(self.event_id),
            payload=texts(self.payload),
            payload_checked=True,
            faults=row_faults(self.faults),
            blank=self.blank,
        )
