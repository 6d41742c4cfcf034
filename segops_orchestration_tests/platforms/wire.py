"""What stands between a connector and a sandbox: it loses requests for a while, takes time, and sees what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from segops_orchestration.activation.sandbox.sandbox import Delivery, Refusal, Request
from segops_orchestration_tests.activation.roster.shop import StoryClock

# What was lost takes effect within this share of the time that the platform's class allows for it.
_SHARE_OF_SETTLING = 0.9
_LONGEST_CALL_SECONDS = 100.0


@dataclass
class Wire:
    """In a sandbox's place on its server; only ``answer`` is called.

    Attributes:
        wanted: who is in the segment while a sync runs.
        wrong: who was removed though a member, or added though none.
        to_lose: so many of the next writing requests get no answer and take effect later.
        drift: seconds of the story that the calls of this sync may take together.
        interrupts: request number from now -> what happens before it.
    """

    sandbox: Any
    time: StoryClock
    random: Random
    settle: float
    wanted: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    to_lose: int = 0
    drift: float = 0.0
    interrupts: dict[int, Callable[[], object]] = field(default_factory=dict)
    late: list[tuple[float, Request]] = field(default_factory=list)
    submitted: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def answer(self, request: Request) -> Delivery:
        """As the sandbox's."""
        interrupt = self.interrupts.pop(1, None)
        self.interrupts = {number - 1: what for number, what in self.interrupts.items()}
        if interrupt is not None:
            interrupt()
        with self.sandbox.lock:
            self.counts["requests"] += 1
            self._take_time()
            self.arrive()
            if self.to_lose and request.method != "GET":
                self.to_lose -= 1
                self.counts["requests that take effect late"] += 1
                share = self.random.uniform(0, _SHARE_OF_SETTLING)
                self.late.append((self.sandbox.clock() + share * self.settle, request))
                self._judge(set(), set(), request)
                return Delivery(None)
            before = self.sandbox.members()
            delivery: Delivery = self.sandbox.answer(request)
            self._judge(before, self.sandbox.members(), request)
            self._see_jobs()
            return delivery

    def arrive(self, *, at_last: bool = False) -> None:
        """Let take effect what was lost and whose time has come."""
        with self.sandbox.lock:
            now = self.sandbox.clock()
            due = sorted((one for one in self.late if at_last or one[0] <= now), key=lambda one: one[0])
            self.late = [one for one in self.late if one not in due]
            for at, request in due:
                self._carry_out(request, at)

    def hasten_unknown_jobs(self, known: set[str]) -> None:
        """Jobs that nobody was told of end while the delivery waits for what it does not know of."""
        with self.sandbox.lock:
            for job in self._jobs().values():
                if job.id not in known and job.ends_at != float("inf"):
                    job.ends_at = min(job.ends_at, self.submitted[job.id] + _SHARE_OF_SETTLING * self.settle)

    def _carry_out(self, request: Request, at: float) -> None:
        jobs = set(self._jobs())
        try:
            self.sandbox.handle(request)
        except Refusal:
            self.counts["late requests that were refused"] += 1
        for name in set(self._jobs()) - jobs:
            self.sandbox.account.jobs[name].ends_at = self.submitted[name] = at

    def _take_time(self) -> None:
        step = self.random.uniform(0, min(_LONGEST_CALL_SECONDS, self.drift))
        if any(end > self.sandbox.clock() for _, end in self.sandbox._asked_to_wait.values()):
            return  # Others that are on their way would seem to come long after they were asked to wait.
        self.drift -= step
        self.time.ahead += timedelta(seconds=step)

    def _judge(self, before: set[str], after: set[str], request: Request) -> None:
        removed = (before - after) & self.wanted
        added = (after - before) - self.wanted
        if request.path.endswith("/profile-bulk-import-jobs") and request.method == "POST":
            added = _imported(request) - self.wanted
        elif self._jobs():
            added = set()  # By a job that was submitted earlier.
        if removed:
            self.wrong.append(f"{request.call} removed members: {sorted(removed)}")
        if added:
            self.wrong.append(f"{request.call} added who is not a member: {sorted(added)}")

    def _see_jobs(self) -> None:
        for name in self._jobs():
            self.submitted.setdefault(name, self.sandbox.clock())

    def _jobs(self) -> dict[str, Any]:
        account = getattr(self.sandbox, "account", None)
        return {} if account is None else account.jobs


def _imported(request: Request) -> set[str]:
    profiles = json.loads(request.body)["data"]["attributes"]["profiles"]["data"]
    return {profile["attributes"]["external_id"] for profile in profiles}
