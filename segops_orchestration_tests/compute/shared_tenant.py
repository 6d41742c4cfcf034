"""Several generated worlds that live in one tenant, and what its members may be.

Worlds share nothing but the clock and the computations: users, segments and event types are each world's own. So one
computation tries as many histories as there are worlds. Segments select users of other worlds too, of course; of
those nothing is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from segops_orchestration.compute.identities import alias, merge
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.erasure.erase import Surroundings, begin, finish
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.evaluate import Event, SegmentKey, members_of_all
from segops_orchestration_tests.oracle.histories import events_of
from segops_orchestration_tests.oracle.identities import Persons
from segops_orchestration_tests.oracle.vocabulary import START
from segops_orchestration_tests.oracle.worlds import World, draw_batch, draw_define, draw_world, turns

Members = frozenset[str]


@dataclass
class Inhabited:
    """A world, what of it the tenant was told, and what each active segment may hold of its users."""

    world: World
    random: Random
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    delivered: list[Event] = field(default_factory=list)
    batches_delivered: int = 0
    possible: dict[str, set[Members]] = field(default_factory=dict)
    persons: Persons = field(default_factory=Persons)

    def free(self) -> list[str]:
        """The active segments that no other one refers to."""
        used = {key for definition in self.segments.values() for key in _references(definition)}
        return [slug for slug in self.segments if slug not in used]

    def expected(self, clock: int) -> dict[str, Members]:
        """The members of every active segment at the clock's instant."""
        definitions: dict[SegmentKey, dict[str, Any]] = {slug: self.segments[slug] for slug in self.segments}
        found = members_of_all(definitions, self.persons.resolved(self.delivered), instant(clock))
        return {str(slug): members for slug, members in found.items()}

    def some_may_be_gone(self) -> None:
        """Who is no user of their own any more leaves all segments at once, also those that are not computed."""
        users = {event.user_id for event in self.persons.resolved(self.delivered)}
        for slug, possible in self.possible.items():
            self.possible[slug] = possible | {members & users for members in possible}


def instant(clock: int) -> datetime:
    return START + timedelta(milliseconds=clock)


def _references(definition: dict[str, Any]) -> set[str]:
    return {str(key) for key in referenced_segments(parse_definition(definition))}


class SharedTenant:
    """The tenant, driven and judged.

    Every computation is judged at once: the members of what was computed are those that the oracle names, nothing
    else has moved, and the recorded changes, from the first on, lead to the stored members.
    """

    def __init__(self, tenant: StoryTenant, seeds: Iterable[int]) -> None:
        self.tenant = tenant
        self.clock = 0
        self.received_from = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self.computations = 0
        self.told: list[str] = []
        self.worlds: list[Inhabited] = []
        for number, seed in enumerate(seeds):
            random = Random(seed)
            self.worlds.append(Inhabited(draw_world(random, f"w{number}-"), random))

    # -- what happens ----------------------------------------------------------------------------------------

    def define_all(self) -> None:
        """Create the segments of every world."""
        for one in self.worlds:
            self._define(one, one.world.slugs)

    def define(self, random: Random) -> None:
        """Edit a segment of some world, or bring it back."""
        one = random.choice(self.worlds)
        self._define(one, [one.random.choice(one.world.slugs)])

    def _define(self, one: Inhabited, slugs: Sequence[str]) -> None:
        steps = []
        for slug in slugs:
            earlier = one.world.slugs[: one.world.slugs.index(slug)]
            step = draw_define(one.random, one.world, slug, [name for name in earlier if name in one.segments])
            one.segments[slug] = step["definition"]
            one.possible.setdefault(slug, {frozenset()})
            steps.append(step)
        self.tenant.define({step["slug"]: step["definition"] for step in steps})
        self._tell(*steps)

    def archive(self, random: Random) -> None:
        """Take a segment out of use that no other one refers to, if there is one; what it holds stays as it is."""
        free = [(one, slug) for one in self.worlds for slug in one.free()]
        if not free:
            return
        one, slug = random.choice(free)
        self.tenant.catalog.archive_segment(self.tenant.slug, slug)
        del one.segments[slug]
        self._tell({"do": "archive", "slug": slug})

    def ingest(self, random: Random) -> None:
        """Deliver the next batch of some of the worlds."""
        batch: list[Event] = []
        chosen = [one for one in self.worlds if random.random() < 0.5] or [random.choice(self.worlds)]
        for one in chosen:
            if one.batches_delivered == len(one.world.batches):
                one.world.batches.append(draw_batch(one.random, one.world))
            step = one.world.batches[one.batches_delivered]
            one.batches_delivered += 1
            events = events_of(step, self.received_from)
            one.delivered.extend(events)
            batch.extend(events)
            self._tell(step)
        self.tenant.ingest(batch)

    def join(self, random: Random) -> None:
        """Say of two ids of some world that they are one person's."""
        several = [one for one in self.worlds if len(one.world.users) > 1]
        if not several:
            return
        one = random.choice(several)
        child, parent = random.sample(one.world.users, 2)
        says = random.choice((alias, alias, merge))
        self._tell({"do": says.__name__, "of": child, "is": parent})
        says(self.tenant.catalog, self.tenant.database, child, parent)
        (one.persons.alias if says is alias else one.persons.merge)(child, parent)
        one.some_may_be_gone()

    def erase(self, random: Random) -> None:
        """Erase somebody of some world, with all ids."""
        one = random.choice(self.worlds)
        user = random.choice(one.world.users)
        self._tell({"do": "erase", "user": user})
        request = begin(self.tenant.database, user, "the test", force=True)
        certificate = finish(self.tenant.catalog, self.tenant.warehouse, self.tenant.slug, request, Surroundings())
        assert certificate.finished_at is not None
        gone = one.persons.forget(user)
        one.delivered = [event for event in one.delivered if event.user_id not in gone]
        one.some_may_be_gone()
        for slug, possible in one.possible.items():
            one.possible[slug] = {members - gone for members in possible}

    def step_time(self, random: Random) -> None:
        """To an edge of something in some world, or beside it, or just onwards; seldom backwards."""
        one = random.choice(self.worlds)
        before = self.clock
        back = random.random() < 0.03
        self.clock = before - random.choice((1, 3_600_000)) if back else random.choice(turns(one.world))
        for other in self.worlds:
            other.world.clock = self.clock
        self._tell({"do": "advance", "ms": self.clock - before})

    def merge_parts(self, table: str) -> None:
        """Have ClickHouse merge all parts of a table, as it may do at any time."""
        self.tenant.database.command(f"OPTIMIZE TABLE {table} FINAL")
        self._tell({"do": "merge", "table": table})

    # -- computations ----------------------------------------------------------------------------------------

    def slugs(self) -> list[str]:
        return [slug for one in self.worlds for slug in one.segments]

    def with_references(self, slugs: Iterable[str]) -> set[str]:
        """The segments, and those that they refer to at any remove."""
        definitions = {slug: definition for one in self.worlds for slug, definition in one.segments.items()}
        found: set[str] = set()
        left = list(slugs)
        while left:
            slug = left.pop()
            if slug not in found:
                found.add(slug)
                left += _references(definitions[slug])
        return found

    def compute(self, mode: Any, slugs: Sequence[str] | None = None) -> None:
        """Compute all segments or some, and judge."""
        self._tell({"do": "compute", "mode": mode, "segments": slugs})
        result = self.tenant.compute(mode, at=instant(self.clock), segments=slugs)
        computed = {segment.slug for segment in result.segments}
        assert computed == (set(self.slugs()) if slugs is None else self.with_references(slugs))
        self.judge(computed)
        self.computations += sum(not computed.isdisjoint(one.segments) for one in self.worlds)

    def may_have_computed(self, slugs: Sequence[str] | None) -> None:
        """A computation died: each segment holds the old answer or the new one, and no mixture.

        Which one stays open, also when the old one is seen: what is staged by then is applied by the next computation.
        """
        touched = self.with_references(self.slugs() if slugs is None else slugs)
        for one in self.worlds:
            for slug, members in one.expected(self.clock).items():
                if slug in touched:
                    one.possible[slug].add(members)
        self._compare(self._stored()[0], settled=False)

    def judge(self, computed: set[str]) -> None:
        """All that can be said after a computation of these segments."""
        for one in self.worlds:
            for slug, members in one.expected(self.clock).items():
                if slug in computed:
                    one.possible[slug] = {members}
        stored, replayed = self._stored()
        self._compare(stored, settled=True)
        if stored != replayed:
            raise AssertionError(f"recorded changes lead elsewhere: {_differing(stored, replayed)}\n{self.story()}")

    def _compare(self, stored: dict[str, set[str]], *, settled: bool) -> None:
        for one in self.worlds:
            for slug in one.segments:
                found = frozenset(user for user in stored.get(slug, ()) if user.startswith(one.world.prefix))
                if found not in one.possible[slug]:
                    raise AssertionError(self._complaint(one, slug, found))
                if settled:
                    one.possible[slug] &= {found}

    def _stored(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Who is in each active segment: as stored, and as the recorded changes have it."""
        slugs = {segment.id: segment.slug for segment in self.tenant.catalog.list_segments(self.tenant.slug)}
        rows = self.tenant.database.query(
            "SELECT segment_id, user_id, computation_id, change FROM ("
            "  SELECT segment_id, user_id, 0 AS computation_id, 'stored' AS change FROM segment_memberships FINAL"
            "  UNION ALL"
            "  SELECT segment_id, user_id, computation_id, toString(change) AS change FROM membership_changes"
            ") ORDER BY computation_id"
        ).result_rows
        stored: dict[str, set[str]] = {slug: set() for slug in slugs.values()}
        replayed: dict[str, set[str]] = {slug: set() for slug in slugs.values()}
        for segment_id, user_id, _, change in rows:
            if segment_id not in slugs:
                continue
            place = (stored if change == "stored" else replayed)[slugs[segment_id]]
            if (user_id in place) == (change != "exited"):
                raise AssertionError(f"{user_id!r} {change} {slugs[segment_id]!r} twice\n{self.story()}")
            place.symmetric_difference_update({user_id})
        return stored, replayed

    # -- words for a failure ---------------------------------------------------------------------------------

    def _tell(self, *steps: dict[str, Any]) -> None:
        self.told.extend(json.dumps(step, ensure_ascii=False) for step in steps)

    def tell(self, what: str) -> None:
        """Put a step into the story."""
        self._tell({"do": what})

    def story(self) -> str:
        """Everything that was done so far, a JSON line each."""
        return "\n".join(self.told)

    def _complaint(self, one: Inhabited, slug: str, found: Members) -> str:
        """The difference, with only that of the story which bears on it."""
        wrong = frozenset.union(*(found ^ allowed for allowed in one.possible[slug]))
        events = sorted((event for event in one.delivered if event.user_id in wrong), key=lambda event: event.order)
        lines = [
            f"{slug} at {instant(self.clock).isoformat()}: {sorted(found)}, not {[*map(sorted, one.possible[slug])]}",
            *(f"{name}: {json.dumps(one.segments[name])}" for name in sorted(self.with_references([slug]))),
            *(
                f"{e.user_id} {e.event_type} {e.occurred_at.isoformat()} {e.event_id} received "
                f"{(e.ingested_at - self.received_from).total_seconds()}: {e.payload}"
                for e in events
            ),
            "the story:",
            *(line for line in self.told if one.world.prefix in line or '"do": "ingest"' not in line),
        ]
        return "\n".join(lines)


def _differing(left: dict[str, set[str]], right: dict[str, set[str]]) -> dict[str, set[str]]:
    return {slug: left[slug] ^ right[slug] for slug in left if left[slug] != right[slug]}
