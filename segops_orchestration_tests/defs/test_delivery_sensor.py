"""The sensor of what is left to deliver: for whom it asks, for what, and when it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import ConnectorSpec, Delivery, SyncCounts, SyncKind
from segops_orchestration.catalog.holds import NewHold
from segops_orchestration.catalog.syncs import EndedSync
from segops_orchestration.definitions import defs
from segops_orchestration.defs import delivery_sensor, undelivered
from segops_orchestration.defs.in_flight import DELIVER, PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from segops_orchestration.defs.undelivered import pause
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration, Tick
from segops_orchestration_tests.defs.stories import BUYERS, happened

CONNECTOR = "buyers-braze"
NOW = timedelta()


class Story:
    """A tenant with a connector, and what became of its syncs."""

    def __init__(self, orchestration: Orchestration, tenant: StoryTenant) -> None:
        self.orchestration = orchestration
        self.tenant = tenant
        self.slug = tenant.slug
        orchestration.register(tenant.slug)
        tenant.define({"buyers": BUYERS})
        happened(tenant, "ann")
        tenant.compute()
        spec = ConnectorSpec(CONNECTOR, "buyers", "braze", {}, when_archived="empty")
        self.catalog.connectors.create(tenant.slug, spec, {"api_key": "k"})

    @property
    def catalog(self) -> Catalog:
        return self.tenant.catalog

    def synced(
        self, counts: SyncCounts | None = None, status: EndedSync = "succeeded", kind: SyncKind = "sync"
    ) -> None:
        lease = self.catalog.connectors.acquire_lease(self.slug, CONNECTOR, "host:1")
        sync = self.catalog.connectors.begin_sync(self.slug, CONNECTOR, kind, lease=lease)
        self.catalog.connectors.finish_sync(sync.id, status, counts, lease=lease)
        self.catalog.connectors.release_lease(lease)

    def failed(self) -> None:
        self.synced(SyncCounts(pending=3), "failed")

    def bought(self, user: str) -> None:
        happened(self.tenant, user)
        self.tenant.compute()

    def delivery(self) -> Delivery:
        [found] = self.catalog.connectors.deliveries(self.slug)
        return found

    def tick(self) -> Tick:
        return self.orchestration.tick("pending_deliveries")

    def running(self, job: str, tags: dict[str, str]) -> None:
        location = RegisteredCodeLocationOrigin("segops")
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)
        self.orchestration.instance.create_run_for_job(
            defs.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED, tags=tags, remote_job_origin=origin
        )


@pytest.fixture
def story(orchestration: Orchestration, tenant: StoryTenant) -> Story:
    return Story(orchestration, tenant)


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undelivered, "FIRST_PAUSE", NOW)


def test_a_connector_that_was_never_synced_is_asked_for(story: Story) -> None:
    [request] = story.tick().requests

    assert request.tags["segops/tenant"] == story.slug
    assert request.tags["segops/mode"] == "deliver"
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["braze_sync"]
    assert request.run_config["ops"]["braze_sync"]["config"]["connectors"] == [CONNECTOR]


def test_no_computation_of_the_tenant_waits_for_the_run(story: Story) -> None:
    [request] = story.tick().requests

    assert PARTITION_TAG not in request.tags
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == (story.slug, story.slug)
    story.running(DELIVER, dict(request.tags))
    happened(story.tenant, "bob")
    assert story.orchestration.tick().tenants == [story.slug]


def test_nothing_is_asked_for_once_everything_is_delivered(story: Story) -> None:
    story.synced()

    tick = story.tick()

    assert (tick.requests, tick.skipped) == ([], "everything is delivered, or waits for a person")


def test_without_connectors_the_warehouse_sleeps_on(orchestration: Orchestration, tenant: StoryTenant) -> None:
    assert orchestration.tick("pending_deliveries").skipped == "everything is delivered, or waits for a person"


def test_a_change_that_no_sync_has_seen_is_asked_for(story: Story) -> None:
    story.synced()
    story.bought("bob")

    assert story.tick().requests
    assert (story.delivery().changes, story.delivery().last is not None) == (1, True)


def test_a_computation_that_changed_nobody_is_no_news(story: Story) -> None:
    story.synced()
    story.bought("ann")

    assert story.tick().requests == []


def test_a_run_that_computes_is_given_the_time_to_send_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.running("recompute", {PARTITION_TAG: story.slug})

    assert story.tick().skipped == "waiting: 1 for the run that computes to send them"

    monkeypatch.setattr(delivery_sensor, "GRACE", NOW)
    assert story.tick().requests


def test_a_tenant_has_one_run_that_delivers_at_a_time(story: Story) -> None:
    story.running(DELIVER, {RANGE_START_TAG: story.slug, RANGE_END_TAG: story.slug})

    assert story.tick().skipped == "waiting: 1 for a run in flight"


def test_a_connector_that_somebody_syncs_is_left_alone(story: Story) -> None:
    story.catalog.connectors.acquire_lease(story.slug, CONNECTOR, "host:1")

    assert story.tick().skipped == "waiting: 1 for another sync to finish"


def test_a_failed_sync_is_tried_again_after_a_pause(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.failed()

    assert story.tick().skipped == "waiting: 1 for time to pass since the last sync"
    monkeypatch.setattr(undelivered, "FIRST_PAUSE", NOW)
    assert story.tick().requests


@pytest.mark.usefixtures("without_pauses")
def test_what_a_sync_left_and_what_a_dead_one_left_is_taken_up(story: Story) -> None:
    story.synced(SyncCounts(pending=1))
    left = story.tick().requests
    lease = story.catalog.connectors.acquire_lease(story.slug, CONNECTOR, "host:1")
    story.catalog.connectors.begin_sync(story.slug, CONNECTOR, "sync", lease=lease)
    story.catalog.connectors.release_lease(lease)
    dead = story.tick().requests

    assert left
    assert dead
    assert left[0].run_key != dead[0].run_key


def test_pauses_grow_and_end_with_a_sync_that_leaves_nothing(story: Story) -> None:
    assert [pause(times).total_seconds() for times in (1, 2, 3, 6, 7, 99)] == [15, 30, 60, 480, 600, 600]
    for _ in range(3):
        story.failed()
    failing = story.delivery().last
    story.synced()
    clean = story.delivery().last

    assert failing is not None
    assert clean is not None
    assert (failing.unfinished, clean.unfinished, clean.unfinished_since) == (3, 0, None)


def test_a_look_at_an_audience_is_no_sync(story: Story) -> None:
    story.failed()
    story.synced(kind="verify")

    last = story.delivery().last
    assert last is not None
    assert (last.kind, last.unfinished) == ("sync", 1)


def test_refused_users_are_tried_again_when_their_time_has_come(story: Story) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    story.synced(SyncCounts(refused=1, next_try_at=soon))
    before = story.tick().requests
    story.synced(SyncCounts(refused=1, next_try_at=soon - timedelta(minutes=20)))

    assert before == []
    assert story.tick().requests


def test_somebody_who_resumes_or_edits_a_connector_need_not_wait(story: Story) -> None:
    story.failed()
    story.catalog.connectors.pause(story.slug, CONNECTOR)
    paused = story.tick()
    story.catalog.connectors.resume(story.slug, CONNECTOR)

    assert paused.skipped == "everything is delivered, or waits for a person"
    assert story.tick().requests


@pytest.mark.parametrize("status", ["error", "held"])
def test_a_connector_that_waits_for_a_person_is_not_asked_for(story: Story, status: str) -> None:
    story.catalog.connectors.set_status(story.slug, CONNECTOR, status)  # type: ignore[arg-type]

    assert story.tick().requests == []


def test_an_approved_change_is_asked_for_at_once(story: Story) -> None:
    lease = story.catalog.connectors.acquire_lease(story.slug, CONNECTOR, "host:1")
    sync = story.catalog.connectors.begin_sync(story.slug, CONNECTOR, "sync", lease=lease)
    story.catalog.connectors.hold(NewHold(sync.id, adds=5, removes=0, audience=2, cause="time passed"), lease=lease)
    story.catalog.connectors.finish_sync(sync.id, "held", SyncCounts(pending=5), lease=lease)
    story.catalog.connectors.release_lease(lease)
    held = story.tick().requests
    story.catalog.connectors.approve_hold(story.slug, CONNECTOR, by="ann")

    assert held == []
    assert story.tick().requests


def test_when_sending_an_approved_change_fails_it_is_tried_again_after_a_pause(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = story.catalog.connectors.acquire_lease(story.slug, CONNECTOR, "host:1")
    sync = story.catalog.connectors.begin_sync(story.slug, CONNECTOR, "sync", lease=lease)
    story.catalog.connectors.hold(NewHold(sync.id, adds=5, removes=0, audience=2, cause="time passed"), lease=lease)
    story.catalog.connectors.finish_sync(sync.id, "held", SyncCounts(pending=5), lease=lease)
    story.catalog.connectors.release_lease(lease)
    story.catalog.connectors.approve_hold(story.slug, CONNECTOR, by="ann")

    story.failed()

    assert story.delivery().approved
    assert story.tick().skipped == "waiting: 1 for time to pass since the last sync"
    monkeypatch.setattr(undelivered, "FIRST_PAUSE", NOW)
    assert story.tick().requests


def test_an_archived_segment_is_emptied_once(story: Story) -> None:
    story.synced(SyncCounts(audience=1))
    story.catalog.archive_segment(story.slug, "buyers")
    archived = story.tick().requests
    story.synced(SyncCounts(audience=0))

    assert archived
    assert story.tick().requests == []


def test_the_same_is_not_asked_for_twice(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_sensor, "_ASK_AGAIN_SECONDS", 10**9)
    first, again = story.tick().requests, story.tick().requests
    story.bought("bob")
    changed = story.tick().requests

    assert first[0].run_key == again[0].run_key != changed[0].run_key


def test_a_notice_that_is_due_is_asked_for(story: Story) -> None:
    story.synced()
    story.catalog.webhooks.create(story.slug, "https://example.com/hook", "secret")
    quiet = story.tick().requests
    story.bought("bob")
    story.synced()

    assert quiet == []
    [request] = story.tick().requests
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["webhook_sync"]
    assert request.run_config["ops"]["webhook_sync"]["config"]["connectors"] == []


def test_those_who_wait_longest_come_first_and_a_tick_is_bounded(
    orchestration: Orchestration, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_sensor, "MOST_REQUESTS", 1)
    first, _ = Story(orchestration, new_tenant()), Story(orchestration, new_tenant())

    requests = first.tick().requests

    assert [request.tags["segops/tenant"] for request in requests] == [first.slug]


def test_a_tenant_that_is_no_partition_yet_waits_for_the_event_sensor(
    orchestration: Orchestration, story: Story
) -> None:
    orchestration.instance.delete_dynamic_partition("tenants", story.slug)

    assert story.tick().skipped == "waiting: 1 for their turn in the next tick"
