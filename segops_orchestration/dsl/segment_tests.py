"""Tests in a segment file: events, an instant, and who must be in the segment then, and who must not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.dsl.faults import (
    Fault,
    Fields,
    Rule,
    encoding_fault,
    object_problems,
    refused,
    single,
    text_fault,
)
from segops_orchestration.dsl.values import parse_date
from segops_orchestration.dsl.wording import child, element, found
from segops_orchestration.errors import Problem

MAX_TESTS = 100
MAX_EVENTS = 1_000
MAX_USERS = 1_000
FIRST_YEAR, LAST_YEAR = 1970, 2200

RELATIVE_TEXT = "[+-][0-9]{1,6}[smhdw]"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class GivenEvent(BaseModel):
    """An event of a test. ``occurred_at`` is an ISO date or time, or a distance from the test's ``at`` such as -3d."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    event_type: str
    occurred_at: str
    payload: dict[str, Any] = {}
    event_id: str | None = None

    def instant(self, at: datetime) -> datetime:
        """When it happened, in UTC. Raises ValueError for text that the parser refuses."""
        instant = _occurred_at(self.occurred_at, at)
        if instant is None:
            raise ValueError(f"{self.occurred_at!r} is no instant")
        return instant


class SegmentTest(BaseModel):
    """Given these events, at this instant, these users are in the segment (``in``) and those are not (``out``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    at: str
    events: tuple[GivenEvent, ...]
    in_: tuple[str, ...] = Field(default=(), alias="in")
    out: tuple[str, ...] = ()

    @property
    def instant(self) -> datetime:
        """``at`` in UTC. Raises ValueError for text that the parser refuses."""
        instant = parse_date(self.at)
        if instant is None:
            raise ValueError(f"{self.at!r} is no instant")
        return instant


def tests_problems(path: str, value: object) -> Iterator[Problem]:
    """What is wrong with the tests that stand at ``path`` of a segment document."""
    yield from _each(path, value, (1, MAX_TESTS), "tests", _test_problems)


def _each(
    path: str, value: object, sizes: tuple[int, int], noun: str, problems: Callable[[str, object], Iterator[Problem]]
) -> Iterator[Problem]:
    least, most = sizes
    if not isinstance(value, list | tuple) or not least <= len(value) <= most:
        yield Problem(path, refused(value, f"an array of {least} to {most:,} {noun}"))
        return
    for index, item in enumerate(value):
        yield from problems(element(path, index), item)


def _test_problems(path: str, test: object) -> Iterator[Problem]:
    if not isinstance(test, dict):
        yield Problem(path, refused(test, "an object with at, events, in and out"))
        return
    before = list(object_problems(path, test, "a test", TEST_FIELDS, ("at", "events")))
    yield from before
    if not before:
        yield from _between_fields(path, test)


def _between_fields(path: str, test: Fields) -> Iterator[Problem]:
    """What only shows when the fields are seen together; each is fine by itself."""
    listed = {name: _listed(test, name) for name in ("in", "out")}
    if not listed["in"] and not listed["out"]:
        yield Problem(path, "in and out are both missing; name at least one user in one of them")
    for index, user in enumerate(listed["out"]):
        if user in listed["in"]:
            yield Problem(element(child(path, "out"), index), f"{found(user)} is listed under in too")
    events = test["events"]
    assert isinstance(events, list | tuple)
    have_events = {event["user_id"] for event in events}
    for name, users in listed.items():
        for index, user in enumerate(users):
            if user not in have_events:
                yield Problem(
                    element(child(path, name), index),
                    f"{found(user)} has no event in this test; who has none is in no segment",
                )
    at = parse_date(test["at"])
    assert at is not None
    for index, event in enumerate(events):
        instant = _occurred_at(event["occurred_at"], at)
        if instant is None or not FIRST_YEAR <= instant.year <= LAST_YEAR:
            where = child(element(child(path, "events"), index), "occurred_at")
            yield Problem(where, refused(event["occurred_at"], f"an instant in the years {FIRST_YEAR} to {LAST_YEAR}"))


def _listed(test: Fields, name: str) -> list[str]:
    users = test.get(name, ())
    assert isinstance(users, list | tuple)
    return list(users)


def _event_problems(path: str, event: object) -> Iterator[Problem]:
    if not isinstance(event, dict):
        yield Problem(path, refused(event, "an object with user_id, event_type and occurred_at"))
        return
    yield from object_problems(path, event, "an event", EVENT_FIELDS, ("user_id", "event_type", "occurred_at"))


def _user_problems(path: str, user: object) -> Iterator[Problem]:
    fault = _user_fault(user)
    if fault is not None:
        yield Problem(path, fault)


def _occurred_at(text: object, at: datetime) -> datetime | None:
    if not _is_relative(text):
        return parse_date(text)
    try:
        return at + timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    except OverflowError:
        return None


_NAME = "text of 1 to 200 characters"
_AT = "an ISO date or time such as 2026-03-01T12:00:00Z"
_OCCURRED_AT = f"{_AT}, or one relative to at such as -3d or +90m (s, m, h, d, w)"
_USER = "a user id, text of 1 to 512 characters"
_EVENT_TYPE = "an event type, text of 1 to 256 characters"
_PAYLOAD = "an object of properties"
_EVENT_ID = "text of 1 to 256 characters; two events of one id are one event"


def _at_fault(value: object) -> Fault:
    at = parse_date(value)
    return None if at is not None and FIRST_YEAR <= at.year <= LAST_YEAR else refused(value, _AT)


def _occurred_at_fault(value: object) -> Fault:
    return None if _is_relative(value) or parse_date(value) is not None else refused(value, _OCCURRED_AT)


def _is_relative(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(RELATIVE_TEXT, value, re.ASCII) is not None


def _user_fault(value: object) -> Fault:
    if not isinstance(value, str) or not 1 <= len(value) <= 512:
        return refused(value, _USER)
    return encoding_fault(value)


def _payload_fault(value: object) -> Fault:
    return None if isinstance(value, dict) else refused(value, _PAYLOAD)


def _array(noun: str, sizes: tuple[int, int], problems: Callable[[str, object], Iterator[Problem]]) -> Rule:
    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        yield from _each(path, value, sizes, noun, problems)

    return Rule(f"an array of {noun}", check)


TEST_FIELDS: Mapping[str, Rule] = {
    "name": single(_NAME, lambda value: text_fault(value, 200, _NAME)),
    "at": single(_AT, _at_fault),
    "events": _array("events", (1, MAX_EVENTS), _event_problems),
    "in": _array("user ids", (0, MAX_USERS), _user_problems),
    "out": _array("user ids", (0, MAX_USERS), _user_problems),
}
EVENT_FIELDS: Mapping[str, Rule] = {
    "user_id": single(_USER, _user_fault),
    "event_type": single(_EVENT_TYPE, lambda value: text_fault(value, 256, _EVENT_TYPE)),
    "occurred_at": single(_OCCURRED_AT, _occurred_at_fault),
    "payload": single(_PAYLOAD, _payload_fault),
    "event_id": single(_EVENT_ID, lambda value: text_fault(value, 256, _EVENT_ID)),
}
