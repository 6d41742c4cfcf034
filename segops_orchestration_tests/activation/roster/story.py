"""What happens to one connector, step by step, and what must be true after each."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from segops_orchestration.activation.rejections import requeue
from segops_orchestration_tests.activation.roster.fuse import Crash, Fuse, burning
from segops_orchestration_tests.activation.roster.shop import Shop, users

# A sync of a story comes to fewer steps than this.
_MOST_STEPS = 60
_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("500", {"applied": True}),
    ("500", {"applied": False}),
    ("drop", {"applied": True}),
    ("drop", {"applied": False}),
    ("429", {"wait": 0}),
    ("late", {}),
    ("poison", {}),
    ("blame", {}),
    ("reject", {}),
    ("unreadable", {}),
)


@dataclass
class Story:
    """``seen`` changes of the roster have been looked at."""

    shop: Shop
    random: Random
    everyone: list[str] = field(default_factory=lambda: sorted(users(24)))
    seen: int = 0
    told: list[str] = field(default_factory=list)

    def members_change(self) -> None:
        size = self.random.randint(0, len(self.everyone))
        wanted = self.random.sample(self.everyone, size)
        if self.random.random() < 0.5:
            wanted = sorted(self.shop.wanted() ^ set(self.random.sample(self.everyone, 3)))
        self.shop.want(wanted)
        self.told.append(f"want {sorted(wanted)}")

    def time_passes(self) -> None:
        self.shop.sandbox.catch_up()
        # What takes effect late was sent when something else was wanted.
        self.seen = len(self.shop.sandbox.changes)
        minutes = self.random.choice([2, 11, 61, 1500])
        self.shop.pass_time(minutes=minutes)
        self.told.append(f"{minutes} minutes pass")

    def fault(self) -> None:
        kind, options = self.random.choice(_FAULTS)
        bad = self.random.sample(self.everyone, 2)
        self.shop.sandbox.misbehave(
            kind, times=self.random.choice([1, 2, None]), skip=self.random.randint(0, 2), users=bad, **options
        )
        self.told.append(f"fault {kind} {options} {bad}")

    def late_request(self) -> None:
        """A request that takes effect after its opposite could have been sent."""
        self.shop.sandbox.misbehave("late", skip=self.random.randint(0, 1))
        self.told.append("the next request or the one after it is late")
        for _ in range(2):
            self.members_change()
            self.sync()

    def behave(self) -> None:
        self.shop.sandbox.behave()
        self.told.append("behave")

    def sync(self) -> None:
        result = self.shop.sync()
        self.told.append(f"sync: {result.outcome} {result.error} {result.backlog}")
        self.check()

    def crash(self) -> None:
        step, after = self.random.randint(1, _MOST_STEPS), self.random.random() < 0.5
        fuse = Fuse(step, after=after)
        try:
            with burning(fuse):
                self.shop.sync()
        except Crash:
            self.told.append(f"crash at step {step} {after}")
        self.check()

    def requeue(self) -> None:
        shop = self.shop
        requeue(shop.catalog, shop.warehouse, shop.tenant, shop.slug)
        self.told.append("requeue")

    def check(self) -> None:
        """Nobody who should stay was removed, and nobody added who should not be there."""
        wanted = self.shop.wanted()
        changes, self.seen = self.shop.told()[self.seen :], len(self.shop.sandbox.changes)
        wrongly_removed = [user for action, user in changes if action == "remove" and user in wanted]
        assert not wrongly_removed, self.tale()
        if self.shop.sandbox.jobs is None:
            wrongly_added = [user for action, user in changes if action == "add" and user not in wanted]
            assert not wrongly_added, self.tale()

    def end(self) -> None:
        """With the platform well again and some time, everything is as it should be."""
        self.behave()
        for _ in range(6):
            self.time_passes()
            self.requeue()
            self.sync()
            if self.shop.people() == self.shop.wanted() and not self.shop.backlog().pending:
                break
        assert self.shop.people() == self.shop.wanted(), self.tale()
        assert self.shop.backlog().pending == 0, self.tale()
        assert self.shop.sandbox.violations == [], self.tale()

    def tale(self) -> str:
        return "\n".join([*self.told, f"there: {sorted(self.shop.people())}", f"states: {self.shop.states()}"])
