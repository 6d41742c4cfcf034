"""Simulated days of every connector: whatever happens meanwhile, its audience is the segment whenever it says so.

Nobody is removed while a member, nobody added who is none, and no contract or limit is broken. ``SEGOPS_SOAK_SEED``
repeats the choices of an earlier run; ``SEGOPS_SOAK_SECONDS`` is how long the long one takes for each platform.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from segops_orchestration.activation import jobs, opening
from segops_orchestration.activation.limiter import limiters
from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration_tests.activation.roster.shop import users
from segops_orchestration_tests.platforms.connecting import SPEED, hasten
from segops_orchestration_tests.platforms.soak import Soak, resizing
from segops_orchestration_tests.platforms.test_delivery import SANDBOXES, NewShop, Tenant
from segops_orchestration_tests.platforms.test_delivery import open_shop as open_shop
from segops_orchestration_tests.platforms.test_delivery import tenant as tenant
from segops_orchestration_tests.platforms.wire import Wire

FIXED_SEED = 20261124
FRESH_SEED = int(os.environ.get("SEGOPS_SOAK_SEED", "0")) or secrets.randbelow(1 << 32)
SECONDS = float(os.environ.get("SEGOPS_SOAK_SECONDS", "900"))
STEPS = 40
# On a slow machine a story in CI is shorter.
SHORT_SECONDS = 2.5
# A story of the long run; then another begins, with the next seed.
LONG_STEPS = 400
PEOPLE = 40


class Teller:
    """Begins stories of a platform."""

    def __init__(self, open_shop: NewShop, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open_shop = open_shop
        self._tenant = tenant
        self._monkeypatch = monkeypatch

    def begin(self, platform: str, seed: int) -> Soak:
        clock = self._tenant.clock
        sandbox = SANDBOXES[platform](
            speed=SPEED, seed=seed, clock=lambda: time.monotonic() + clock.ahead.total_seconds()
        )
        shop = self._open_shop(sandbox)
        number = next(self._tenant.numbers)
        # Events are told apart by these, and users say things in all stories of the tenant.
        shop.versions = count(number * 1_000_000)
        wire = Wire(sandbox, clock, Random(seed + 1), PLATFORMS[platform].settle_seconds)
        shop.server.sandbox = wire  # type: ignore[assignment]
        everyone = sorted(users(PEOPLE, start=number * 1_000))
        return Soak(shop, wire, Random(seed), everyone, resizing(self._monkeypatch, platform))


@pytest.fixture
def teller(open_shop: NewShop, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Teller:
    """Pauses are short and the vendor is fast; the sandbox goes by the clock of the story."""
    hasten(monkeypatch, patience=0.5)
    monkeypatch.setattr("segops_orchestration.activation.http.READ_SECONDS", 0.3)
    monkeypatch.setattr("segops_orchestration.activation.platforms.webhook.ANSWER_SECONDS", 0.3)
    # The machine that tests run on can be slow, and the vendor is sixty times as fast.
    monkeypatch.setattr("segops_orchestration.activation.sandbox.sandbox._GRACE_SECONDS", 2.0)
    monkeypatch.setattr(jobs, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(opening, "limiters", lambda reserve, hold: limiters(reserve, hold, SPEED))
    return Teller(open_shop, tenant, monkeypatch)


@pytest.mark.parametrize("seed", ["fixed", "fresh"])
@pytest.mark.parametrize("platform", SANDBOXES)
def test_some_days(teller: Teller, platform: str, seed: str) -> None:
    chosen = FIXED_SEED if seed == "fixed" else FRESH_SEED
    end = time.monotonic() + SHORT_SECONDS
    _live(teller.begin(platform, chosen), chosen, lambda steps: steps >= STEPS or time.monotonic() > end)


@pytest.mark.slow
@pytest.mark.parametrize("platform", SANDBOXES)
def test_long(teller: Teller, platform: str) -> None:
    """One story after the other, until the time is up."""
    end = time.monotonic() + SECONDS
    seed = FRESH_SEED
    while time.monotonic() < end:
        soak = teller.begin(platform, seed)
        _live(soak, seed, lambda steps: steps >= LONG_STEPS or time.monotonic() > end)
        seed += 1


def _live(soak: Soak, seed: int, until: Callable[[int], bool]) -> None:
    try:
        soak.live(until=until)
    except BaseException as error:
        error.add_note(f"SEGOPS_SOAK_SEED={seed}")
        raise
    sys.stdout.write(f"SEGOPS_SOAK_SEED={seed} {soak.figures()}\n")
    sys.stdout.flush()
