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

    @given(histories())
    def test_the_engine_agrees(history):
        for step in replay(history):
            match step:
                case Define(slug, definition): ...
                case Ingest(events): ...
                case Compute(mode, at, expected): ...   # members of every segment, by slug
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.documents import Draw, Pools, draw_definition
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
)

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


# -- strategies ------------------------------------------------------------------------------------------

_EDGE = (0, -1, 1)
_WINDOWS = st.lists(st.sampled_from(WINDOW_DAYS), min_size=1, max_size=2, unique=True)
_USER_COUNT = st.sampled_from((2, 3, 1, 4, 6))
_OTHER_TYPES = st.lists(st.sampled_from(EVENT_TYPES[:-1]), min_size=1, max_size=2, unique=True)
_KEYS = st.lists(st.sampled_from([key for key in TEXTS if key != "total"]), min_size=1, max_size=2, unique=True)
_TEXTS = {key: st.sampled_from((None, *texts)) for key, texts in TEXTS.items()}
_PAYLOADS = st.integers(2, 5)
_BATCHES = st.integers(1, 4)
_BATCH_SIZE = st.integers(1, 6)
_EXTRA_AT_FIRST = st.integers(1, 9)
_SEGMENTS = st.integers(1, len(SLUGS))
_DELIVERY = st.sampled_from(("new",) * 7 + ("again", "changed", "moved"))
# Distinct modulo 1,000, so that no two batches are received at the same instant.
_SKEW_MS = st.sampled_from((0, 0, 0, 0, -1_300, -2_700))
_SPACED = st.booleans()
_MODE = st.sampled_from(("delta", "delta", "delta", "full"))
_ROUNDS = st.sampled_from(
    (
        ("ingest", "compute"),
        ("ingest", "advance", "compute"),
        ("advance", "ingest", "compute"),
        ("compute", "advance", "ingest", "compute"),
        ("define", "ingest", "compute"),
        ("ingest", "compute", "define", "advance", "compute"),
        ("ingest", "compute", "advance", "compute", "advance", "compute"),
        ("ingest",),
    )
)
_CLOSING_ADVANCES = st.integers(0, 3)


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
    clock: int = 0

    def pools(self) -> Pools:
        pieces = {piece for payload in self.payloads for piece in payload.items()}
        tests = [test for key, text in sorted(pieces) for test in tests_met_by(key, text)]
        return Pools.of(self.events, self.event_types, self.windows, tests or PROPERTY_TESTS)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A tenant's history as described at the top of this module."""
    world = _draw_world(draw)
    pools = world.pools()
    slugs = SLUGS[: draw(_SEGMENTS)]
    steps: list[dict[str, Any]] = [_draw_define(draw, pools, slugs, index) for index in range(len(slugs))]
    pending = iter(world.batches)
    for batch in pending:
        for action in draw(_ROUNDS):
            steps.append(batch if action == "ingest" else _draw_step(draw, action, world, pools, slugs))
    for _ in range(draw(_CLOSING_ADVANCES)):
        steps.append(_draw_step(draw, "advance", world, pools, slugs))
        steps.append(_draw_step(draw, "compute", world, pools, slugs))
    if steps[-1]["do"] != "compute":
        steps.append({"do": "compute", "mode": "delta"})
    return {"steps": steps}


def _draw_step(draw: Draw, action: str, world: _World, pools: Pools, slugs: Sequence[str]) -> dict[str, Any]:
    if action == "advance":
        return _draw_advance(draw, world)
    if action == "compute":
        return {"do": "compute", "mode": draw(_MODE)}
    return _draw_define(draw, pools, slugs, draw(st.integers(0, len(slugs) - 1)))


def _draw_define(draw: Draw, pools: Pools, slugs: Sequence[str], index: int) -> dict[str, Any]:
    return {"do": "define", "slug": slugs[index], "definition": draw_definition(draw, pools, slugs[:index])}


def _draw_world(draw: Draw) -> _World:
    windows = draw(_WINDOWS)
    candidates = [0, -1, 1, -HOUR_MS, DAY_MS, -DAY_MS]
    candidates += [edge - _days(days) for days in windows for edge in _EDGE]
    candidates += [_days(days) for days in windows]
    keys = ["total", *draw(_KEYS)]
    world = _World(
        windows=windows,
        users=USERS[: draw(_USER_COUNT)],
        event_types=[*draw(_OTHER_TYPES), IDENTIFICATION],
        moments=draw(st.lists(st.sampled_from(candidates), min_size=2, max_size=6)),
        payloads=[_draw_payload(draw, keys) for _ in range(draw(_PAYLOADS))],
    )
    for index in range(draw(_BATCHES)):
        world.batches.append(_draw_batch(draw, world, index))
    return world


def _draw_payload(draw: Draw, keys: Sequence[str]) -> dict[str, str]:
    drawn = {key: draw(_TEXTS[key]) for key in keys}
    return {key: text for key, text in drawn.items() if text is not None}


def _draw_batch(draw: Draw, world: _World, index: int) -> dict[str, Any]:
    payloads: dict[tuple[str, ...], str] = {}
    batch = []
    user, event_type = st.sampled_from(world.users), st.sampled_from(world.event_types)
    moment, payload = st.sampled_from(world.moments), st.sampled_from([{}, *world.payloads])
    separator = ": " if draw(_SPACED) else ":"
    for _ in range(draw(_BATCH_SIZE) + (draw(_EXTRA_AT_FIRST) if index == 0 else 0)):
        event = {
            "event_id": _event_id(len(world.events)),
            "user_id": draw(user),
            "event_type": draw(event_type),
            "occurred": draw(moment),
            "payload": _json_text(draw(payload), separator),
        }
        delivery = draw(_DELIVERY)
        if delivery != "new" and world.events:
            event = _repeated(draw, world, event, delivery)
        # Two deliveries of one event at one instant have one payload: which would come first is undefined.
        identity = tuple(str(event[name]) for name in ("event_type", "user_id", "occurred", "event_id"))
        event["payload"] = payloads.setdefault(identity, event["payload"])
        batch.append(event)
        world.events.append(event)
    return {"do": "ingest", "received": index * 1_000 + draw(_SKEW_MS), "events": batch}


def _json_text(payload: Mapping[str, str], separator: str) -> str:
    return "{" + ",".join(f'"{key}"{separator}{text}' for key, text in payload.items()) + "}"


def _repeated(draw: Draw, world: _World, fresh: dict[str, Any], delivery: str) -> dict[str, Any]:
    earlier = draw(st.sampled_from(world.events))
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


def _draw_advance(draw: Draw, world: _World) -> dict[str, Any]:
    """To where some event crosses the edge of some window or comes due, to one ms off it, or just onwards."""
    spans = [0, DAY_MS, *(_days(days) + extra for days in world.windows for extra in (0, DAY_MS))]
    near = {world.clock + ms for ms in (1, HOUR_MS, DAY_MS)}
    edges = {moment + span + edge for moment in world.moments for span in spans for edge in _EDGE}
    reachable = sorted(i for i in near | edges if world.clock < i <= world.clock + FARTHEST_STEP_MS)
    instant = draw(st.sampled_from(reachable))
    step = {"do": "advance", "ms": instant - world.clock}
    world.clock = instant
    return step
