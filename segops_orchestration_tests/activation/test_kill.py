"""kill -9 of the syncing process at any moment: the next syncs bring the audience to the segment all the same.

A run of all (``-m slow``) kills 50 times, a usual one 6 times. ``SEGOPS_KILL_SEED`` repeats the choices of an earlier
run; what a kill hits is up to the machine.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.conftest import tenants
from segops_orchestration_tests.activation.roster.killing import Killer, Order
from segops_orchestration_tests.activation.roster.sandbox import RosterSandbox
from segops_orchestration_tests.activation.roster.shop import Shop, users

SEED = int(os.environ.get("SEGOPS_KILL_SEED", "0")) or secrets.randbelow(1 << 32)
EVERYONE = sorted(users(600))


@pytest.fixture
def shop(settings: Settings, warehouse: Warehouse, empty_catalog: Path, tmp_path: Path) -> Iterator[Shop]:
    """A roster whose answers take a while; batches of twenty users, two under way at once."""
    with tenants(settings, warehouse, empty_catalog, tmp_path / "catalog.db") as make:
        shop = make()
        shop.server.latency = (0.01, 0.03)
        yield shop


@pytest.fixture
def killer(settings: Settings, shop: Shop, tmp_path: Path) -> Iterator[Killer]:
    killer = Killer(settings.home, f"sqlite:///{tmp_path / 'catalog.db'}")
    yield killer
    killer.close()


class _Kills:
    """Kills one sync after another and looks at what each has done."""

    def __init__(self, shop: Shop, killer: Killer, rng: random.Random) -> None:
        self._shop = shop
        self._killer = killer
        self._rng = rng
        self._seen = 0
        # How long a sync takes, roughly; the moments of the kills spread over it.
        self._seconds = 1.0
        self.killed = 0

    def strike(self) -> None:
        shop = self._shop
        shop.want(self._rng.sample(EVERYONE, self._rng.randint(0, len(EVERYONE))))
        if self._rng.random() < 0.7:
            shop.pass_time(minutes=2)
        order = Order(shop.tenant, shop.slug, shop.time.ahead.total_seconds())
        started = time.monotonic()
        pid = self._killer.begin(order)
        time.sleep(self._rng.uniform(0, self._seconds))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = self._killer.end()
        assert status in (0, signal.SIGKILL), "a sync that nobody killed failed"
        if status == 0:
            self._seconds = time.monotonic() - started
        self.killed += status == signal.SIGKILL
        self._look()

    def _look(self) -> None:
        """Nobody who should stay was removed."""
        wanted = self._shop.wanted()
        changes = self._shop.told()[self._seen :]
        assert [user for action, user in changes if action == "remove" and user in wanted] == []
        # What was on its way when the process died has arrived by the time that the lease has expired.
        time.sleep(0.1)
        self._seen = len(self._shop.told())


def _tell(shop: Shop, killer: Killer, kills: int, jobs: int | None) -> None:
    shop.sandbox = shop.server.sandbox = RosterSandbox(jobs=jobs)
    shop.open(batch=20, lanes=2)
    story = _Kills(shop, killer, random.Random(SEED))
    for _ in range(3 * kills):
        story.strike()
        if story.killed == kills:
            break
    assert story.killed == kills, "too few syncs were hit"
    for _ in range(4):
        shop.pass_time(minutes=2)
        result = shop.sync()
    assert (result.outcome, result.pending) == ("succeeded", 0)
    assert shop.people() == shop.wanted(), f"SEGOPS_KILL_SEED={SEED}"
    assert shop.sandbox.violations == []


@pytest.mark.parametrize("jobs", [None, 1], ids=["answers at once", "jobs"])
def test_the_audience_is_the_segment_after_kills(shop: Shop, killer: Killer, jobs: int | None) -> None:
    _tell(shop, killer, 3, jobs)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [None, 1], ids=["answers at once", "jobs"])
def test_the_audience_is_the_segment_after_many_kills(shop: Shop, killer: Killer, jobs: int | None) -> None:
    _tell(shop, killer, 25, jobs)
