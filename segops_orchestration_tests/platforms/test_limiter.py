"""The pace under a published rate: never above it in any window, and close below it."""

from __future__ import annotations

import threading
import time

import pytest

from segops_orchestration.activation.limiter import LocalBuckets, PacedLimiter, Rate, limiters, local_limiters
from segops_orchestration.activation.sandbox.sandbox import Window

FAST_AND_SLOW = [Rate(10, 1), Rate(150, 60)]


class Clock:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def most_in_any_window(instants: list[float], rate: Rate) -> int:
    return max(sum(start <= at < start + rate.seconds for at in instants) for start in instants)


def limiter_of(buckets: LocalBuckets, rates: list[Rate], clock: Clock) -> PacedLimiter:
    return PacedLimiter("k", rates, buckets.reserve, buckets.hold, clock=clock, sleep=clock.sleep)


def pace(clock: Clock, rates: list[Rate], count: int, *, work: float = 0.0) -> list[float]:
    """Instants of ``count`` requests, each followed by so much work."""
    limiter = limiter_of(LocalBuckets(clock), rates, clock)
    instants = []
    for _ in range(count):
        limiter.wait()
        instants.append(clock.now)
        clock.sleep(work)
    return instants


@pytest.mark.parametrize(
    "rates",
    [FAST_AND_SLOW, [Rate(75, 1), Rate(750, 60)], [Rate(10, 1), Rate(590, 60)], [Rate(5_000, 60)], [Rate(1, 1)]],
)
@pytest.mark.parametrize("work", [0.0, 0.03])
def test_no_window_holds_more_than_is_published(rates: list[Rate], work: float) -> None:
    instants = pace(Clock(), rates, 1_500, work=work)
    assert all(most_in_any_window(instants, rate) <= rate.requests for rate in rates)


@pytest.mark.parametrize("rates", [FAST_AND_SLOW, [Rate(75, 1), Rate(750, 60)], [Rate(5_000, 60)]])
def test_the_slowest_rate_is_used_to_nine_tenths(rates: list[Rate]) -> None:
    instants = pace(Clock(), rates, 1_500)
    used = (len(instants) - 1) / (instants[-1] - instants[0])
    assert used >= 0.9 * min(rate.requests / rate.seconds for rate in rates)


def test_a_permit_used_late_is_caught_up_with() -> None:
    clock = Clock()
    limiter = limiter_of(LocalBuckets(clock), [Rate(5_000, 60)], clock)
    for number in range(4_000):
        limiter.wait()
        # Every hundredth request is held up, for less than the permits that were taken last.
        clock.sleep(0.3 if number % 100 == 99 else 0.0)
    assert 4_000 / (clock.now - 1000) >= 0.9 * 5_000 / 60


def test_permits_do_not_pile_up_while_nothing_is_sent() -> None:
    clock = Clock()
    limiter = limiter_of(LocalBuckets(clock), [Rate(5_000, 60)], clock)
    limiter.wait()
    clock.sleep(3600)
    instants = []
    for _ in range(200):
        limiter.wait()
        instants.append(clock.now)
    assert instants[-1] - instants[0] >= 199 / (5_000 / 60)


def test_limiters_of_one_account_share_its_rate() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    both = [limiter_of(buckets, FAST_AND_SLOW, clock) for _ in range(2)]
    instants = []
    for number in range(600):
        both[number % 2].wait()
        instants.append(clock.now)
    assert all(most_in_any_window(instants, rate) <= rate.requests for rate in FAST_AND_SLOW)


def test_the_bucket_is_asked_for_several_permits_at_a_time() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    asked: list[int] = []

    def reserve(key: str, per_second: float, permits: int) -> float:
        asked.append(permits)
        return buckets.reserve(key, per_second, permits)

    limiter = PacedLimiter("k", [Rate(5_000, 60)], reserve, buckets.hold, clock=clock, sleep=clock.sleep)
    for _ in range(790):
        limiter.wait()
    assert asked == [79] * 10


def test_a_rate_that_a_slower_one_implies_needs_no_bucket() -> None:
    asked: set[str] = set()

    def reserve(key: str, per_second: float, permits: int) -> float:
        asked.add(key)
        return 0.0

    limiters(reserve, LocalBuckets().hold)("k", FAST_AND_SLOW).wait()
    assert asked == {"k/60s"}


def test_a_rate_that_binds_for_a_moment_keeps_its_bucket() -> None:
    asked: set[str] = set()

    def reserve(key: str, per_second: float, permits: int) -> float:
        asked.add(key)
        return 0.0

    limiters(reserve, LocalBuckets().hold)("k", [Rate(10, 1), Rate(590, 60)]).wait()
    assert asked == {"k/1s", "k/60s"}


def test_holding_off_keeps_everybody_waiting() -> None:
    clock = Clock()
    limiter = limiter_of(LocalBuckets(clock), [Rate(10, 1)], clock)
    limiter.wait()
    limiter.hold_off(30)
    limiter.hold_off(5)
    limiter.wait()
    assert clock.now == pytest.approx(1030, abs=0.2)


def test_holding_off_holds_for_every_process() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    here, there = (limiter_of(buckets, FAST_AND_SLOW, clock) for _ in range(2))
    here.hold_off(30)
    there.wait()
    assert clock.now == pytest.approx(1030, abs=1.5)


def test_holding_off_once_more_does_not_add_up() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    here, there = (limiter_of(buckets, FAST_AND_SLOW, clock) for _ in range(2))
    for _ in range(16):
        here.hold_off(30)
    there.wait()
    assert clock.now == pytest.approx(1030, abs=1.5)


def test_a_wait_that_every_process_is_told_of_is_no_longer_for_it() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    for _ in range(16):
        limiter_of(buckets, FAST_AND_SLOW, clock).hold_off(30)
    limiter_of(buckets, FAST_AND_SLOW, clock).wait()
    assert clock.now == pytest.approx(1030, abs=1.5)


def test_a_wait_that_is_too_long_is_told_at_once() -> None:
    clock = Clock()
    limiter = limiter_of(LocalBuckets(clock), [Rate(10, 1)], clock)
    limiter.hold_off(30)
    assert limiter.wait(most=29) == pytest.approx(30, abs=0.2)
    assert clock.now == 1000
    assert limiter.wait(most=31) == 0


def test_speed_multiplies_every_rate() -> None:
    given: list[float] = []

    def reserve(key: str, per_second: float, permits: int) -> float:
        given.append(per_second)
        return 0.0

    limiters(reserve, LocalBuckets().hold, speed=60)("k", [Rate(150, 60)]).wait()
    assert given == [pytest.approx(0.95 * 150)]


def test_threads_share_a_limiter() -> None:
    limiter = local_limiters("threads that share it", [Rate(400, 1)])
    window = Window(Rate(400, 1), time.monotonic)
    above: list[float] = []
    lock = threading.Lock()

    def send() -> None:
        for _ in range(60):
            limiter.wait()
            with lock:
                above.extend(wait for wait in [window.wait()] if wait)
                window.take()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert above == []
