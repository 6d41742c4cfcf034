"""The main job with nothing simulated: `segops dev`, events arriving, runs by sensor and backfill, exports on disk."""

from __future__ import annotations

import csv
import logging
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psutil
import pytest

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import ConnectorSpec
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.end_to_end.dev_server import DevServer, dev_server, wait_until
from segops_orchestration_tests.oracle.case import (
    ORDER,
    VIEW,
    all_of,
    any_of,
    event_count,
    membership,
    monetary,
    recency,
)
from segops_orchestration_tests.oracle.evaluate import Definition, Event, SegmentKey, members_of_all

SEGMENTS = {
    "buyers": all_of(event_count("gte", 2)),
    "spenders": all_of(monetary("sum", "gt", 50)),
    "viewers": all_of(recency("lt", 2, VIEW)),
    "engaged": any_of(membership("spenders"), membership("viewers")),
}
TENANTS = ("acme", "beta")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """A running server, and a way in beside it."""

    server: DevServer
    settings: Settings
    catalog: Catalog
    warehouse: Warehouse
    braze: BrazeSandbox
    braze_url: str

    def tenant(self, slug: str) -> StoryTenant:
        return StoryTenant(self.catalog, self.warehouse, slug)

    def is_computed(self, slug: str) -> bool:
        """Whether the members are those of the newest events and definitions."""
        watermark = self.catalog.watermarks()[slug]
        ((block,),) = self.warehouse.admin.query(
            "SELECT max(max_block_number) FROM system.parts"
            " WHERE active AND table = 'arrivals' AND database = {database:String}",
            parameters={"database": f"segops_{slug}"},
        ).result_rows
        return not watermark.never_computed_or_changed and watermark.watermark_block == block

    def exported(self, slug: str) -> dict[str, set[str]]:
        """Users in each CSV file of a tenant."""
        found = {}
        for path in (self.settings.exports_dir / slug).glob("*.csv"):
            with path.open(newline="") as file:
                found[path.stem] = {row["user_id"] for row in csv.DictReader(file)}
        return found

    def connect(self, slug: str, segment: str) -> None:
        """Have the members of a segment sent to the stand-in."""
        spec = ConnectorSpec(f"{segment}-braze", segment, "braze", self.braze.connector_config(self.braze_url))
        self.catalog.connectors.create(slug, spec, dict(self.braze.secrets))

    def runs(self) -> list[dict[str, Any]]:
        """All runs that no schedule asked for, newest first."""
        data = self.server.graphql(
            "{ runsOrError(limit: 200) { ... on Runs { results { runId status tags { key value } } } } }"
        )
        runs = [
            {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in data["runsOrError"]["results"]
        ]
        return [run for run in runs if "dagster/schedule_name" not in run["tags"]]

    def is_idle(self) -> bool:
        return all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in self.runs())


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("elsewhere")
    home = directory / "home"
    braze = BrazeSandbox(speed=60)
    with SandboxServer(braze) as platform, dev_server(home, directory, SEGOPS_ALLOW_PRIVATE_TARGETS="1") as server:
        settings = Settings.from_env({"SEGOPS_HOME": str(home)})
        with Catalog.open(settings) as catalog:
            warehouse = Warehouse.connect(settings)
            yield Installation(server, settings, catalog, warehouse, braze, platform.url)
            warehouse.close()


def history(tenant: str) -> list[Event]:
    """Orders and views of sixty users over ten days; in ``beta`` of a few more."""
    now = datetime.now(UTC).replace(microsecond=0)
    events = []
    for number in range(60 if tenant == "acme" else 75):
        user = f"user {number % 25}"
        event_type = VIEW if number % 3 == 0 else ORDER
        happened = now - timedelta(hours=1 + 4 * number)
        events.append(Event(uuid4(), user, event_type, happened, now, f'{{"total": {number}.5}}'))
    return events


def expected(events: list[Event]) -> dict[str, frozenset[str]]:
    at = datetime.now(UTC)
    definitions: dict[SegmentKey, Definition] = {slug: definition for slug, definition in SEGMENTS.items()}
    return {str(slug): users for slug, users in members_of_all(definitions, events, at).items()}


def backfill(server: DevServer, assets: list[str], partitions: list[str]) -> str:
    """Launch a backfill as the UI does; returns its id."""
    parameters = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": partitions}
    answer = server.graphql(
        """mutation ($parameters: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $parameters) {
            __typename
            ... on LaunchBackfillSuccess { backfillId }
            ... on PythonError { message }
          }
        }""",
        {"parameters": parameters},
    )["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    backfill_id: str = answer["backfillId"]
    return backfill_id


def backfill_status(server: DevServer, backfill_id: str) -> str:
    query = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
    status: str = server.graphql(query, {"id": backfill_id})["partitionBackfillOrError"]["status"]
    return status


def materialized(server: DevServer, asset: str) -> Mapping[str, int]:
    """The members that the newest materialization of each partition reports."""
    query = """query ($path: [String!]!) {
      assetNodeOrError(assetKey: {path: $path}) {
        ... on AssetNode {
          assetMaterializations(limit: 500) {
            partition metadataEntries { label ... on IntMetadataEntry { intValue } }
          }
        }
      }
    }"""
    found: dict[str, int] = {}
    for one in server.graphql(query, {"path": [asset]})["assetNodeOrError"]["assetMaterializations"]:
        numbers = {entry["label"]: entry.get("intValue") for entry in one["metadataEntries"]}
        found.setdefault(one["partition"], numbers["members"])
    return found


def members_sent(installation: Installation) -> None:
    """From a connector to its platform: filled, changed by a computation, and gone on with after a fault."""
    tenant, braze = installation.tenant("acme"), installation.braze

    def is_sent() -> bool:
        return installation.is_computed("acme") and braze.members() == tenant.members("viewers")

    # What was there before the connector is sent by a run of its own, within seconds.
    before = [run["runId"] for run in installation.runs()]
    installation.connect("acme", "viewers")
    wait_until(is_sent, 60, "the members are in the platform")
    [delivery] = [run for run in installation.runs() if run["runId"] not in before]
    assert delivery["tags"]["segops/mode"] == "deliver"
    assert delivery["tags"]["segops/tenant"] == "acme"
    wait_until(installation.is_idle, 30, "the run that delivers finished")

    # What a computation changes is sent by its own run.
    before = [run["runId"] for run in installation.runs()]
    now = datetime.now(UTC).replace(microsecond=0)
    tenant.ingest([Event(uuid4(), "sent at once", VIEW, now, now, "{}")])
    wait_until(lambda: "sent at once" in braze.members() and is_sent(), 60, "the new member is in the platform")
    wait_until(installation.is_idle, 30, "the run that computes finished")
    assert [run["tags"]["segops/mode"] for run in installation.runs() if run["runId"] not in before] == ["delta"]

    # A platform that refuses for a moment gets it later, and the memberships do not wait for it.
    braze.misbehave("key_revoked")
    tenant.ingest([Event(uuid4(), "sent later", VIEW, now, now, "{}")])
    wait_until(lambda: "sent later" in tenant.members("viewers"), 60, "the new member is counted")
    wait_until(installation.is_idle, 30, "the run that computes finished")
    connectors = installation.catalog.connectors
    assert connectors.get("acme", "viewers-braze").status == "error"
    braze.behave()
    connectors.resume("acme", "viewers-braze")
    wait_until(is_sent, 60, "the new member is in the platform")
    wait_until(installation.is_idle, 30, "the run that delivers finished")
    assert braze.violation_count == 0


def test_from_events_to_exports_and_backfills(installation: Installation) -> None:
    server, catalog = installation.server, installation.catalog
    events = {slug: history(slug) for slug in TENANTS}

    # Tenants and segments appear, and events with them: the sensor does the rest, with no reload.
    for slug in TENANTS:
        catalog.create_tenant(slug)
        tenant = installation.tenant(slug)
        tenant.database.migrate()
        tenant.define(SEGMENTS)
        tenant.ingest(events[slug])
    wait_until(lambda: all(map(installation.is_computed, TENANTS)), 60, "both tenants computed by the sensor's runs")
    wait_until(installation.is_idle, 30, "the sensor's runs finished")
    for slug in TENANTS:
        wanted = expected(events[slug])
        assert {name: installation.tenant(slug).members(name) for name in SEGMENTS} == wanted
        assert installation.exported(slug) == wanted

    # A single event is counted within seconds.
    latencies = []
    for number in range(3):
        now = datetime.now(UTC).replace(microsecond=0)
        arrived = Event(uuid4(), f"latecomer {number}", VIEW, now, now, "{}")
        installation.tenant("acme").ingest([arrived])
        events["acme"].append(arrived)
        started = time.monotonic()
        wait_until(lambda: installation.is_computed("acme"), 60, "the event is counted")
        latencies.append(time.monotonic() - started)
        time.sleep(1.7)
    log.info("event to membership: %s", ", ".join(f"{seconds:.1f} s" for seconds in latencies))
    # The target is 10 s on an idle machine; this one may be busy.
    assert max(latencies) < 30
    wait_until(installation.is_idle, 30, "the sensor's runs finished")

    # Backfills, as the UI launches them: tenants in full with no typing, and the segments of one tenant.
    before = {slug: catalog.list_computations(slug)[0].id for slug in TENANTS}
    of_tenants = backfill(server, ["segment_memberships", "segment_exports"], list(TENANTS))
    of_segments = backfill(server, ["segments"], [f"acme/{slug}" for slug in SEGMENTS])
    for backfill_id in (of_tenants, of_segments):
        wait_until(
            lambda backfill_id=backfill_id: backfill_status(server, backfill_id) == "COMPLETED_SUCCESS",  # type: ignore[misc]
            120,
            "the backfill completed",
        )
    for slug in TENANTS:
        since = [one for one in catalog.list_computations(slug) if one.id > before[slug]]
        assert {one.mode for one in since} == {"full"}
        assert len(since) == (2 if slug == "acme" else 1)
        wanted = expected(events[slug])
        assert {name: installation.tenant(slug).members(name) for name in SEGMENTS} == wanted
        assert installation.exported(slug) == wanted
    assert materialized(server, "segments") == {
        f"{slug}/{name}": len(users) for slug in TENANTS for name, users in expected(events[slug]).items()
    }

    assert {run["status"] for run in installation.runs()} == {"SUCCESS"}
    members_sent(installation)

    # Then nothing: an idle system launches nothing more.
    runs = [run["runId"] for run in installation.runs()]
    time.sleep(12)
    assert [run["runId"] for run in installation.runs()] == runs


def test_ctrl_c_leaves_no_process_behind(installation: Installation) -> None:
    server = installation.server
    there = server.processes()
    assert len(there) >= 5, "webserver, daemon, code servers, warehouse"
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert [process for process in there if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
