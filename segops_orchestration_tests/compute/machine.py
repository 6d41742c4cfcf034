"""The rules by which hypothesis drives a tenant of several worlds.

A rule draws one number and leaves the rest to chance seeded with it, so that hypothesis has little to choose and a
history costs little; it shrinks to fewer worlds and fewer steps.
"""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from segops_orchestration.compute.verify import verify
from segops_orchestration_tests.compute.computing import Crash
from segops_orchestration_tests.compute.fuse import Fuse, burning
from segops_orchestration_tests.compute.life import NewLife
from segops_orchestration_tests.compute.shared_tenant import SharedTenant

# Most of a computation is planning of statements, which worlds share; more than a dozen share no more.
_WORLDS = (1, 4, 8, 8, 12, 12)
MEAN_WORLDS = sum(_WORLDS) / len(_WORLDS)
_TABLES = (
    "events",
    "events_by_time",
    "events_by_user",
    "arrivals",
    "users",
    "identifications",
    "segment_memberships",
    "membership_changes",
)
_SEEDS = st.integers(0, 2**32 - 1)
_FEW_SEGMENTS = 4
# A delta of many worlds takes about thirty steps.
_MOST_STEPS = 45


class TenantMachine(RuleBasedStateMachine):
    """A tenant to which anything happens in any order; each computation is judged when it is over."""

    new_life: NewLife
    histories = 0
    computations = 0

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._shared: SharedTenant | None = None

    @property
    def shared(self) -> SharedTenant:
        assert self._shared is not None
        return self._shared

    @initialize(seeds=st.sampled_from(_WORLDS).flatmap(lambda n: st.lists(_SEEDS, min_size=n, max_size=n)))
    def worlds_begin(self, seeds: list[int]) -> None:
        tenant = self._stack.enter_context(self.new_life())
        self._shared = SharedTenant(tenant, seeds)
        type(self).histories += len(seeds)
        self.shared.define_all()
        self.shared.ingest(Random(0))
        self.shared.compute("delta")

    # -- what happens ----------------------------------------------------------------------------------------

    @rule(seed=_SEEDS)
    def events_arrive(self, seed: int) -> None:
        self.shared.ingest(Random(seed))

    @rule(seed=_SEEDS)
    def time_passes(self, seed: int) -> None:
        self.shared.step_time(Random(seed))

    @rule(seed=_SEEDS)
    def a_segment_is_defined(self, seed: int) -> None:
        self.shared.define(Random(seed))

    @rule(seed=_SEEDS)
    def a_segment_is_archived(self, seed: int) -> None:
        self.shared.archive(Random(seed))

    @rule(seed=_SEEDS)
    def ids_are_joined(self, seed: int) -> None:
        random = Random(seed)
        for _ in range(random.randint(1, 3)):
            self.shared.join(random)

    @rule(seed=_SEEDS)
    def somebody_is_erased(self, seed: int) -> None:
        self.shared.erase(Random(seed))

    @rule(table=st.sampled_from(_TABLES))
    def parts_are_merged(self, table: str) -> None:
        self.shared.merge_parts(table)

    # -- computations ----------------------------------------------------------------------------------------

    @rule()
    def all_are_computed_by_delta(self) -> None:
        self.shared.compute("delta")

    @rule(seed=_SEEDS)
    def time_passes_and_all_are_computed_by_delta(self, seed: int) -> None:
        self.shared.step_time(Random(seed))
        self.shared.compute("delta")

    @rule(seed=_SEEDS)
    def events_arrive_and_all_are_computed_by_delta(self, seed: int) -> None:
        self.shared.ingest(Random(seed))
        self.shared.compute("delta")

    @rule(seed=_SEEDS)
    def some_are_computed_by_delta(self, seed: int) -> None:
        self.shared.compute("delta", self._some(Random(seed)))

    @rule(seed=_SEEDS)
    def some_are_computed_in_full(self, seed: int) -> None:
        random = Random(seed)
        self.shared.compute("full", self._some(random)[:_FEW_SEGMENTS])

    @rule(seed=_SEEDS, step=st.integers(1, _MOST_STEPS), after=st.booleans())
    def a_computation_dies(self, seed: int, step: int, after: bool) -> None:
        random = Random(seed)
        self.shared.step_time(random)
        mode: Any = random.choice(("delta", "delta", "full"))
        slugs = None if mode == "delta" and random.random() < 0.5 else self._some(random)[:_FEW_SEGMENTS]
        fuse = Fuse(step, after=after)
        try:
            with burning(fuse):
                self.shared.compute(mode, slugs)
        except Crash:
            self.shared.tell(f"crash at step {step}")
            self.shared.may_have_computed(slugs)

    @rule()
    def a_verification_finds_nothing(self) -> None:
        found = verify(self.shared.tenant.catalog, self.shared.tenant.warehouse, self.shared.tenant.slug)
        assert found.mismatches == (), self.shared.story()

    def _some(self, random: Random) -> list[str]:
        slugs = self.shared.slugs()
        return random.sample(slugs, random.randint(1, len(slugs))) if slugs else []

    def teardown(self) -> None:
        try:
            if self._shared is not None:
                self.shared.compute("delta")
                type(self).computations += self.shared.computations
        finally:
            self._stack.close()
