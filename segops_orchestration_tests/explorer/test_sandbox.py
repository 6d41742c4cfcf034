"""Generated worlds: the sandbox says of an event what ingesting it and computing a delta then do.

``SEGOPS_SANDBOX_WORLDS`` sets how many worlds a run tries, half of them from fixed seeds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from uuid import uuid4

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.explorer.sandbox import Effect, SandboxEvent, try_event
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.evaluate import Event
from segops_orchestration_tests.oracle.histories import events_of
from segops_orchestration_tests.oracle.vocabulary import START
from segops_orchestration_tests.oracle.worlds import World, draw_define, draw_world

WORLDS = int(os.environ.get("SEGOPS_SANDBOX_WORLDS", "4"))


@dataclass(frozen=True)
class Tried:
    """An event, what the sandbox said of it, and what it did: segments entered and left, by slug."""

    seed: int
    event: Event
    effect: Effect
    entered: frozenset[str]
    exited: frozenset[str]


def new_event(random: Random, world: World, user: str) -> Event:
    """One more event of a user, of the kind that the world is about."""
    payload = random.choice(world.payloads)
    text = "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in payload.items()) + "}"
    occurred = START + timedelta(milliseconds=random.choice(world.moments))
    return Event(uuid4(), user, random.choice(world.event_types), occurred, datetime.now(UTC), text)


@pytest.fixture(scope="module")
def tried(module_catalog: Catalog, warehouse: Warehouse) -> Iterator[list[Tried]]:
    """An event of each user of many worlds, which live in one tenant, and of one nobody knows in each."""
    fresh = SystemRandom()
    seeds = [*range(WORLDS // 2), *(fresh.randrange(10**9) for _ in range(WORLDS - WORLDS // 2))]
    randoms = [Random(seed) for seed in seeds]
    worlds = [draw_world(random, f"w{number}-") for number, random in enumerate(randoms)]
    definitions = {
        slug: draw_define(random, world, slug, world.slugs[:index])["definition"]
        for random, world in zip(randoms, worlds, strict=True)
        for index, slug in enumerate(world.slugs)
    }
    with tenants(module_catalog, warehouse) as make:
        tenant = make()
        tenant.define(definitions)
        received = datetime.now(UTC) - timedelta(hours=1)
        events = [event for world in worlds for batch in world.batches for event in events_of(batch, START)]
        tenant.ingest([replace(one, ingested_at=received + timedelta(milliseconds=n)) for n, one in enumerate(events)])
        tenant.compute("full", at=START)
        tries = [
            (seed, new_event(random, world, user))
            for seed, random, world in zip(seeds, randoms, worlds, strict=True)
            for user in (*world.users[:2], f"{world.prefix}nobody")
        ]
        effects = [
            try_event(
                module_catalog,
                tenant.database,
                SandboxEvent(event.user_id, event.event_type, event.occurred_at, event.payload),
                at=START,
            )
            for _, event in tries
        ]
        tenant.ingest([replace(event, ingested_at=datetime.now(UTC)) for _, event in tries])
        changes = changed(tenant)
        yield [
            Tried(seed, event, effect, *changes.get(event.user_id, (frozenset(), frozenset())))
            for (seed, event), effect in zip(tries, effects, strict=True)
        ]


def changed(tenant: StoryTenant) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Who enters and leaves what by a delta computed now, at the same instant."""
    before = tenant.all_members()
    tenant.compute("delta", at=START)
    after = tenant.all_members()
    users = {user for members in (*before.values(), *after.values()) for user in members}
    return {
        user: (
            frozenset(slug for slug in after if user in after[slug] - before[slug]),
            frozenset(slug for slug in after if user in before[slug] - after[slug]),
        )
        for user in users
    }


def test_the_sandbox_says_what_ingesting_and_computing_do(tried: list[Tried]) -> None:
    for one in tried:
        said = (
            frozenset(segment.slug for segment in one.effect.entered),
            frozenset(segment.slug for segment in one.effect.exited),
        )
        assert said == (one.entered, one.exited), f"seed {one.seed}: {one.event}"


def test_what_is_not_entered_or_left_is_counted_as_unchanged(tried: list[Tried]) -> None:
    sizes = {len(one.effect.entered) + len(one.effect.exited) + one.effect.unchanged for one in tried}
    assert len(sizes) == 1


def test_some_events_do_something_and_some_do_nothing(tried: list[Tried]) -> None:
    assert any(one.entered or one.exited for one in tried)
    assert any(not one.entered and not one.exited for one in tried)
