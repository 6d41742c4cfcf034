"""Generated lives of a tenant, for comparing full and delta computations with the oracle.

A history is one JSON value, ``{"steps": [step, ...]}``. Instants in it are whole milliseconds relative to
``vocabulary.START``, where the tenant's clock begins. A step is one of

- ``{"do": "define", "slug": S, "definition": {...}}``: create or edit a segment. It refers by slug, only to
  segments already defined that stand before it in ``vocabulary.SLUGS``, so there are no cycles.
- ``{"do": "ingest", "received": MS, "events": [EVENT, ...]}``: deliver one batch, where EVENT is
  ``{"event_id", "user_id", "event_type", "occurred": MS, "payload": JSON text}``. ``received`` is the batch's
  ``ingested_at``: different for every batch, rarely below an earlier one's (two loaders at once).
- ``{"do": "advance", "ms": N}``: move the clock, often exactly onto a time limit of a segment.
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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from segops_orchestration_tests.oracle.evaluate import Event, SegmentKey, members_of_all
from segops_orchestration_tests.oracle.vocabulary import START
from segops_orchestration_tests.oracle.worlds import World, draw_advance, draw_define, draw_world

History = dict[str, Any]


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
    history: History, received_from: datetime = START, *, judged: bool = True
) -> Iterator[Define | Ingest | Compute]:
    """The steps of a history in order, instants resolved; the oracle judges each computation, if it is to.

    ``received_from`` is the origin of ``ingested_at``, timezone-aware; the answers do not depend on it.
    """
    clock = START
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
                batch = events_of(step, received_from)
                delivered.extend(batch)
                yield Ingest(batch)
            case "compute":
                expected = members_of_all(segments, delivered, clock) if judged else {}
                yield Compute(step["mode"], clock, {str(slug): found for slug, found in expected.items()})


def events_of(batch: Mapping[str, Any], received_from: datetime) -> tuple[Event, ...]:
    """The deliveries of an ``ingest`` step."""
    ingested_at = received_from + timedelta(milliseconds=batch["received"])
    return tuple(
        Event(
            event_id=UUID(event["event_id"]),
            user_id=event["user_id"],
            event_type=event["event_type"],
            occurred_at=START + timedelta(milliseconds=event["occurred"]),
            ingested_at=ingested_at,
            payload=event["payload"],
        )
        for event in batch["events"]
    )


# -- generation ------------------------------------------------------------------------------------------

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


def histories(extended: bool | None = None) -> st.SearchStrategy[History]:
    """Histories as described at the top of this module, for hypothesis to vary and to shrink.

    Every choice is one number in hypothesis' hands and none is marked as a part of its own: hypothesis likes to
    copy such parts over one another, and five histories of six would be near copies of the sixth.

    ``extended`` says whether definitions use the extensions of the language; by default a third of the histories
    are public, the others extended.
    """
    return st.randoms(use_true_random=False).map(lambda random: draw_history(random, extended))


def draw_history(random: Random, extended: bool | None = None) -> History:
    """One history; all that is random in it comes from ``random``, by ``choice`` alone."""
    world = draw_world(random, extended=extended)
    steps: list[dict[str, Any]] = [_draw_define(random, world, index) for index in range(len(world.slugs))]
    for batch in world.batches:
        for action in random.choice(_ROUNDS):
            steps.append(batch if action == "ingest" else _draw_step(random, action, world))
    for _ in random.choice(tuple(range(most) for most in range(4))):
        steps.append(_draw_step(random, "advance", world))
        steps.append(_draw_step(random, "compute", world))
    if steps[-1]["do"] != "compute":
        steps.append({"do": "compute", "mode": "delta"})
    return {"steps": steps}


def _draw_step(random: Random, action: str, world: World) -> dict[str, Any]:
    if action == "advance":
        return draw_advance(random, world)
    if action == "compute":
        return {"do": "compute", "mode": random.choice(("delta", "delta", "delta", "full"))}
    return _draw_define(random, world, random.choice(range(len(world.slugs))))


def _draw_define(random: Random, world: World, index: int) -> dict[str, Any]:
    return draw_define(random, world, world.slugs[index], world.slugs[:index])
