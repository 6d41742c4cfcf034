"""Bodies of events taken apart, each value as it is written: a payload is stored digit for digit.

What is wrong with one event is a fault of that event; only what is no JSON at all is refused as a whole. ``NaN`` and
``Infinity``, which Python's own encoder writes, are faults of their event too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.warehouse.ingest.limits import EVENT_ID_CHARACTERS, EVENT_TYPE_CHARACTERS

BATCH_EVENTS = 500
WHOLE_EVENT = "(event)"
FIELDS = ("user_id", "event_type", "occurred_at", "payload", "event_id")
_BLANK = r"[ \t\r\n]*"
_SPACE = re.compile(_BLANK)
_KEY = re.compile(rf'"((?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*)"{_BLANK}:{_BLANK}')
_NEXT = re.compile(rf"{_BLANK},{_BLANK}")
_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SHOWN = 200
_KEPT = 1000


class SentFault(NamedTuple):
    """What is wrong with one field of an event."""

    field: str
    value: str
    reason: str


@dataclass(slots=True)
class SentEvent:
    """An event as it was sent. None: not sent. An event with faults has no other values."""

    user_id: str = ""
    event_type: str = ""
    occurred_at: str | None = None
    payload: str | None = None
    event_id: str | None = None
    faults: list[SentFault] = field(default_factory=list)

    def size(self) -> int:
        """About how many bytes it holds on to."""
        return 300 + len(self.user_id) + len(self.event_type) + len(self.payload or "")


def one_event(body: bytes, uid: str | None = None) -> SentEvent:
    """The body of a single call; with ``uid``, it is this user's event.

    Raises:
        ApiError: not a JSON object.
    """
    reader = _Reader(body, uid)
    if not reader.text.startswith("{", reader.position):
        raise ApiError(400, "the body must be a JSON object: an event")
    found = reader.event()
    reader.end()
    return found


def batch_of_events(body: bytes, uid: str | None = None) -> list[SentEvent]:
    """The body of a batch; with ``uid``, all of it is this user's.

    Raises:
        ApiError: not ``{"events": [...]}``, or too many events (413).
        FieldErrors: another field than ``events``.
    """
    reader = _Reader(body, uid)
    if not reader.text.startswith("{", reader.position):
        raise ApiError(400, 'the body must be a JSON object: {"events": [...]}')
    found: list[SentEvent] | None = None
    for name in reader.names():
        if name != "events":
            raise FieldErrors({readable(name): ["unknown field; a batch has only 'events'"]})
        if found is not None:
            raise FieldErrors({"events": ["named twice"]})
        if not reader.text.startswith("[", reader.position):
            raise FieldErrors({"events": [f"must be a list of up to {BATCH_EVENTS} events"]})
        found = []
        for _ in reader.places():
            if len(found) == BATCH_EVENTS:
                raise ApiError(413, f"a batch holds at most {BATCH_EVENTS} events; send the rest in another")
            found.append(reader.event())
    reader.end()
    if found is None:
        raise FieldErrors({"events": ["missing"]})
    return found


class _Reader:
    """One body and how far it is read. ``names`` and ``places`` yield at a value, which the caller reads."""

    def __init__(self, body: bytes, uid: str | None) -> None:
        self._uid = uid
        try:
            self.text = body.decode()
        except UnicodeDecodeError as error:
            raise ApiError(400, f"the body is not UTF-8, at byte {error.start}") from None
        self.position = 0
        self._constants: list[str] = []
        self._scan = json.JSONDecoder(parse_constant=self._constants.append, parse_int=len, parse_float=len).raw_decode
        self._skip()

    def names(self) -> Iterator[str]:
        """The names in the object that begins here."""
        self.position += 1
        self._skip()
        if self._taken("}"):
            return
        while key := _KEY.match(self.text, self.position):
            self.position = key.end()
            name = key[1]
            yield name if "\\" not in name else self._unescaped(name)
            if not self._another("}"):
                return
        raise self._not_json()

    def places(self) -> Iterator[int]:
        """The places of the list that begins here."""
        self.position += 1
        self._skip()
        if self._taken("]"):
            return
        while True:
            yield self.position
            if not self._another("]"):
                return

    def value(self) -> str:
        """The value that begins here, as it is written."""
        start = self.position
        try:
            self.position = self._scan(self.text, start)[1]
        except (ValueError, RecursionError):
            raise self._not_json() from None
        return self.text[start : self.position]

    def event(self) -> SentEvent:
        """The event that begins here."""
        if not self.text.startswith("{", self.position):
            return _faulty(SentFault(WHOLE_EVENT, self.value(), "not a JSON object"))
        self._constants.clear()
        found: dict[str, str] = {}
        twice = None
        for name in self.names():
            twice = name if name in found else twice
            found[name] = self.value()
        if twice is not None:
            return _faulty(SentFault(twice, found[twice], "named twice"))
        if self._uid is not None:
            found["user_id"] = json.dumps(self._uid)
        return _event(found, holds_constants=bool(self._constants))

    def end(self) -> None:
        """Nothing but blanks may follow."""
        self._skip()
        if self.position != len(self.text):
            raise self._not_json()

    def _another(self, close: str) -> bool:
        following = _NEXT.match(self.text, self.position)
        if following is not None:
            self.position = following.end()
            return True
        self._skip()
        if self._taken(close):
            return False
        raise self._not_json()

    def _taken(self, char: str) -> bool:
        if not self.text.startswith(char, self.position):
            return False
        self.position += 1
        return True

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def _unescaped(self, name: str) -> str:
        try:
            return str(json.loads(f'"{name}"'))
        except ValueError:
            raise self._not_json() from None

    def _not_json(self) -> ApiError:
        return ApiError(400, f"the body is not JSON (near character {self.position}), or nested too deeply")


def readable(text: str) -> str:
    """A text from a body made fit for an answer: not too long, and of whole characters."""
    return text[:_SHOWN].encode(errors="replace").decode()


def _faulty(*faults: SentFault) -> SentEvent:
    return SentEvent(faults=[SentFault(readable(each.field), each.value[:_KEPT], each.reason) for each in faults])


def _event(found: dict[str, str], *, holds_constants: bool) -> SentEvent:
    faults = [SentFault(name, raw, _unknown(name)) for name, raw in found.items() if name not in FIELDS]
    texts: dict[str, str | None] = {}
    for name in ("user_id", "event_type", "occurred_at", "event_id"):
        raw = found.get(name, "null")
        texts[name], reason = _text(raw)
        reason = reason or _fault_of(name, texts[name])
        if reason:
            faults.append(SentFault(name, texts[name] or raw, reason))
    payload = found.get("payload", "null")
    if payload != "null" and payload[0] != "{":
        faults.append(SentFault("payload", payload, "not a JSON object"))
    elif holds_constants:
        faults.append(SentFault("payload", payload, "holds NaN or Infinity, which JSON does not have"))
    if faults:
        return _faulty(*faults)
    return SentEvent(
        texts["user_id"] or "",
        texts["event_type"] or "",
        texts["occurred_at"],
        None if payload == "null" else payload,
        texts["event_id"],
    )


def _text(raw: str) -> tuple[str | None, str]:
    """A text's value, or None and why it is none; ``null`` is nothing sent."""
    if raw[0] != '"':
        return None, "" if raw == "null" else "not text"
    if "\\" not in raw:
        return raw[1:-1], ""
    text = str(json.loads(raw))
    try:
        text.encode()
    except UnicodeEncodeError:
        return None, "holds half a surrogate pair, which is no character"
    return text, ""


def _fault_of(name: str, text: str | None) -> str:
    """What this API asks beyond the rules that every event meets, or an empty text."""
    if not text:
        return "empty; leave it out, or write one" if text is not None and name in ("occurred_at", "event_id") else ""
    if name == "event_type" and not _EVENT_TYPE.fullmatch(text):
        return f"not snake_case: lower-case letters, digits and _, beginning with a letter{_meant(text)}"
    if name == "event_id" and len(text) > EVENT_ID_CHARACTERS:
        return f"longer than {EVENT_ID_CHARACTERS} characters"
    return ""


def _meant(text: str) -> str:
    snake = _HUMP.sub("_", text[:EVENT_TYPE_CHARACTERS]).lower().strip("_")
    return f"; did you mean {snake!r}?" if _EVENT_TYPE.fullmatch(snake) else ""


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:_SHOWN], FIELDS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown field{hint}; an event has {', '.join(FIELDS)}, and properties belong into payload"
