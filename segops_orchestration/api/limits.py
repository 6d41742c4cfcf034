"""How often callers may ask. Counted in this process alone: with several, each allows as much again."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segops_orchestration.api.errors import ApiError

_NAMES_KEPT = 50_000
# Each takes a thread of those that answer requests, and memory; the rest of the API goes on beside them.
_PASSWORDS_AT_ONCE = 10


class Buckets:
    """For each name ``burst`` at once, then ``rate`` a second (GCRA, https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm).

    Its memory is bounded: of too many names, those that asked longest ago are forgotten.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate
        self._clock = clock
        self._lock = threading.Lock()
        # When each name's bucket will be as if it had never asked.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one, if there is one: 0.0; else in how many seconds there is."""
        now = self._clock()
        with self._lock:
            full_at = max(self._full_at.get(name, now), now)
            wait = full_at - now - self._tolerance
            if wait > 0:
                return wait
            self._full_at[name] = full_at + self._interval
            self._full_at.move_to_end(name)
            if len(self._full_at) > _NAMES_KEPT:
                self._full_at.popitem(last=False)
        return 0.0

    def give_back(self, name: str) -> None:
        """Undo a ``take``."""
        with self._lock:
            if name in self._full_at:
                self._full_at[name] -= self._interval

    def forget(self, name: str) -> None:
        """As if the name had never asked."""
        with self._lock:
            self._full_at.pop(name, None)


class CallerLimits:
    """A second's worth of requests at once, then ``rate`` a second, for each caller. 0: without limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets = Buckets(rate, max(rate, 1.0)) if rate else None

    def spend(self, caller: str) -> None:
        """Count one request.

        Raises:
            ApiError: 429, and when to try again.
        """
        if self._buckets is None:
            return
        wait = self._buckets.take(caller)
        if wait > 0:
            raise too_many(f"more than {self._rate:g} requests a second", wait)


class LoginThrottle:
    """How often a password may be tried for one email address, and from one network address.

    Both are counted before the password is compared, so that guesses in parallel count as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._emails = Buckets(1 / 30, 10, clock)
        self._addresses = Buckets(1 / 5, 50, clock)
        self._slots = threading.BoundedSemaphore(_PASSWORDS_AT_ONCE)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Room to compare or store one password.

        Raises:
            ApiError: 429, too many do so at this moment.
        """
        if not self._slots.acquire(blocking=False):
            raise too_many("too many passwords at this moment", 1)
        try:
            yield
        finally:
            self._slots.release()

    def attempt(self, email: str, address: str) -> None:
        """Count one attempt.

        Raises:
            ApiError: 429, and when to try again.
        """
        # The address first: what it is refused does not lock out the person, or push others' emails out of memory.
        wait = self._addresses.take(address)
        if not wait:
            wait = self._emails.take(_name(email))
        if wait:
            raise too_many("too many attempts to log in", wait)

    def succeeded(self, email: str, address: str) -> None:
        """The attempt was right: it does not count."""
        self._emails.forget(_name(email))
        self._addresses.give_back(address)


def too_many(what: str, wait: float) -> ApiError:
    """429, with the seconds to wait."""
    seconds = max(1, math.ceil(wait))
    return ApiError(429, f"{what}; try again in {seconds} seconds", headers={"Retry-After": str(seconds)})


def network_of(host: str | None) -> str:
    """What counts as one network address: an IPv4 address, or the /64 network that a household has of IPv6."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _name(email: str) -> str:
    return email.strip().lower()[:300]
