"""What all sandboxes share: limits, misbehaviour, and the count of every breach."""

from __future__ import annotations

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.misbehaviour import KINDS, Misbehaviour

# Requests that were under way when a wait was asked for are no breach.
_GRACE_SECONDS = 0.5
_MOST_VIOLATIONS_KEPT = 1000


@dataclass(frozen=True)
class Request:
    """One call, as it came over the wire. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def call(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """An answer; ``body`` becomes JSON unless it is None."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """How an answer goes out: None for a connection closed without one."""

    response: Response | None
    delay: float = 0.0


class Refusal(Exception):
    """The call ends with this answer. ``breach`` says which line of the contract the caller broke, if any."""

    def __init__(self, response: Response, breach: str | None = None) -> None:
        super().__init__(breach or str(response.status))
        self.response = response
        self.breach = breach


class Window:
    """At most so many requests in any span of time: sliding, so stricter than a vendor's that starts anew."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self._at: deque[float] = deque()

    def wait(self) -> float:
        """Seconds until one more request fits; 0 when it fits now."""
        now = self._clock()
        while self._at and self._at[0] <= now - self.rate.seconds:
            self._at.popleft()
        return 0.0 if len(self._at) < self.rate.requests else self._at[0] + self.rate.seconds - now

    def take(self) -> None:
        """Count a request."""
        self._at.append(self._clock())

    @property
    def left(self) -> int:
        """Requests that still fit, as of the last look."""
        return self.rate.requests - len(self._at)


class Sandbox(ABC):
    """One pretended account. ``answer`` is called by the server's threads; all else happens under one lock.

    Attributes:
        speed: multiplies every limit, so that tests need not wait.
        violations: what callers did against the contract or above a limit, in the vendor's terms.
    """

    type: ClassVar[str]
    # Misbehaviour of this platform alone, beside ``KINDS``.
    own_kinds: ClassVar[Mapping[str, str]] = {}
    # What to create a connector with. ``address`` is the entry of its config that the sandbox's own address goes to.
    address: ClassVar[str] = "base_url"
    config: Mapping[str, Any] = {}
    secrets: Mapping[str, str] = {}

    def __init__(
        self, *, speed: float = 1.0, clock: Callable[[], float] = time.monotonic, seed: int | None = None
    ) -> None:
        self.speed = speed
        self.clock = clock
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.violations: list[str] = []
        self.violation_count = 0
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._misbehaviours: list[Misbehaviour] = []
        self._windows: dict[str, list[Window]] = {}
        self._caps: dict[int, Window] = {}
        # call -> when the wait was asked for, and when it ends.
        self._asked_to_wait: dict[str, tuple[float, float]] = {}

    # What a platform's sandbox says.

    @abstractmethod
    def handle(self, request: Request) -> Response:
        """Check the call and carry it out; raises Refusal. Called under the lock."""

    @abstractmethod
    def call_name(self, request: Request) -> str:
        """Which call of the vendor's list it is: limits and waits go by it, identifiers in the path do not."""

    @abstractmethod
    def limits(self, call: str) -> Sequence[Rate]:
        """The published limits of a call."""

    @abstractmethod
    def too_many(self, wait: float | None, window: Window | None) -> Response:
        """The vendor's 429."""

    @abstractmethod
    def failure(self, status: int, message: str) -> Response:
        """The vendor's form of an error."""

    @abstractmethod
    def members(self) -> set[str]:
        """User ids in the audience now."""

    def connector_config(self, url: str) -> dict[str, Any]:
        """The config of a connector to this sandbox, served at ``url``."""
        return {**self.config, self.address: url}

    def state(self) -> dict[str, Any]:
        """What there is to see, beside what all sandboxes show."""
        return {}

    # What tests and the admin calls use.

    def misbehave(self, kind: str, **options: Any) -> None:
        """Add an instruction: see ``Misbehaviour`` for the fields, ``kinds`` for what there is."""
        with self.lock:
            self._misbehaviours.append(Misbehaviour.from_document({"kind": kind, **options}, self.kinds))

    def behave(self) -> None:
        """Call off all misbehaviour."""
        with self.lock:
            self._misbehaviours.clear()
            self._caps.clear()

    @property
    def kinds(self) -> Mapping[str, str]:
        """Everything this sandbox can be told to do wrong."""
        return {**KINDS, **self.own_kinds}

    def overview(self) -> dict[str, Any]:
        """Counts, instructions still to strike, and the platform's own state."""
        with self.lock:
            return {
                "type": self.type,
                "members": len(self.members()),
                "calls": dict(sorted(self.calls.items())),
                "statuses": dict(sorted(self.statuses.items())),
                "violations": self.violation_count,
                "misbehaviours": [told.as_document() for told in self._misbehaviours],
                **self.state(),
            }

    def breach(self, what: str) -> None:
        """Count a violation; the first thousand are kept in words."""
        self.violation_count += 1
        if len(self.violations) < _MOST_VIOLATIONS_KEPT:
            self.violations.append(what)

    # What happens to a call.

    def answer(self, request: Request) -> Delivery:
        """Carry a call out, or what it has been told to do instead."""
        with self.lock:
            call = self.call_name(request)
            self.calls[call] += 1
            delivery = self._misbehaved(request, call) or Delivery(self._handled(request, call))
            slow = self.told("slow", request)
            if slow is not None:
                delivery = Delivery(delivery.response, delivery.delay + slow.option("seconds", 1.0))
            self.statuses["none" if delivery.response is None else str(delivery.response.status)] += 1
            return delivery

    def told(self, kind: str, request: Request) -> Misbehaviour | None:
        """The instruction of this kind that strikes this call, if one does; it is used up by this."""
        return next((told for told in self.matching(kind, request) if self._strikes(told)), None)

    def matching(self, kind: str, request: Request) -> list[Misbehaviour]:
        """The instructions of this kind for such a call, for one that asks more before it strikes."""
        return [told for told in self._misbehaviours if told.kind == kind and told.calls in request.call]

    def use_up(self, told: Misbehaviour) -> None:
        """It has struck once more."""
        if told.times is not None:
            told.times -= 1
            if not told.times:
                self._misbehaviours.remove(told)

    def _strikes(self, told: Misbehaviour) -> bool:
        if told.skip:
            told.skip -= 1
            return False
        if told.chance < 1 and self.random.random() >= told.chance:
            return False
        self.use_up(told)
        return True

    def _misbehaved(self, request: Request, call: str) -> Delivery | None:
        """What happens instead of an answer, by the first instruction that strikes; None for nothing."""
        for told in list(self._misbehaviours):
            if told.kind not in KINDS or told.kind == "slow" or told.calls not in request.call:
                continue
            if self._strikes(told) and (delivery := self._instead(told, request, call)):
                return delivery
        return None

    def _instead(self, told: Misbehaviour, request: Request, call: str) -> Delivery | None:
        if told.kind == "key_revoked":
            return Delivery(self.failure(401, "the key has been revoked"))
        if told.kind == "429":
            return Delivery(self._told_to_wait(call, told.option("wait", 1.0), None))
        if told.kind == "cap":
            wait = self._capped(told)
            return Delivery(self._told_to_wait(call, wait, None)) if wait else None
        if told.option("applied", False):
            self._handled(request, call)
        if told.kind == "500":
            return Delivery(self.failure(int(told.option("status", 500)), "internal error"))
        return Delivery(None, told.option("seconds", 3600.0) if told.kind == "hang" else 0.0)

    def _handled(self, request: Request, call: str) -> Response:
        over = self._over_limit(call)
        if over is not None:
            return over
        try:
            return self.handle(request)
        except Refusal as refusal:
            if refusal.breach:
                self.breach(f"{request.call}: {refusal.breach}")
            return refusal.response

    def _over_limit(self, call: str) -> Response | None:
        # The wait is the vendor's word about the call, so it is a breach to come earlier, whatever the windows say.
        asked, end = self._asked_to_wait.get(call, (0.0, 0.0))
        if asked + _GRACE_SECONDS < self.clock() < end:
            self.breach(f"{call}: called again {end - self.clock():.2f} s before the wait was over")
        windows = self._windows.get(call)
        if windows is None:
            rates = [Rate(rate.requests, rate.seconds / self.speed) for rate in self.limits(call)]
            windows = self._windows[call] = [Window(rate, self.clock) for rate in rates]
        for window in windows:
            wait = window.wait()
            if wait > 0:
                self.breach(f"{call}: more than {window.rate.requests} requests in {window.rate.seconds:g} s")
                return self._told_to_wait(call, wait, window)
        for window in windows:
            window.take()
        return None

    def _told_to_wait(self, call: str, wait: float | None, window: Window | None) -> Response:
        if wait is not None:
            self._asked_to_wait[call] = (self.clock(), self.clock() + wait)
        return self.too_many(wait, window)

    def _capped(self, told: Misbehaviour) -> float:
        rate = Rate(int(told.option("per_second", 1)), 1.0)
        window = self._caps.setdefault(id(told), Window(rate, self.clock))
        wait = window.wait()
        if not wait:
            window.take()
        return wait
