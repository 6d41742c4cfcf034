"""Throughput of each connector against its contract server, as a share of what the platform's limit allows.

    python benchmarks/activation.py                               all, each for 70 s of steady state
    python benchmarks/activation.py --only braze --json figures.json
    python benchmarks/activation.py --delivery 100000             whole first syncs as well, warehouse and catalogue included

The server is a process of its own (`segops platform-sandbox`), holds the vendor's limits over sliding windows and answers
after 50 to 100 ms. A full window of 60 s fits into the 70, so a pace above the limit would be answered with 429.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from measuring import Figure, Report, machine, progress

from segops_orchestration.activation.limiter import LocalBuckets, Rate, limiters
from segops_orchestration.activation.platform import Action, Connection, Platform, User
from segops_orchestration.activation.platforms import PLATFORMS, braze, klaviyo, make_platform, talon_one
from segops_orchestration.activation.sync import sync
from segops_orchestration.activation.work import Patience
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import ConnectorSpec
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded import lifecycle

TARGET = 0.9
SANDBOX = [sys.executable, "-c", "from segops_orchestration.cli.main import main; main()", "platform-sandbox"]
WARMING_SECONDS = 3.0
NO_ANSWER_OF_429 = 0.5


@dataclass(frozen=True)
class Case:
    """One way of sending. ``call`` is the sandbox's name of the call whose ``limit`` binds; ``whose`` limit it is."""

    platform: str
    what: str
    action: Action
    call: str
    limit: Rate
    whose: str = "published"
    config: tuple[tuple[str, Any], ...] = ()
    known: bool = False

    @property
    def name(self) -> str:
        return f"{self.platform}: {self.what}"


SECOND = Rate(talon_one.ASSUMED_REQUESTS_PER_SECOND, 1)
CASES = [
    Case("klaviyo", "users enter, 10,000 an import", "add", "bulk import", klaviyo.SLOW_CALL[1]),
    Case("klaviyo", "known profiles leave, 1,000 a request", "remove", "remove from list", klaviyo.SLOW_CALL[1], known=True),
    Case("klaviyo", "profiles are looked up to leave, 100 a request", "remove", "profiles", klaviyo.FAST_CALL[1]),
    Case("braze", "group, users enter, 50 a request", "add", "POST /v2/subscription/status/set", braze.SET_RATE),
    Case("braze", "group, users leave, 50 a request", "remove", "POST /v2/subscription/status/set", braze.SET_RATE),
    Case(
        "braze", "attribute, users enter, 50 a request", "add", "POST /users/track", braze.TRACK_RATE,
        whose="our own, a twelfth of the published", config=(("subscription_group_id", None),),
    ),
    Case("talon_one", "users enter, 1,000 a request", "add", "change members", SECOND, whose="assumed"),
    Case("webhook", "users enter", "add", "message", SECOND, whose="the connector's own setting"),
]  # fmt: skip


def main() -> int:
    arguments = _arguments()
    # The contract servers are on this machine.
    os.environ["SEGOPS_ALLOW_PRIVATE_TARGETS"] = "1"
    report = Report(
        "Activation: requests a second against the contract servers, beside the limit",
        machine(),
        {"segops": "0.1.0"},
        {"seconds of steady state": arguments.seconds, "answers after": "50 to 100 ms"},
    )
    for case in CASES:
        if not arguments.only or case.platform in arguments.only:
            report.add(*steady(case, arguments.seconds))
    if arguments.delivery:
        for platform in dict.fromkeys(case.platform for case in CASES):
            if not arguments.only or platform in arguments.only:
                report.add(whole_sync(platform, arguments.delivery))
    report.print()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_document(), indent=2))
    return 0


def steady(case: Case, seconds: float) -> Iterator[Figure]:
    """Send as fast as the platform's class lets, and count what the server took."""
    with serving(case.platform) as server:
        platform = connect(case, server)
        users = prepared(case, platform)
        with sending(platform, case.action, users) as sent:
            time.sleep(WARMING_SECONDS)
            before, sent_before, started = state(server), sent(), time.monotonic()
            while (passed := time.monotonic() - started) < seconds:
                progress(f"{case.name}: {seconds - passed:.0f} s left")
                time.sleep(min(1.0, seconds - passed))
            passed = time.monotonic() - started
            after, sent_after = state(server), sent()
        violations = requests.get(f"{server['url']}/_sandbox/violations", timeout=30).json()
        platform.close()
    taken = (after["calls"].get(case.call, 0) - before["calls"].get(case.call, 0)) / passed
    too_many = after["statuses"].get("429", 0)
    allowed = case.limit.requests / case.limit.seconds
    note = f"{(sent_after - sent_before) / passed:,.0f} users/s; {too_many} answers of 429; {violations['count']} violations"
    figure = Figure.of(case.name, [taken], "req/s", note=note)
    figure = figure.beside(f"the limit, {case.whose}: {case.limit.requests:,} in {case.limit.seconds:g} s", allowed)
    yield figure.ratio_at_least(TARGET)
    yield Figure.of(f"{case.name}: answers of 429", [float(too_many)], "").at_most(NO_ANSWER_OF_429)


def connect(case: Case, server: dict[str, Any]) -> Platform:
    """The platform, with buckets of its own, so that one case does not wait for another."""
    given = {field.name: field.default for field in PLATFORMS[case.platform].fields if not field.secret}
    buckets = LocalBuckets()
    return make_platform(
        Connection(
            tenant="bench",
            connector_id=1,
            connector="bench",
            segment_id=7,
            segment="bench",
            segment_name="Bench",
            type=case.platform,
            config={**given, **server["config"], **dict(case.config)},
            secrets=server["secrets"],
            limiter=limiters(buckets.reserve, buckets.hold),
            allow_private_targets=True,
        )
    )


def prepared(case: Case, platform: Platform) -> Callable[[int], Sequence[User]]:
    """Batches of whom to send; each thread has the same users all the time, so that the server's memory stays."""
    size = platform.batch_size(case.action)
    batches = [
        [User(f"user-{lane:02d}-{n:05d}", {"email": f"u{lane}-{n}@example.com"}) for n in range(size)]
        for lane in range(platform.in_flight())
    ]
    if case.platform == "klaviyo" and case.action == "remove":
        batches = [_imported(platform, batch, known=case.known) for batch in batches]
    return batches.__getitem__


def _imported(platform: Platform, batch: Sequence[User], *, known: bool) -> list[User]:
    """The same users with a profile, whose id is known or is to be looked up."""
    job = platform.add(batch, "import").job or ""
    while (answer := platform.follow(job, batch)) is None:
        time.sleep(0.5)
    ids = answer.platform_ids if known else {}
    return [replace(user, platform_id=ids.get(user.user_id, "")) for user in batch]


@contextmanager
def sending(
    platform: Platform, action: Action, batch_of: Callable[[int], Sequence[User]]
) -> Iterator[Callable[[], int]]:
    """As many threads as the delivery would have; gives the count of users sent so far."""
    over = threading.Event()
    counts = [0] * platform.in_flight()
    errors: list[BaseException] = []

    def lane(number: int) -> None:
        batch, turn = batch_of(number), 0
        try:
            while not over.is_set():
                turn += 1
                (platform.add if action == "add" else platform.remove)(batch, f"{number}-{turn}")
                counts[number] += len(batch)
        except BaseException as error:  # noqa: BLE001  # told below, by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=lane, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(counts)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


@contextmanager
def serving(platform: str) -> Iterator[dict[str, Any]]:
    """The contract server, in a process of its own."""
    process = subprocess.Popen(
        [*SANDBOX, platform, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def state(server: dict[str, Any]) -> dict[str, Any]:
    """What the server has counted."""
    found: dict[str, Any] = requests.get(f"{server['url']}/_sandbox/state", timeout=30).json()
    return found


def whole_sync(platform: str, users: int) -> Figure:
    """A first sync, from the members in ClickHouse to the last answer stored."""
    with tempfile.TemporaryDirectory() as home, serving(platform) as server:
        settings = Settings.from_env({"SEGOPS_HOME": home})
        warehouse = Warehouse.connect(settings)
        try:
            with Catalog.open(settings) as catalog:
                _open_connector(catalog, warehouse, platform, server, users)
                progress(f"{platform}: a first sync of {users:,} users")
                started = time.monotonic()
                result = sync(catalog, warehouse, "bench", "bench", patience=Patience(follow=600))
                passed = time.monotonic() - started
            found = state(server)
        finally:
            warehouse.close()
            lifecycle.stop(settings)
    if (result.outcome, result.added, found["members"]) != ("succeeded", users, users):
        raise SystemExit(f"{platform}: {result}; {found}")
    note = f"{passed:.1f} s, {result.requests:,} requests, {result.retries} retries, {found['violations']} violations"
    return Figure.of(f"{platform}: a whole first sync of {users:,}", [users / passed], "users/s", note=note)


def _open_connector(catalog: Catalog, warehouse: Warehouse, platform: str, server: dict[str, Any], users: int) -> None:
    catalog.create_tenant("bench")
    condition = {"type": "event_count", "event_type": "order", "operator": "gte", "value": 1}
    definition = parse_definition({"logic": "AND", "conditions": [condition]})
    catalog.save_segments("bench", [SegmentDocument(slug="all", name="All", description="", definition=definition)])
    database = warehouse.tenant("bench")
    database.migrate()
    database.command(
        "INSERT INTO segment_memberships (segment_id, user_id, computed_at, version, is_deleted)"
        " SELECT {segment:UInt64}, concat('user-', leftPad(toString(number), 8, '0')), now64(3), 1, 0"
        " FROM numbers({users:UInt64})",
        {"segment": catalog.get_segment("bench", "all").id, "users": users},
    )
    catalog.connectors.create("bench", ConnectorSpec("bench", "all", platform, server["config"]), server["secrets"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=70.0, help="of steady state, for each line")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="platforms, separated by commas")
    parser.add_argument("--delivery", type=int, default=0, metavar="USERS", help="measure first syncs of so many, too")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
