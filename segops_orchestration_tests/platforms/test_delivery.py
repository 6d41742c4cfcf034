"""Every platform end to end: whatever it does, the audience ends up as the segment is.

Over real HTTP, with the catalogue and ClickHouse, and without a breach of the contract or a limit.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from segops_orchestration.activation import jobs, opening
from segops_orchestration.activation.limiter import limiters
from segops_orchestration.activation.result import SyncResult
from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.klaviyo import KlaviyoSandbox
from segops_orchestration.activation.sandbox.sandbox import Sandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.talon_one import TalonOneSandbox
from segops_orchestration.activation.sandbox.webhook import WebhookSandbox
from segops_orchestration.activation.verify import verify
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.roster.shop import Shop, StoryClock, patient, users
from segops_orchestration_tests.platforms.connecting import SPEED, hasten

# Jobs are waited for, and none is too old after the days between the syncs.
PATIENCE = patient(follow=5.0, job=1e9)


class PlatformShop(Shop):
    """A shop whose connector leads to a platform's sandbox."""

    sandbox: Any

    def open(self, **config: Any) -> Connector:
        self.define()
        spec = ConnectorSpec(
            self.slug,
            self.segment,
            self.sandbox.type,
            {**self.sandbox.connector_config(self.server.url), **config},
            hold_users=1_000_000,
        )
        return self.catalog.connectors.create(self.tenant, spec, dict(self.sandbox.secrets))

    def sync(self, **named: Any) -> SyncResult:
        return super().sync(**{"patience": PATIENCE, **named})

    def until_quiet(self) -> list[SyncResult]:
        """Sync as the sensor would, with a day's pause for what has to wait, until nothing is left to do."""
        results = []
        for _ in range(15):
            results.append(self.sync())
            if results[-1].permanent:
                self.sandbox.behave()
                self.catalog.connectors.resume(self.tenant, self.slug)
            backlog = results[-1].backlog
            if results[-1].outcome != "succeeded":
                continue
            if not backlog.pending and not backlog.rejected:
                return results
            self.pass_time(hours=25)
        raise AssertionError(f"still not quiet: {results[-1]}")


NewShop = Callable[[Sandbox], PlatformShop]


@dataclass
class Tenant:
    """What the shops of this module share: making a catalogue and a database takes longer than most tests."""

    catalog: Catalog
    database_url: str
    warehouse: Warehouse
    name: str
    clock: StoryClock
    numbers: Iterator[int]


@pytest.fixture(scope="module")
def tenant(settings: Settings, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """Its database is dropped in the end."""
    url = f"sqlite:///{tmp_path_factory.mktemp('catalog')}/catalog.db"
    clock = StoryClock()
    with Catalog.open(replace(settings, database_url=url), clock=clock.now) as catalog:
        name = f"t_{secrets.token_hex(6)}"
        catalog.create_tenant(name)
        warehouse.tenant(name).migrate()
        yield Tenant(catalog, url, warehouse, name, clock, count(1))
        warehouse.tenant(name).drop()


@pytest.fixture
def open_shop(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewShop]:
    """Makes shops with an open connector."""
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    with ExitStack() as stack:

        def make(sandbox: Sandbox) -> PlatformShop:
            server = stack.enter_context(SandboxServer(sandbox))
            number = next(tenant.numbers)
            shop = PlatformShop(
                tenant.catalog,
                tenant.warehouse,
                tenant.name,
                server,
                tenant.clock,
                sandbox,  # type: ignore[arg-type]
                segment=f"vip-{number}",
                slug=f"to-{sandbox.type.replace('_', '-')}-{number}",
            )
            shop.open()
            return shop

        yield make


SANDBOXES: dict[str, Callable[..., Sandbox]] = {
    "klaviyo": lambda **options: KlaviyoSandbox(**{"job_seconds": 0.0, **options}),
    "braze": lambda **options: BrazeSandbox(**options),
    "talon_one": lambda **options: TalonOneSandbox(**options),
    "webhook": lambda **options: WebhookSandbox(**options),
}


@pytest.mark.parametrize("platform", SANDBOXES)
def test_25_000_users_enter_and_a_delta_follows(open_shop: NewShop, platform: str) -> None:
    """At the vendor's own limits."""
    shop = open_shop(KlaviyoSandbox(job_seconds=0.2) if platform == "klaviyo" else SANDBOXES[platform]())
    shop.want(users(25_000))
    first = shop.sync()
    assert (first.outcome, first.added, first.rejected, first.pending) == ("succeeded", 25_000, 0, 0)
    assert shop.people() == users(25_000)
    shop.want(users(24_000, start=1_500))
    second = shop.sync()
    assert (second.outcome, second.added, second.removed, second.pending) == ("succeeded", 500, 1_500, 0)
    assert shop.people() == users(24_000, start=1_500)
    assert shop.sync().requests == 0
    assert shop.sandbox.violations == []


GENERAL: list[dict[str, Any]] = [
    {"kind": "429", "wait": 1, "times": 2},
    {"kind": "500", "times": 30, "skip": 1},
    {"kind": "500", "applied": True, "times": 20},
    {"kind": "hang", "applied": True},
    {"kind": "drop", "applied": False, "times": 20},
    {"kind": "drop", "applied": True, "times": 20, "skip": 1},
    {"kind": "cap", "per_second": 20},
    {"kind": "key_revoked"},
]
OWN: dict[str, list[dict[str, Any]]] = {
    "klaviyo": [
        {"kind": "reject_rows", "share": 0.3, "times": None},
        {"kind": "refuse_rows", "users": sorted(users(3, start=100))},
        {"kind": "refuse_batch", "times": 3},
        {"kind": "job_late", "seconds": 0.5, "times": 2},
        {"kind": "job_partly", "share": 0.5},
        {"kind": "list_deleted", "times": None},
    ],
    "braze": [
        {"kind": "reject_rows", "share": 0.3, "times": None},
        {"kind": "errors_unreadable", "times": 4},
        {"kind": "refuse_batch", "users": sorted(users(3, start=100)), "times": 5},
        {"kind": "group_deleted", "times": None},
    ],
    "talon_one": [
        {"kind": "refuse_users", "users": sorted(users(3, start=170)), "times": None},
        {"kind": "audience_deleted", "times": None},
    ],
    "webhook": [
        {"kind": "reject_users", "users": sorted(users(3, start=170)), "times": None},
        {"kind": "too_large", "users": 100, "times": None},
        {"kind": "gone", "times": None},
    ],
}
# Variants of the above, that CI does not wait for.
GENERAL_VARIANTS: list[dict[str, Any]] = [
    {"kind": "429", "wait": 3},
    {"kind": "429", "wait": None, "times": 5},
    {"kind": "500", "times": 3},
    {"kind": "500", "applied": True, "times": 3},
    {"kind": "hang", "applied": False, "skip": 1},
    {"kind": "drop", "applied": True},
    {"kind": "slow", "seconds": 0.2, "times": 3},
]
OWN_VARIANTS: dict[str, list[dict[str, Any]]] = {
    "klaviyo": [
        {"kind": "reject_rows", "share": 0.3},
        {"kind": "job_unnamed", "times": None},
        {"kind": "scope_missing", "scope": "lists:write", "times": None},
        {"kind": "revision_retired", "times": None},
    ],
    "braze": [
        {"kind": "reject_rows", "share": 0.3},
        {"kind": "permission_missing", "permission": "subscription.status.set", "times": None},
    ],
    "talon_one": [
        {"kind": "refuse_users", "users": sorted(users(3, start=100)), "times": 5},
        {"kind": "refuse_batch", "times": 3},
    ],
    "webhook": [
        {"kind": "refuse_users", "users": sorted(users(3, start=100)), "times": 3},
        {"kind": "refuse", "status": 400, "times": None},
        {"kind": "refuse", "status": 408, "times": 3},
        {"kind": "unsure", "times": 3},
        {"kind": "redirect", "times": None},
    ],
}

# What is not the platform's own is the same code for all of them: in CI two of each kind take turns.
TURNS = (("talon_one", "braze"), ("webhook", "klaviyo"))


def cases(
    general: list[dict[str, Any]], own: dict[str, list[dict[str, Any]]], *marks: pytest.MarkDecorator
) -> list[Any]:
    """Every platform with every misbehaviour."""
    told = [(platform, one, marks) for platform in SANDBOXES for one in own[platform]]
    for at, one in enumerate(general):
        waiting = ("talon_one", "webhook") if one["kind"] == "429" else TURNS[at % 2]
        told += [(platform, one, (pytest.mark.slow,) if platform in waiting else marks) for platform in SANDBOXES]
    return [
        pytest.param(platform, one, id=f"{platform}-{'-'.join(map(str, one.values()))[:40]}", marks=of_it)
        for platform, one, of_it in told
    ]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses and a fast vendor."""
    hasten(monkeypatch, patience=0.5)
    monkeypatch.setattr("segops_orchestration.activation.http.READ_SECONDS", 0.3)
    monkeypatch.setattr("segops_orchestration.activation.platforms.webhook.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(jobs, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(opening, "limiters", lambda reserve, hold: limiters(reserve, hold, SPEED))


@pytest.mark.parametrize(
    ("platform", "told"), [*cases(GENERAL, OWN), *cases(GENERAL_VARIANTS, OWN_VARIANTS, pytest.mark.slow)]
)
def test_the_audience_ends_up_as_the_segment(
    open_shop: NewShop, hurried: None, platform: str, told: dict[str, Any]
) -> None:
    """Told so before the first sync, and once more before the delta."""
    shop = open_shop(SANDBOXES[platform](speed=SPEED, seed=1))
    # More than three rejections in a row would park users; these end before.
    lasting = told["kind"] in ("reject_rows", "reject_users", "refuse_users") and told.get("times", 1) is None
    for wanted in (users(300), users(300, start=150)):
        shop.sandbox.misbehave(**told)
        shop.want(wanted)
        if lasting:
            shop.sync()
            shop.sandbox.behave()
        shop.until_quiet()
        shop.sandbox.behave()
        assert shop.people() == wanted
    assert shop.sandbox.violations == []


def test_a_removal_does_not_overtake_a_job(open_shop: NewShop, hurried: None) -> None:
    shop = open_shop(SANDBOXES["klaviyo"](speed=SPEED))
    shop.sandbox.misbehave("job_late", seconds=3600.0)
    shop.want(users(10))
    assert shop.sync(patience=patient(follow=0.0)).pending == 10
    shop.want(users(5))
    second = shop.sync(patience=patient(follow=0.0))
    assert (second.removed, second.pending) == (0, 10)
    assert shop.people() == set()
    for job in shop.sandbox.account.jobs.values():
        job.ends_at = 0.0
    shop.until_quiet()
    assert shop.people() == users(5)


def test_a_job_that_never_ends_is_sent_again_after_a_day(open_shop: NewShop, hurried: None) -> None:
    shop = open_shop(SANDBOXES["klaviyo"](speed=SPEED))
    shop.sandbox.misbehave("job_never")
    shop.want(users(10))
    waiting = patient(follow=0.1)
    assert [shop.sync(patience=waiting).backlog.in_jobs for _ in range(2)] == [10, 10]
    assert len(shop.sandbox.account.jobs) == 1
    shop.pass_time(hours=25)
    assert shop.sync(patience=waiting).added == 10
    assert shop.people() == users(10)


def test_a_question_about_a_job_that_is_refused_stops_the_connector(open_shop: NewShop, hurried: None) -> None:
    shop = open_shop(SANDBOXES["klaviyo"](speed=SPEED))
    shop.sandbox.misbehave("revision_retired", skip=1, times=None)
    shop.want(users(3))
    result = shop.sync()
    assert (result.outcome, result.permanent, shop.connector.status) == ("failed", True, "error")
    assert "no longer served" in result.error
    shop.until_quiet()
    assert shop.people() == users(3)


def test_rejected_rows_say_why(open_shop: NewShop, hurried: None) -> None:
    shop = open_shop(SANDBOXES["klaviyo"](speed=SPEED))
    shop.sandbox.account.upsert({"email": "ann@example.com"})
    shop.sandbox.account.upsert({"external_id": "ann"})
    shop.identify("ann", {"email": "ann@example.com"})
    shop.want(["ann", "ben"])
    result = shop.sync()
    assert (result.added, result.rejected) == (1, 1)
    sql = "SELECT user_id, reason FROM activation_state FINAL WHERE state = 'rejected' AND connector_id = {id:UInt64}"
    reasons = shop.database.query(sql, {"id": shop.connector.id})
    assert reasons.result_rows == [("ann", "the identifiers belong to different profiles (duplicate_profile)")]


def test_no_secret_is_stored_or_told(open_shop: NewShop, hurried: None, capfd: pytest.CaptureFixture[str]) -> None:
    shop = open_shop(SANDBOXES["braze"](speed=SPEED, api_key="sandbox-key"))
    shop.sandbox.misbehave("refuse_batch", times=None)
    shop.want(users(3))
    result = shop.sync()
    rows = shop.database.query("SELECT * FROM activation_state FINAL").result_rows
    assert "sandbox-key" not in f"{result!r} {rows} {shop.connector!r} {capfd.readouterr()}"


def test_an_audience_that_somebody_changed_is_read_back_and_repaired(open_shop: NewShop, hurried: None) -> None:
    shop = open_shop(SANDBOXES["talon_one"](speed=SPEED))
    shop.want(users(1_500))
    shop.sync()
    del shop.sandbox.audiences[748]["user 000007"]
    shop.sandbox.audiences[748]["somebody else"] = 1
    found = verify(shop.catalog, shop.warehouse, shop.tenant, shop.slug, patience=PATIENCE, clock=shop.clock)
    assert found.drift is not None
    assert (found.drift.missing, found.drift.strangers) == (1, 1)
    verify(
        *(shop.catalog, shop.warehouse, shop.tenant, shop.slug),
        repair=True,
        remove_strangers=True,
        patience=PATIENCE,
        clock=shop.clock,
    )
    assert shop.people() == users(1_500)
    assert shop.sandbox.violations == []
