"""Staying under a platform's published rate: permits at an even pace, one bucket for all who share an account.

The bucket is GCRA: it knows only when the next permit is free. A process takes several permits from it at a time and
spends them at their instants, so that a shared bucket is not asked before every request. What is handed out is
``SHARE_USED`` of the published rate: the rest absorbs the network, which lets requests arrive closer together than they
were sent, and permits spent a little late.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

SHARE_USED = 0.95
# At most this share of a window's requests is taken from the bucket at once, and never more than a second's worth.
_SHARE_TAKEN = 0.02
_SECONDS_TAKEN = 1.0

# (bucket, permits a second, permits) -> seconds until the first of these permits may be used; the others follow it at
# an even pace. A bucket that nobody asked for a while owes nobody anything: there is no burst.
Reserve = Callable[[str, float, int], float]
# (bucket, seconds): no permit of it is free before so long from now.
Hold = Callable[[str, float], None]


@dataclass(frozen=True)
class Rate:
    """At most ``requests`` in any ``seconds``. The source of the figure belongs beside it."""

    requests: int
    seconds: float


class Limiter(Protocol):
    """What stands before every request."""

    def wait(self, most: float = math.inf) -> float:
        """Return 0 when one more request may be sent; at once the seconds left, when these are more than ``most``."""

    def hold_off(self, seconds: float) -> None:
        """Let nobody through for so long: the platform said so."""


# (key, rates) -> the limiter. The key names what shares the rate: a platform's call and the account.
LimiterFactory = Callable[[str, Sequence[Rate]], Limiter]


class LocalBuckets:
    """The buckets of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next_free: dict[str, float] = {}

    def reserve(self, key: str, per_second: float, permits: int) -> float:
        """Take permits; the seconds until the first of them may be used."""
        with self._lock:
            now = self._clock()
            first = max(now, self._next_free.get(key, now))
            self._next_free[key] = first + permits / per_second
            return first - now

    def hold(self, key: str, seconds: float) -> None:
        """No permit is free before so long from now; a longer hold stays."""
        with self._lock:
            until = self._clock() + seconds
            self._next_free[key] = max(until, self._next_free.get(key, until))


class PacedLimiter:
    """Several rates at once, each with its own bucket; for any number of threads."""

    def __init__(
        self,
        key: str,
        rates: Sequence[Rate],
        reserve: Reserve,
        hold: Hold,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._held_until = -math.inf
        paces = [_Pace(f"{key}/{rate.seconds:g}s", rate, reserve, hold, clock) for rate in rates]
        self._paces = [pace for pace in paces if not any(other.implies(pace) for other in paces if other is not pace)]

    def wait(self, most: float = math.inf) -> float:
        """Return 0 when one more request may be sent; at once the seconds left, when these are more than ``most``."""
        with self._lock:
            due = max((pace.next() for pace in self._paces), default=-math.inf)
        while (left := max(due, self._held_until) - self._clock()) > 0:
            if left > most:
                return left
            self._sleep(left)
        return 0.0

    def hold_off(self, seconds: float) -> None:
        """Let nobody through for so long, in this process and by the buckets in all; a longer hold stays."""
        with self._lock:
            until = self._clock() + seconds
            if until > self._held_until:
                self._held_until = until
                for pace in self._paces:
                    pace.hold(seconds)


class _Pace:
    """One bucket's permits that this process has taken and not yet spent."""

    def __init__(self, key: str, rate: Rate, reserve: Reserve, hold: Hold, clock: Callable[[], float]) -> None:
        self._key = key
        self._rate = rate
        self._per_second = rate.requests * SHARE_USED / rate.seconds
        self._taken_at_once = max(1, int(min(rate.requests * _SHARE_TAKEN, self._per_second * _SECONDS_TAKEN)))
        self._reserve = reserve
        self._hold = hold
        self._clock = clock
        self._left = 0
        self._due = -math.inf

    def implies(self, other: _Pace) -> bool:
        """Whether this pace is so slow that the other's rate cannot be reached, even by two processes catching up."""
        most = self._per_second * other._rate.seconds + 2 * self._taken_at_once
        return self._per_second < other._per_second and most <= other._rate.requests

    def next(self) -> float:
        """The instant of the next permit. Those unspent for as long as a taking lasts are lost: they would pile up."""
        if self._left and self._clock() - self._due > self._taken_at_once / self._per_second:
            self._left = 0
        if not self._left:
            self._due = self._clock() + self._reserve(self._key, self._per_second, self._taken_at_once)
            self._left = self._taken_at_once
        due = self._due
        self._left -= 1
        self._due += 1 / self._per_second
        return due

    def hold(self, seconds: float) -> None:
        """Give up what was taken, and keep the bucket shut for so long."""
        self._left = 0
        self._hold(self._key, seconds)


_LOCAL = LocalBuckets()


def local_limiters(key: str, rates: Sequence[Rate]) -> Limiter:
    """A limiter over the buckets of this process."""
    return PacedLimiter(key, rates, _LOCAL.reserve, _LOCAL.hold)


def limiters(reserve: Reserve, hold: Hold, speed: float = 1.0) -> LimiterFactory:
    """Limiters over other buckets, such as the catalogue's; ``speed`` multiplies every rate, for a sandbox's scale."""

    def limiter(key: str, rates: Sequence[Rate]) -> Limiter:
        return PacedLimiter(key, [Rate(rate.requests, rate.seconds / speed) for rate in rates], reserve, hold)

    return limiter
