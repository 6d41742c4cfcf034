"""kill -9 of a process that syncs with a platform, at 50 random moments: its audience ends up as the segment is.

``SEGOPS_KILL_SEED`` repeats the choices of an earlier run; what a kill hits is up to the machine.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.klaviyo import KlaviyoSandbox
from segops_orchestration.activation.sandbox.sandbox import Sandbox
from segops_orchestration.activation.sandbox.talon_one import TalonOneSandbox
from segops_orchestration.activation.sandbox.webhook import WebhookSandbox
from segops_orchestration.settings import Settings
from segops_orchestration_tests.activation.roster.killing import Killer, Order
from segops_orchestration_tests.activation.roster.shop import users
from segops_orchestration_tests.platforms.test_delivery import NewShop, PlatformShop, Tenant
from segops_orchestration_tests.platforms.test_delivery import open_shop as open_shop
from segops_orchestration_tests.platforms.test_delivery import tenant as tenant

SEED = int(os.environ.get("SEGOPS_KILL_SEED", "0")) or secrets.randbelow(1 << 32)
KILLS = 50
_FAST = 200


def _talon_one() -> Sandbox:
    sandbox = TalonOneSandbox(per_second=_FAST)
    sandbox.config = {**sandbox.config, "requests_per_second": _FAST}
    return sandbox


def _webhook() -> Sandbox:
    sandbox = WebhookSandbox(per_second=_FAST)
    sandbox.config = {"requests_per_second": _FAST, "batch_size": 50}
    return sandbox


# Type -> its sandbox, and how many users make some requests a sync.
PLATFORMS: dict[str, tuple[Callable[[], Sandbox], int]] = {
    "klaviyo": (lambda: KlaviyoSandbox(job_seconds=0.1), 3_000),
    "braze": (BrazeSandbox, 600),
    "talon_one": (_talon_one, 6_000),
    "webhook": (_webhook, 600),
}


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_audience_is_the_segment_after_kills(
    open_shop: NewShop, tenant: Tenant, settings: Settings, platform: str
) -> None:
    make, size = PLATFORMS[platform]
    shop = open_shop(make())
    shop.server.latency = (0.01, 0.03)
    rng = random.Random(SEED)
    with closing(Killer(settings.home, tenant.database_url)) as killer:
        hits, seconds = 0, 1.0
        for _ in range(3 * KILLS):
            shop.want(rng.sample(sorted(users(size)), rng.randint(0, size)))
            shop.pass_time(minutes=rng.choice([0, 2, 2]))
            staying = shop.people() & shop.wanted()
            started = time.monotonic()
            status = _strike(killer, shop, rng.uniform(0, seconds))
            if status == 0:
                seconds = time.monotonic() - started
            hits += status == signal.SIGKILL
            # What was on its way when the process died has arrived.
            time.sleep(0.1)
            assert staying <= shop.people(), f"SEGOPS_KILL_SEED={SEED}"
            if hits == KILLS:
                break
    assert hits == KILLS, "too few syncs were hit"
    shop.pass_time(minutes=2)
    shop.until_quiet()
    assert shop.people() == shop.wanted(), f"SEGOPS_KILL_SEED={SEED}"
    assert shop.sandbox.violations == []


def _strike(killer: Killer, shop: PlatformShop, seconds: float) -> int:
    """A sync that is killed after so long, if it has not ended; how it ended."""
    pid = killer.begin(Order(shop.tenant, shop.slug, shop.time.ahead.total_seconds()))
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    status: Any = killer.end()
    assert status in (0, signal.SIGKILL), "a sync that nobody killed failed"
    return int(status)
