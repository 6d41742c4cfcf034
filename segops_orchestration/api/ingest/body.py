"""Bodies of events taken apart, each value as it is written: a payload is stored digit for digit.

What is wrong with one event is a fault of that event; only what is no JSON at all is refused as a whole. ``NaN`` and
``Infinity``, which Python's own encoder writes, are faults of their event too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.ingest.json_reader import LONGEST_VALUE, JsonReader, NotJson
from segops_orchestration.warehouse.ingest.limits import EVENT_ID_CHARACTERS, EVENT_TYPE_CHARACTERS, PAYLOAD_BYTES

BATCH_EVENTS = 500
WHOLE_EVENT = "(event)"
FIELDS = ("user_id", "event_type", "occurred_at", "payload", "event_id")
_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SHOWN = 200
_KEPT = 1000
_UNKNOWN_TOLD = 20
_TIME_CHARACTERS = 100


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
        texts = (self.user_id, self.event_type, self.occurred_at or "", self.payload or "", self.event_id or "")
        faults = sum(200 + len(each.field) + len(each.value) for each in self.faults)
        return 300 + sum(map(len, texts)) + faults


def one_event(body: bytes, uid: str | None = None) -> SentEvent:
    """The body of a single call; with ``uid``, it is this user's event.

    Raises:
        ApiError: not a JSON object, or longer than any event is (413).
    """
    if len(body) > LONGEST_VALUE:
        raise ApiError(413, f"the event is longer than {LONGEST_VALUE} bytes; its payload may have {PAYLOAD_BYTES}")
    reader = _reader(body)
    with _refusing():
        if not reader.at("{"):
            raise ApiError(400, "the body must be a JSON object: an event")
        found = _read(reader, uid)
        reader.end()
    return found


def batch_of_events(body: bytes, uid: str | None = None) -> list[SentEvent]:
    """The body of a batch; with ``uid``, all of it is this user's.

    Raises:
        ApiError: not ``{"events": [...]}``, or too many events (413).
        FieldErrors: another field than ``events``.
    """
    reader = _reader(body)
    with _refusing():
        if not reader.at("{"):
            raise ApiError(400, 'the body must be a JSON object: {"events": [...]}')
        found = None
        for name in reader.names():
            if name != "events":
                raise FieldErrors({readable(name): ["unknown field; a batch has only 'events'"]})
            if found is not None:
                raise FieldErrors({"events": ["named twice"]})
            found = _listed(reader, uid)
        reader.end()
    if found is None:
        raise FieldErrors({"events": ["missing"]})
    return found


def _listed(reader: JsonReader, uid: str | None) -> list[SentEvent]:
    if not reader.at("["):
        raise FieldErrors({"events": [f"must be a list of up to {BATCH_EVENTS} events"]})
    found: list[SentEvent] = []
    for _ in reader.places():
        if len(found) == BATCH_EVENTS:
            raise ApiError(413, f"a batch holds at most {BATCH_EVENTS} events; send the rest in another")
        found.append(_read(reader, uid))
    return found


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NotJson as error:
        raise ApiError(400, f"the body is {error}") from None


def _reader(body: bytes) -> JsonReader:
    try:
        return JsonReader(body.decode())
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8, at byte {error.start}") from None


def _read(reader: JsonReader, uid: str | None) -> SentEvent:
    """The event that begins here."""
    if not reader.at("{"):
        return _faulty(SentFault(WHOLE_EVENT, reader.value(), "not a JSON object"))
    reader.constants.clear()
    found: dict[str, str] = {}
    twice = None
    for name in reader.names():
        twice = name if name in found else twice
        found[name] = reader.value()
    if twice is not None:
        return _faulty(SentFault(twice, found[twice], "named twice"))
    if uid is not None:
        found["user_id"] = json.dumps(uid)
    return _event(found, holds_constants=bool(reader.constants))


def readable(text: str) -> str:
    """A text from a body made fit for an answer: not too long, and of whole characters."""
    return text[:_SHOWN].encode(errors="replace").decode()


def _faulty(*faults: SentFault) -> SentEvent:
    return SentEvent(faults=[SentFault(readable(each.field), each.value[:_KEPT], each.reason) for each in faults])


def _event(found: dict[str, str], *, holds_constants: bool) -> SentEvent:
    unknown = (name for name in found if name not in FIELDS)
    # A body can name a million; each that is told costs a search for what was meant, and a dead letter.
    faults = [SentFault(name, found[name], _unknown(name)) for name in islice(unknown, _UNKNOWN_TOLD)]
    texts: dict[str, str | None] = {}
    for name in ("user_id", "event_type", "occurred_at", "event_id"):
        raw = found.get(name, "null")
        texts[name], reason = _text(raw)
        if reason and name == "occurred_at":
            reason += "; write it like 2026-01-31T10:00:00Z"
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
    if name == "occurred_at" and len(text) > _TIME_CHARACTERS:
        return f"longer than {_TIME_CHARACTERS} characters"
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
