"""One generated world: its users, event types and payloads, what happens to them, and what is asked about them.

All that is random in a world comes from the given ``random``, by ``choice`` alone. Instants are whole milliseconds
relative to ``START``; a batch, a definition and a step of the clock are the JSON steps of ``histories``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from segops_orchestration_tests.oracle.documents import draw_definition
from segops_orchestration_tests.oracle.evaluate import IDENTIFICATION
from segops_orchestration_tests.oracle.limits import TimeLimit, dates_in, time_limits
from segops_orchestration_tests.oracle.pools import Extensions, Pools
from segops_orchestration_tests.oracle.values import DAY_MS, EPOCH, milliseconds, shifted
from segops_orchestration_tests.oracle.vocabulary import (
    CALENDAR_UNITS,
    DURATIONS,
    EVENT_TYPES,
    EXACT_UNITS,
    SLUGS,
    START,
    TEXTS,
    USERS,
    WINDOW_DAYS,
    extended_tests_of,
    tests_met_by,
    tests_of,
)

T = TypeVar("T")
Step = dict[str, Any]

HOUR_MS = 3_600_000
START_MS = milliseconds(START)
_EDGE = (0, -1, 1)
_DELIVERIES = ("new",) * 7 + ("again", "changed", "moved")
_EXTENDED_DELIVERIES = (*_DELIVERIES, "later", "later")
# Distinct modulo 1,000, so that no two batches are received at the same instant.
_SKEWS_MS = (0, 0, 0, 0, -1_300, -2_700)
# How far one step of the clock may go: seldom so far that leap days and years are within reach.
_FARTHEST_DAYS = (40, 40, 40, 120, 400)
_FARTHEST_DAYS_BY_CALENDAR = (120, 120, 400, 800)


def _since_start(*texts: str) -> tuple[int, ...]:
    """ISO dates and times as milliseconds from the start."""
    return tuple(milliseconds(datetime.fromisoformat(text).replace(tzinfo=UTC)) - START_MS for text in texts)


# Where months are short, and the instants whose distance in months is odd.
_CALENDAR_MOMENTS = _since_start(
    "2025-01-31", "2025-02-28", "2025-10-31", "2025-11-30", "2025-11-30T12", "2025-12-31", "2025-12-31T12",
    "2026-01-28", "2026-01-30T12", "2026-02-28", "2026-02-28T12",
)  # fmt: skip
_CALENDAR_TURNS = _since_start(
    "2026-02-28", "2026-02-28T12", "2026-03-01", "2026-03-28T18", "2026-03-29", "2026-03-29T06", "2026-03-30T06",
    "2026-03-31", "2026-03-31T12", "2026-04-30", "2026-05-31", "2027-01-31", "2027-02-28T12", "2028-02-28",
    "2028-02-29", "2028-02-29T12", "2028-03-01", "2028-03-31",
)  # fmt: skip


@dataclass
class World:
    """What a history is about, and what has been drawn of it.

    ``prefix`` stands before its users, slugs and event types, so that several worlds can share a tenant.
    """

    prefix: str
    windows: list[float]
    users: tuple[str, ...]
    event_types: list[str]
    slugs: tuple[str, ...]
    moments: list[int]
    payloads: list[dict[str, str]]
    extensions: Extensions | None
    farthest_ms: int
    batches: list[Step] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, list[TimeLimit]] = field(default_factory=dict)
    clock: int = 0

    @cached_property
    def pools(self) -> Pools:
        """What its definitions are drawn from, near the events that were drawn before the first definition."""
        extended = self.extensions is not None
        pieces = sorted({piece for payload in self.payloads for piece in payload.items()})
        met = [test for key, text in pieces for test in tests_met_by(key, text, extended)]
        asked = [test for key in dict(pieces) for test in tests_of(key, extended)]
        beyond = [test for key in dict(pieces) for test in extended_tests_of(key)] if extended else []
        groups = [met, asked, beyond, beyond] if asked else []
        return Pools.of(self.events, self.event_types, self.windows, groups, self.extensions)


def some(random: Random, choices: Iterable[T], least: int, most: int) -> list[T]:
    """``least`` to ``most`` of the choices, each once."""
    left = list(choices)
    return [left.pop(random.choice(range(len(left)))) for _ in range(random.choice(range(least, most + 1)))]


def draw_world(random: Random, prefix: str = "", extended: bool | None = None) -> World:
    """A world with one to four batches of events, and no segments yet.

    ``extended`` says whether its definitions use the extensions of the language; None leaves it to chance.
    """
    with_extensions = random.choice((False, True, True)) if extended is None else extended
    by_calendar = with_extensions and random.choice((False, False, True))
    windows = some(random, WINDOW_DAYS, 1, 2)
    units = CALENDAR_UNITS if by_calendar else (*CALENDAR_UNITS, *EXACT_UNITS)
    choices = dict.fromkeys(duration for duration in DURATIONS if duration[1] in units)
    durations = some(random, choices, 1, 2) if with_extensions else []
    moments = [0, -1, 1, -HOUR_MS, DAY_MS, -DAY_MS]
    moments += [edge - _days(days) for days in windows for edge in _EDGE]
    moments += [_days(days) for days in windows]
    moments += [moment for duration in durations for moment in _moments_of(duration)]
    chosen = some(random, dict.fromkeys(moments), 2, 6)
    if by_calendar:
        chosen += some(random, (moment for moment in _CALENDAR_MOMENTS if moment not in chosen), 1, 3)
    farthest = _FARTHEST_DAYS_BY_CALENDAR if by_calendar else _FARTHEST_DAYS
    others = [name for name in EVENT_TYPES if name != IDENTIFICATION]
    keys = ["total", *_other_keys(random, with_extensions)]
    world = World(
        prefix=prefix,
        windows=windows,
        users=tuple(f"{prefix}{user}" for user in USERS[: random.choice((1, 2, 3, 3, 4, 6))]),
        event_types=[*(f"{prefix}{t}" for t in some(random, others, 1, random.choice((1, 2)))), IDENTIFICATION],
        slugs=tuple(f"{prefix}{slug}" for slug in SLUGS[: random.choice(range(1, len(SLUGS) + 1))]),
        moments=chosen,
        payloads=[_draw_payload(random, keys) for _ in range(random.choice(range(2, 7)))],
        extensions=Extensions(durations, _instants(chosen)) if with_extensions else None,
        farthest_ms=(random.choice(farthest) if with_extensions else 40) * DAY_MS,
    )
    for _ in range(random.choice(range(1, 5))):
        world.batches.append(draw_batch(random, world))
    return world


def _other_keys(random: Random, extended: bool) -> list[str]:
    """One or two keys beside ``total``; with extensions often one that they ask about."""
    keys = [key for key in TEXTS if key != "total" and (extended or key != "items")]
    if not extended:
        return some(random, keys, 1, 2)
    first = random.choice(("since", "since", "items", "tags", random.choice(keys)))
    return [first, *some(random, (key for key in keys if key != first), 0, 1)]


def _days(days: float) -> int:
    return round(days * DAY_MS)


def _moments_of(duration: tuple[int, str]) -> list[int]:
    """Instants around a duration before the start, and a few of its multiples."""
    amount, unit = duration
    edge = shifted(START_MS, amount, unit, -1) - START_MS
    twice = shifted(START_MS, 2 * amount, unit, -1) - START_MS
    return [edge, edge - 1, edge + 1, twice, twice + 1, -edge]


def _instants(moments: Sequence[int]) -> list[str]:
    """The moments as ISO texts in their order, some as dates alone."""
    texts = []
    for moment in sorted({*moments, 0}):
        instant = EPOCH + timedelta(milliseconds=START_MS + moment)
        at_midnight = moment % DAY_MS == 0
        texts.append(f"{instant:%Y-%m-%d}" if at_midnight else f"{instant:%Y-%m-%dT%H:%M:%S}.{moment % 1000:03}Z")
    return texts


# -- events ----------------------------------------------------------------------------------------------


def _draw_payload(random: Random, keys: Sequence[str]) -> dict[str, str]:
    drawn = {key: random.choice((None, *TEXTS[key])) for key in keys}
    return {key: text for key, text in drawn.items() if text is not None}


def draw_batch(random: Random, world: World) -> Step:
    """One more batch of the world: late events, future-dated ones, ties, and events delivered before."""
    payloads: dict[tuple[str, ...], str] = {}
    batch = []
    index = len(world.batches)
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
        delivery = random.choice(_EXTENDED_DELIVERIES if world.extensions else _DELIVERIES)
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


def _repeated(random: Random, world: World, fresh: dict[str, Any], delivery: str) -> dict[str, Any]:
    earlier = random.choice(world.events)
    if delivery == "again":
        return dict(earlier)
    if delivery == "changed":
        return {**earlier, "payload": fresh["payload"]}
    if delivery == "later" and world.extensions:
        # Two events of a user that lie exactly a duration apart.
        span = random.choice(world.extensions.durations)
        occurred = shifted(START_MS + earlier["occurred"], *span, +1) - START_MS
        return {**fresh, "user_id": earlier["user_id"], "occurred": occurred}
    return {**earlier, "occurred": fresh["occurred"], "payload": fresh["payload"]}


def _event_id(index: int) -> str:
    """Ids whose order as text is not that of their second halves, by which ClickHouse sorts a UUID."""
    return str(UUID(int=((index * 7 + 3) % 64) << 64 | (index * 13 + 5) % 64))


# -- segments and time -----------------------------------------------------------------------------------


def draw_define(random: Random, world: World, slug: str, may_refer_to: Sequence[str]) -> Step:
    """A new definition of the segment."""
    definition = draw_definition(random, world.pools, may_refer_to)
    world.limits[slug] = time_limits(definition)
    return {"do": "define", "slug": slug, "definition": definition}


def draw_advance(random: Random, world: World) -> Step:
    """To where some instant reaches a limit of some segment or comes due, to one ms off it, or just onwards."""
    instant = random.choice(turns(world))
    step = {"do": "advance", "ms": instant - world.clock}
    world.clock = instant
    return step


def turns(world: World) -> list[int]:
    """The instants after the clock's at which something may change, and those beside them, in order."""
    limits = {limit for found in world.limits.values() for limit in found}
    dates = {date - START_MS for event in world.events for date in dates_in(event["payload"])}
    reached = {turn for limit in limits for turn in _reached(world, limit, dates)}
    if any(limit.unit in CALENDAR_UNITS for limit in limits):
        reached.update(_CALENDAR_TURNS)
    found = {turn + edge for turn in reached.union(world.moments) for edge in _EDGE}
    found |= {world.clock + ms for ms in (1, DAY_MS)}
    return sorted(turn for turn in found if world.clock < turn <= world.clock + world.farthest_ms)


def _reached(world: World, limit: TimeLimit, dates: Iterable[int]) -> Iterable[int]:
    if limit.event_types is not None:
        dates = {event["occurred"] for event in world.events if event["event_type"] in limit.event_types}
    return (turn - START_MS for moment in dates for turn in limit.reached(START_MS + moment))
