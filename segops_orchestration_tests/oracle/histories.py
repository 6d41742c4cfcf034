"""Generated lives of a tenant, for comparing full and delta computations with the oracle.

A history is one JSON value, ``{"steps": [step, ...]}``. Instants in it are whole milliseconds relative to the
start of the tenant's clock, which begins at 0. A step is one of

- ``{"do": "define", "slug": S, "definition": {...}}``: create or edit a segment. It refers by slug, only to
  segments already defined that stand before it in ``vocabulary.SLUGS``, so there are no cycles.
- ``{"do": "ingest", "received": MS, "events": [EVENT, ...]}``: deliver one batch, where EVENT is
  ``{"event_id", "user_id", "event_type", "occurred": MS, "payload": JSON text}``. ``received`` is the batch's
  ``ingested_at``: different for every batch, rarely below an earlier one's (two loaders at once).
- ``{"do": "advance", "ms": N}``: move the clock, often exactly onto the edge of a window.
- ``{"do": "compute", "mode": "delta" | "full"}``: compute every segment at the clock's instant. The last step
  is one.

Batches hold late events, future-dated ones, ties, the same event twice, events delivered again later (payload
the same or changed), and an event id used again at another time, which is another event. ``replay`` turns a
history into instants and events, and says what the oracle expects after each computation.

    @given(histories())                     # or, with neither shrinking nor hypothesis: draw_history(Random(seed))
    def test_the_engine_agrees(history):
        for step in replay(history):
            match step:
                case Define(slug, definition): ...
                case Ingest(events): ...
                case Compute(mode, at, expected): ...   # members of every segment, by slug
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.documents import Pools, draw_definition, time_limits
from segops_orchestration_tests.oracle.evaluate import IDENTIFICATION, Event, SegmentKey, members_of_all
from segops_orchestration_tests.oracle.values import DAY_MS
from segops_orchestration_tests.oracle.vocabulary import (
    EVENT_TYPES,
    PROPERTY_TESTS,
    SLUGS,
    TEXTS,
    USERS,
    WINDOW_DAYS,
    tests_met_by,
    tests_of,
)

T = TypeVar("T")
History = dict[str, Any]

START = datetime(2026, 1, 31, tzinfo=UTC)
"""Where the clock of a history begins unless told otherwise."""

HOUR_MS = 3_600_000
FARTHEST_STEP_MS = 40 * DAY_MS


# -- replay ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Define:
    """Create or edit a segment."""

    slug: str
    definition: dict[str, Any]


@dataclass(frozen=True)
class Ingest:
    """Deliver a batch of events, all with one ``ingested_at``."""

    events: tuple[Event, ...]


@dataclass(frozen=True)
class Compute:
    """Compute all segments at ``at``; then the members of each, by slug, must be ``expected``."""

    mode: str
    at: datetime
    expected: Mapping[str, frozenset[str]]


def replay(
    history: History, start: datetime = START, received_from: datetime | None = None
) -> Iterator[Define | Ingest | Compute]:
    """The steps of a history in order, instants resolved; the oracle judges each computation.

    ``start`` is the clock's beginning, ``received_from`` the origin of ``ingested_at`` (default ``start``);
    both are timezone-aware. The answers depend on neither.
    """
    clock = start
    segments: dict[SegmentKey, dict[str, Any]] = {}
    delivered: list[Event] = []
    for step in history["steps"]:
        match step["do"]:
            case "advance":
                clock += timedelta(milliseconds=step["ms"])
            case "define":
                segments[step["slug"]] = step["definition"]
                yield Define(step["slug"], step["definition"])
            case "ingest":
                batch = events_of(step, start, received_from or start)
                delivered.extend(batch)
                yield Ingest(batch)
            case "compute":
                expected = members_of_all(segments, delivered, clock)
                yield Compute(step["mode"], clock, {str(slug): found for slug, found in expected.items()})


def events_of(batch: Mapping[str, Any], start: datetime, received_from: datetime) -> tuple[Event, ...]:
    """The deliveries of an ``ingest`` step."""
    ingested_at = received_from + timedelta(milliseconds=batch["received"])
    return tuple(
        Event(
            event_id=UUID(event["event_id"]),
            user_id=event["user_id"],
            event_type=event["event_type"],
            occurred_at=start + timedelta(milliseconds=event["occurred"]),
            ingested_at=ingested_at,
            payload=event["payload"],
        )
        for event in batch["events"]
    )


# -- generation ------------------------------------------------------------------------------------------

_EDGE = (0, -1, 1)
_DELIVERIES = ("new",) * 7 + ("again", "changed", "moved")
# Distinct modulo 1,000, so that no two batches are received at the same instant.
_SKEWS_MS = (0, 0, 0, 0, -1_300, -2_700)
_ROUNDS = (
    ("ingest", "compute"),
    ("ingest", "advance", "compute"),
    ("advance", "ingest", "compute"),
    ("compute", "advance", "ingest", "compute"),
    ("define", "ingest", "compute"),
    ("ingest", "compute", "define", "advance", "compute"),
    ("ingest", "compute", "advance", "compute", "advance", "compute"),
    ("ingest",),
)


def histories() -> st.SearchStrategy[History]:
    """Histories as described at the top of this module, for hypothesis to vary and to shrink.

    Every choice is one number in hypothesis' hands and none is marked as a part of its own: hypothesis likes to
    copy such parts over one another, and five histories of six would be near copies of the sixth.
    """
    return st.randoms(use_true_random=False).map(draw_history)


def draw_history(random: Random) -> History:
    """One history; all that is random in it comes from ``random``, by ``choice`` alone."""
    world = _draw_world(random)
    slugs = SLUGS[: random.choice(range(1, len(SLUGS) + 1))]
    steps: list[dict[str, Any]] = [_draw_define(random, world, slugs, index) for index in range(len(slugs))]
    for batch in world.batches:
        for action in random.choice(_ROUNDS):
            steps.append(batch if action == "ingest" else _draw_step(random, action, world, slugs))
    for _ in random.choice(tuple(range(most) for most in range(4))):
        steps.append(_draw_step(random, "advance", world, slugs))
        steps.append(_draw_step(random, "compute", world, slugs))
    if steps[-1]["do"] != "compute":
        steps.append({"do": "compute", "mode": "delta"})
    return {"steps": steps}


@dataclass
class _World:
    """What a history is about, and what has been drawn of it."""

    windows: list[float]
    users: tuple[str, ...]
    event_types: list[str]
    moments: list[int]
    payloads: list[dict[str, str]]
    batches: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, list[tuple[frozenset[str], int]]] = field(default_factory=dict)
    clock: int = 0

    @cached_property
    def pools(self) -> Pools:
        pieces = sorted({piece for payload in self.payloads for piece in payload.items()})
        met = [test for key, text in pieces for test in tests_met_by(key, text)]
        asked = [test for key in dict(pieces) for test in tests_of(key)]
        return Pools.of(self.events, self.event_types, self.windows, [met, asked or PROPERTY_TESTS])


def _some(random: Random, choices: Iterable[T], least: int, most: int) -> list[T]:
    """``least`` to ``most`` of the choices, each once."""
    left = list(choices)
    return [left.pop(random.choice(range(len(left)))) for _ in range(random.choice(range(least, most + 1)))]


def _draw_world(random: Random) -> _World:
    windows = _some(random, WINDOW_DAYS, 1, 2)
    moments = [0, -1, 1, -HOUR_MS, DAY_MS, -DAY_MS]
    moments += [edge - _days(days) for days in windows for edge in _EDGE]
    moments += [_days(days) for days in windows]
    others = [name for name in EVENT_TYPES if name != IDENTIFICATION]
    keys = ["total", *_some(random, (key for key in TEXTS if key != "total"), 1, 2)]
    world = _World(
        windows=windows,
        users=USERS[: random.choice((1, 2, 3, 3, 4, 6))],
        event_types=[*_some(random, others, 1, random.choice((1, 2))), IDENTIFICATION],
        moments=_some(random, dict.fromkeys(moments), 2, 6),
        payloads=[_draw_payload(random, keys) for _ in range(random.choice(range(2, 7)))],
    )
    for index in range(random.choice(range(1, 5))):
        world.batches.append(_draw_batch(random, world, index))
    return world


def _draw_payload(random: Random, keys: Sequence[str]) -> dict[str, str]:
    drawn = {key: random.choice((None, *TEXTS[key])) for key in keys}
    return {key: text for key, text in drawn.items() if text is not None}


def _draw_batch(random: Random, world: _World, index: int) -> dict[str, Any]:
    payloads: dict[tuple[str, ...], str] = {}
    batch = []
    separator = random.choice((":", ": "))
    texts = [_json_text(payload, separator) for payload in ({}, *world.payloads)]
    for _ in range(random.choice((1, *range(5, 20)) if index == 0 else range(1, 7))):
        event: dict[str, Any] = {
            "event_id": _event_id(len(world.events)),
            "user_id": random.choice(world.users),
            "event_type": random.choice(world.event_types),
            "occurred": random.choice(world.moments),
            "payload": random.choice(texts),
        }
        delivery = random.choice(_DELIVERIES)
        if delivery != "new" and world.events:
            event = _repeated(random, world, event, delivery)
        # Two deliveries of one event at one instant have one payload: which would come first is undefined.
        identity = tuple(str(event[name]) for name in ("event_type", "user_id", "occurred", "event_id"))
        event["payload"] = payloads.setdefault(identity, event["payload"])
        batch.append(event)
        world.events.append(event)
    return {"do": "ingest", "received": index * 1_000 + random.choice(_SKEWS_MS), "events": batch}


def _json_text(payload: Mapping[str, str], separator: str) -> str:
    return "{" + ",".join(f'"{key}"{separator}{text}' for key, text in payload.items()) + "}"


def _repeated(random: Random, world: _World, fresh: dict[str, Any], delivery: str) -> dict[str, Any]:
    earlier = random.choice(world.events)
    if delivery == "again":
        return dict(earlier)
    if delivery == "changed":
        return {**earlier, "payload": fresh["payload"]}
    return {**earlier, "occurred": fresh["occurred"], "payload": fresh["payload"]}


def _event_id(index: int) -> str:
    """Ids whose order as text is not that of their second halves, by which ClickHouse sorts a UUID."""
    return str(UUID(int=((index * 7 + 3) % 64) << 64 | (index * 13 + 5) % 64))


def _days(days: float) -> int:
    return round(days * DAY_MS)


def _draw_step(random: Random, action: str, world: _World, slugs: Sequence[str]) -> dict[str, Any]:
    if action == "advance":
        return _draw_advance(random, world)
    if action == "compute":
        return {"do": "compute", "mode": random.choice(("delta", "delta", "delta", "full"))}
    return _draw_define(random, world, slugs, random.choice(range(len(slugs))))


def _draw_define(random: Random, world: _World, slugs: Sequence[str], index: int) -> dict[str, Any]:
    definition = draw_definition(random, world.pools, slugs[:index])
    world.limits[slugs[index]] = time_limits(definition)
    return {"do": "define", "slug": slugs[index], "definition": definition}


def _draw_advance(random: Random, world: _World) -> dict[str, Any]:
    """To where some event reaches a limit of some segment or comes due, to one ms off it, or just onwards."""
    limits = {limit for found in world.limits.values() for limit in found}
    reached = {e["occurred"] + span for types, span in limits for e in world.events if e["event_type"] in types}
    turns = {turn + edge for turn in reached.union(world.moments) for edge in _EDGE}
    turns |= {world.clock + ms for ms in (1, DAY_MS)}
    instant = random.choice(sorted(i for i in turns if world.clock < i <= world.clock + FARTHEST_STEP_MS))
    step = {"do": "advance", "ms": instant - world.clock}
    world.clock = instant
    return step
