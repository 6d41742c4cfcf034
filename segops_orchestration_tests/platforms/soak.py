"""A long life of one connector over a vendor's sandbox: everything changes, everything fails, days go by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from segops_orchestration.activation.http import PlatformHttp
from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.activation.rejections import requeue
from segops_orchestration.activation.result import SyncResult
from segops_orchestration_tests.activation.roster.fuse import Crash, Fuse, burning
from segops_orchestration_tests.activation.roster.shop import patient
from segops_orchestration_tests.platforms.test_delivery import PlatformShop
from segops_orchestration_tests.platforms.wire import Wire

_MOST_STEPS_OF_A_SYNC = 60
_MINUTES = (0.2, 1, 1, 5, 12, 61, 400, 1_500, 4_500)
# Calls of one sync take at most this many seconds of the story, which its lease outlasts.
_LONGEST_SYNC_SECONDS = 400.0
_PATIENCE = patient(lease=3_600.0, follow=0.05)
_LINES_TOLD = 80

_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("429", {"wait": 0}),
    ("429", {"wait": 1}),
    ("429", {"wait": 90}),
    ("429", {"wait": None}),
    ("500", {"applied": True}),
    ("500", {"applied": False, "status": 503}),
    ("hang", {"applied": True}),
    ("hang", {"applied": False}),
    ("drop", {"applied": True}),
    ("drop", {"applied": False}),
    ("slow", {"seconds": 0.05}),
    ("slow", {"seconds": 0.6}),
    ("cap", {"per_second": 5}),
    ("key_revoked", {}),
)
# What a fault needs of the story, by the name of the option.
_OWN: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "klaviyo": (
        ("reject_rows", {"share": 0.3}),
        ("reject_rows", {"users": ...}),
        ("refuse_rows", {"users": ...}),
        ("refuse_batch", {}),
        ("job_late", {"seconds": 120.0}),
        ("job_late", {"seconds": 72_000.0}),
        ("job_partly", {"share": 0.5}),
        ("job_never", {}),
        ("job_unnamed", {}),
        ("list_deleted", {}),
        ("revision_retired", {}),
        ("scope_missing", {"scope": "lists:write"}),
        ("stale_profiles", {"profiles": ...}),
    ),
    "braze": (
        ("reject_rows", {"share": 0.3}),
        ("reject_rows", {"users": ...}),
        ("errors_unreadable", {}),
        ("refuse_batch", {}),
        ("refuse_batch", {"users": ...}),
        ("group_deleted", {}),
        ("permission_missing", {"permission": "subscription.status.set"}),
    ),
    "talon_one": (("refuse_users", {"users": ...}), ("refuse_batch", {}), ("audience_deleted", {})),
    "webhook": (
        ("reject_users", {"users": ...}),
        ("refuse_users", {"users": ...}),
        ("refuse", {"status": 400}),
        ("refuse", {"status": 408}),
        ("too_large", {"users_most": 3}),
        ("redirect", {}),
        ("gone", {}),
        ("unsure", {}),
    ),
}
_STEPS: dict[str, int] = {
    "members_change": 6,
    "somebody_says_something": 2,
    "time_passes": 5,
    "fault": 5,
    "lose": 2,
    "behave": 2,
    "sync": 9,
    "crash": 3,
    "pause": 1,
    "pause_meanwhile": 1,
    "mend": 3,
    "requeue": 1,
}


@dataclass
class Soak:
    """The story of one connector. ``hot`` users come and go all the time."""

    shop: PlatformShop
    wire: Wire
    random: Random
    everyone: Sequence[str]
    resize: Callable[[int], object]
    hot: Sequence[str] = ()
    told: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    emails: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hot = self.everyone[:6]
        self.began = self.shop.clock()
        if self._klaviyo:
            for user in self.everyone:
                self.shop.sandbox.account.upsert({"email": _strangers(user)})

    def live(self, *, until: Callable[[int], bool]) -> None:
        """Steps at random, then calm. An error says the story."""
        try:
            self.members_change()
            steps = 0
            while not until(steps):
                name = self.random.choices(list(_STEPS), list(_STEPS.values()))[0]
                getattr(self, name)()
                self._check()
                steps += 1
            self.calm()
        except BaseException as error:
            error.add_note(self.tale())
            raise

    # What happens.

    def members_change(self) -> None:
        draw = self.random.random()
        if draw < 0.1:
            wanted = set(self.random.sample(self.everyone, self.random.randint(0, len(self.everyone))))
        else:
            among = self.hot if draw < 0.7 else self.everyone
            wanted = self.shop.wanted() ^ set(self.random.sample(among, self.random.randint(1, 4)))
        self.shop.want(wanted)
        self._tell("changes of the segment", f"want {_short(wanted)}")

    def somebody_says_something(self) -> None:
        user = self.random.choice(self.everyone)
        clash = self.random.random() < 0.3
        self.counts["properties"] += 1
        email = _strangers(user) if clash else f"{user.replace(' ', '-')}-{self.counts['properties']}@example.com"
        self.emails[user] = email
        event = {
            "event_id": f"00000000-0000-0000-0000-{next(self.shop.versions):012d}",
            "user_id": user,
            "event_type": "context_identified",
            # Of the machine's clock: what is said in the future does not count yet.
            "occurred_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23],
            "ingested_at": self.shop.clock().strftime("%Y-%m-%d %H:%M:%S.%f")[:23],
            "payload": json.dumps({"email": email}),
        }
        self.shop.database.insert_bytes("events", [json.dumps(event).encode()], "JSONEachRow")
        self.told.append(f"{user} has {email}")

    def time_passes(self) -> None:
        self._pass(self.random.choice(_MINUTES))

    def fault(self) -> None:
        kind, options = self.random.choice((*_FAULTS, *_OWN[self.shop.sandbox.type]))
        options = {name: self._meant(name) if value is ... else value for name, value in options.items()}
        if "users_most" in options:
            options = {"users": options["users_most"], "times": None}
        times = self.random.choice([1, 1, 2, 3, 30])
        told = {"times": times, "skip": self.random.randint(0, 3), "chance": self.random.choice([1.0, 0.5]), **options}
        if kind == "cap":
            told["times"] = None
        self.shop.sandbox.misbehave(kind, **told)
        self._tell(f"fault {kind}", f"{told}")

    def lose(self) -> None:
        self.wire.to_lose = self.random.choice([1, 1, 2, 40])
        self._tell("fault late", f"{self.wire.to_lose}")

    def behave(self) -> None:
        self.shop.sandbox.behave()
        self.wire.to_lose = 0
        self.told.append("behave")

    def pause(self) -> None:
        self.shop.catalog.connectors.pause(self.shop.tenant, self.shop.slug)
        self._tell("pauses", "")

    def pause_meanwhile(self) -> None:
        """The next sync is paused before one of its requests."""
        self.wire.interrupts = {self.random.randint(1, 6): self.pause}
        self.sync()
        self.wire.interrupts = {}

    def mend(self) -> None:
        """A person sees to what stopped the connector, or resumes it."""
        status = self.shop.connector.status
        if status == "error":
            self.behave()
        if status in ("error", "paused"):
            self.shop.catalog.connectors.resume(self.shop.tenant, self.shop.slug)
            self._tell(f"resumed after {status}", "")

    def requeue(self) -> None:
        requeue(self.shop.catalog, self.shop.warehouse, self.shop.tenant, self.shop.slug)
        self._tell("requeues", "")

    def sync(self) -> SyncResult:
        if self.random.random() < 0.6:
            self.mend()
        self._begin()
        result = self.shop.sync(patience=_PATIENCE)
        self._end()
        self._tell(f"syncs {result.outcome}", f"{result.error} {result.backlog} in {result.requests} requests")
        if result.outcome == "succeeded" and not result.backlog.pending:
            self._compare()
        return result

    def crash(self) -> None:
        step, after = self.random.randint(1, _MOST_STEPS_OF_A_SYNC), self.random.random() < 0.5
        self.mend()
        self._begin()
        try:
            with burning(Fuse(step, after=after), (PlatformHttp, "_once")):
                self.shop.sync(patience=_PATIENCE)
            self._tell("syncs that outran the crash", "")
        except Crash:
            self._tell("crashes", f"at step {step} {'after' if after else 'before'} it is done")
            # A wait that the dead process was asked for is known to nobody.
            self.shop.sandbox._asked_to_wait.clear()
        self._end()

    def calm(self) -> None:
        """All is well again: after some days everything is as it should be."""
        self.told.append("calm")
        self.behave()
        self._pass(1_500)
        self.mend()
        self.requeue()
        for _ in range(20):
            result = self.sync()
            self._check()
            if result.outcome == "succeeded" and not result.backlog.pending and not result.backlog.rejected:
                break
            self._pass(1_500)
        self.wire.arrive(at_last=True)
        assert (result.backlog.pending, result.backlog.rejected) == (0, 0), "something is pending for ever"
        self._compare()
        refused = {user for user, state in self.shop.states().items() if state in ("rejected", "parked")}
        clashing = {user for user, email in self.emails.items() if email == _strangers(user)}
        assert refused & self.shop.wanted() <= (clashing if self._klaviyo else set()), "refused without a reason"
        assert not (self.shop.people() - self._strangers()) - self.shop.wanted(), "somebody is still in the audience"

    # What must be true.

    def _check(self) -> None:
        assert not self.wire.wrong, self.wire.wrong
        assert not self.shop.sandbox.violations, self.shop.sandbox.violations

    def _compare(self) -> None:
        """With nothing pending, only those whom the platform refused may differ."""
        refused = {user for user, state in self.shop.states().items() if state in ("rejected", "parked")}
        people, wanted = self.shop.people() - self._strangers() - refused, self.shop.wanted() - refused
        self.counts["comparisons"] += 1
        assert people == wanted, f"missing {sorted(wanted - people)}, too many {sorted(people - wanted)}"

    def _begin(self) -> None:
        self.wire.wanted = self.shop.wanted()
        self.wire.drift = self.random.choice([0.0, 0.0, 0.0, _LONGEST_SYNC_SECONDS])
        self.resize(self.random.choice([5, 5, 8, 20]))
        if self._klaviyo:
            self.shop.sandbox.job_seconds = self.random.choice([0.0, 0.0, 30.0, 600.0])

    def _end(self) -> None:
        self.wire.drift = 0.0
        known = {job.job for job in self.shop.catalog.connectors.open_jobs(self.shop.connector)}
        self.wire.hasten_unknown_jobs(known)

    def _pass(self, minutes: float) -> None:
        self.shop.pass_time(minutes=minutes)
        self.wire.arrive()
        self.told.append(f"{minutes} minutes pass")

    def _meant(self, option: str) -> list[str]:
        if option == "profiles":
            profiles = sorted(self.shop.sandbox.account.profiles)
            return self.random.sample(profiles, min(5, len(profiles)))
        return self.random.sample(self.everyone, 3)

    @property
    def _klaviyo(self) -> bool:
        return bool(self.shop.sandbox.type == "klaviyo")

    def _strangers(self) -> set[str]:
        """Profiles that are nobody's."""
        return {user for user in self.shop.people() if user not in self.everyone}

    def _tell(self, what: str, how: str) -> None:
        self.counts[what] += 1
        self.told.append(f"{what}: {how}")

    def figures(self) -> str:
        """What has happened, in numbers."""
        days = (self.shop.clock() - self.began).total_seconds() / 86_400
        counts = {**self.counts, **self.wire.counts}
        told = ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts))
        return f"{self.shop.sandbox.type}: {days:,.0f} days, {told}"

    def tale(self) -> str:
        """The end of the story."""
        lines = self.told[-_LINES_TOLD:]
        return "\n".join([self.figures(), *lines, f"there: {_short(self.shop.people())}", f"{self.shop.states()}"])


def _strangers(user: str) -> str:
    """The address of a profile that has no external id: whose user has one already is refused with it."""
    return f"stranger-{user.replace(' ', '-')}@example.com"


def _short(users: set[str]) -> str:
    return " ".join(sorted(user.removeprefix("user ").lstrip("0") or "0" for user in users))


def resizing(monkeypatch: Any, type_: str) -> Callable[[int], object]:
    """Makes the batches of a platform as small as told."""

    def resize(size: int) -> None:
        monkeypatch.setattr(PLATFORMS[type_], "batch_size", lambda platform, action: size)

    return resize
