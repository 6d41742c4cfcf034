from __future__ import annotations

from datetime import timedelta

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector, ConnectorLease, SyncCounts
from segops_orchestration.catalog.holds import NewHold
from segops_orchestration.errors import Conflict, NotFound
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import NOON, Clock, begin, commit, connect, document, save, spec
from segops_orchestration_tests.catalog.racing import race


@pytest.fixture
def connector(vip: Catalog) -> Connector:
    return connect(vip)


@pytest.fixture
def lease(vip: Catalog, connector: Connector) -> ConnectorLease:
    return vip.connectors.acquire_lease("acme", "vip-klaviyo", "host:1", ttl_seconds=1000)


# The sync log


def test_a_sync_is_logged_from_its_begin_to_its_end(vip: Catalog, lease: ConnectorLease, clock: Clock) -> None:
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", run_id="abc", lease=lease)
    assert (sync.status, sync.finished_at, sync.milliseconds) == ("running", None, None)
    clock.move(2.5)
    counts = SyncCounts(added=3, removed=2, rejected=1, pending=4, requests=5, retries=6, audience=7)

    ended = vip.connectors.finish_sync(sync.id, "failed", counts, "503: no answer", lease=lease)

    assert (ended.connector, ended.run_id, ended.kind, ended.status) == ("vip-klaviyo", "abc", "sync", "failed")
    assert (ended.counts, ended.error) == (counts, "503: no answer")
    assert (ended.started_at, ended.finished_at) == (NOON, NOON + timedelta(seconds=2.5))
    assert ended.milliseconds == 2500
    assert vip.connectors.list_syncs("acme", "vip-klaviyo") == [ended]


def test_a_sync_says_which_members_it_was_about(vip: Catalog, lease: ConnectorLease) -> None:
    first = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    [segment] = save(vip, document("vip", orders=9))
    computation = begin(vip, segment)
    commit(vip, computation, segment)

    second = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)

    assert (first.segment_version, first.computation_id) == (1, None)
    assert (second.segment_version, second.computation_id) == (2, computation.id)


def test_a_sync_that_has_ended_keeps_its_outcome(vip: Catalog, lease: ConnectorLease) -> None:
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    vip.connectors.finish_sync(sync.id, "succeeded", SyncCounts(added=3), lease=lease)

    again = vip.connectors.finish_sync(sync.id, "failed", SyncCounts(), "late", lease=lease)

    assert (again.status, again.counts.added, again.error) == ("succeeded", 3, None)


def touched(catalog: Catalog) -> bool:
    """Whether somebody has changed the connector since its last sync ended, so that it is due again."""
    [delivery] = catalog.connectors.deliveries("acme")
    assert delivery.last is not None
    assert delivery.last.finished_at is not None
    return delivery.connector.updated_at > delivery.last.finished_at


def test_what_is_changed_while_a_sync_runs_is_not_taken_for_delivered(
    vip: Catalog, lease: ConnectorLease, clock: Clock
) -> None:
    for edited in (True, False):
        clock.move(1)
        sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
        clock.move(1)
        if edited:
            vip.connectors.save("acme", [(spec(config={"list_id": "B"}), {})])
        clock.move(1)
        vip.connectors.finish_sync(sync.id, "succeeded", SyncCounts(), lease=lease)
        assert touched(vip) is edited


def test_a_sync_whose_process_died_is_closed_by_the_next(vip: Catalog, lease: ConnectorLease) -> None:
    dead = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)

    vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)

    [_, closed] = vip.connectors.list_syncs("acme", "vip-klaviyo")
    assert (closed.id, closed.status, closed.finished_at) == (dead.id, "abandoned", NOON)
    assert closed.error is not None


def test_the_newest_syncs_come_first_and_kinds_can_be_left_out(vip: Catalog, lease: ConnectorLease) -> None:
    connect(vip, "other")
    for slug, kind in (("vip-klaviyo", "sync"), ("other", "dry_run"), ("vip-klaviyo", "verify")):
        vip.connectors.begin_sync("acme", slug, kind)  # type: ignore[arg-type]

    every = vip.connectors.list_syncs("acme")

    assert [(one.connector, one.kind) for one in every] == [
        ("vip-klaviyo", "verify"),
        ("other", "dry_run"),
        ("vip-klaviyo", "sync"),
    ]
    assert [one.kind for one in vip.connectors.list_syncs("acme", "vip-klaviyo", kinds=["sync"])] == ["sync"]
    assert len(vip.connectors.list_syncs("acme", limit=2)) == 2
    with pytest.raises(NotFound):
        vip.connectors.list_syncs("acme", "nobody")


def test_syncs_of_long_ago_are_forgotten_but_for_the_newest_of_each_outcome(
    vip: Catalog, lease: ConnectorLease, clock: Clock
) -> None:
    for status in ("succeeded", "failed", "succeeded", "failed", "succeeded"):
        sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
        job = vip.connectors.open_job(sync.id, "b1", "job", lease=lease)
        vip.connectors.finish_job(job.id, "succeeded", lease=lease)
        vip.connectors.finish_sync(sync.id, status, lease=lease)
    clock.move(60)
    recent = vip.connectors.begin_sync("acme", "vip-klaviyo", "verify", lease=lease)

    forgotten = vip.connectors.forget_syncs(NOON + timedelta(seconds=30))

    left = vip.connectors.list_syncs("acme", "vip-klaviyo")
    assert (forgotten, [one.status for one in left]) == (3, ["running", "succeeded", "failed"])
    assert left[0] == recent
    assert vip.connectors.forget_syncs(NOON + timedelta(seconds=30)) == 0


def test_a_sync_with_an_open_job_or_an_undecided_hold_is_not_forgotten(
    vip: Catalog, connector: Connector, lease: ConnectorLease, clock: Clock
) -> None:
    working = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    job = vip.connectors.open_job(working.id, "b1", "job", lease=lease)
    vip.connectors.finish_sync(working.id, "succeeded", lease=lease)
    hold = _hold(vip, lease)
    hold_sync = vip.connectors.list_syncs("acme")[0].id
    # Each that begins closes the one before as abandoned.
    syncs = [vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease) for _ in range(3)]
    vip.connectors.finish_sync(syncs[-1].id, "succeeded", lease=lease)
    clock.move(60)

    assert vip.connectors.forget_syncs(NOON + timedelta(seconds=30)) == 1
    assert [one.id for one in vip.connectors.list_syncs("acme")] == [syncs[2].id, syncs[1].id, hold_sync, working.id]
    assert vip.connectors.open_jobs(connector) == [job]
    found = vip.connectors.latest_hold(connector)
    assert found is not None
    assert found.id == hold


# Jobs


def test_a_job_is_open_until_it_ends(vip: Catalog, connector: Connector, lease: ConnectorLease, clock: Clock) -> None:
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    first = vip.connectors.open_job(sync.id, "b1", "job 1", lease=lease)
    second = vip.connectors.open_job(sync.id, "b2", "job 2," * 1000, lease=lease)
    assert vip.connectors.open_jobs(connector) == [first, second]
    clock.move(5)

    ended = vip.connectors.finish_job(first.id, "succeeded", lease=lease)

    assert (ended.status, ended.submitted_at, ended.finished_at) == ("succeeded", NOON, NOON + timedelta(seconds=5))
    assert vip.connectors.open_jobs(connector) == [second]
    assert vip.connectors.finish_job(first.id, "lost", lease=lease) == ended


def test_a_job_written_down_twice_is_one(vip: Catalog, connector: Connector, lease: ConnectorLease) -> None:
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    first = vip.connectors.open_job(sync.id, "b1", "job 1", lease=lease)

    assert vip.connectors.open_job(sync.id, "b1", "job 1", lease=lease) == first
    assert len(vip.connectors.open_jobs(connector)) == 1


# Holds


def _hold(catalog: Catalog, lease: ConnectorLease, removes: int = 400) -> int:
    sync = catalog.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    new = NewHold(sync.id, 10, removes, 1000, "the definition was edited", {"remove": ["ada", "ben"]})
    return catalog.connectors.hold(new, lease=lease).id


def test_a_hold_says_what_is_kept_back_and_holds_the_connector(
    vip: Catalog, connector: Connector, lease: ConnectorLease
) -> None:
    _hold(vip, lease)

    hold = vip.connectors.latest_hold(connector)
    assert hold is not None
    assert (hold.status, hold.adds, hold.removes, hold.audience) == ("held", 10, 400, 1000)
    assert (hold.cause, hold.sample) == ("the definition was edited", {"remove": ["ada", "ben"]})
    held = vip.connectors.get("acme", "vip-klaviyo")
    assert held.status == "held"
    assert held.status_reason.startswith("10 to add and 400 to remove, of an audience of 1,000: the definition")


def test_approving_lets_the_connector_go_on(
    vip: Catalog, connector: Connector, lease: ConnectorLease, clock: Clock
) -> None:
    hold_id = _hold(vip, lease)
    clock.move(60)

    approved = vip.connectors.approve_hold("acme", "vip-klaviyo", by="eve")

    assert (approved.id, approved.status, approved.decided_by) == (hold_id, "approved", "eve")
    assert approved.decided_at == NOON + timedelta(seconds=60)
    assert vip.connectors.get("acme", "vip-klaviyo").status == "active"
    assert vip.connectors.latest_hold(connector) == approved
    assert vip.connectors.release_hold(hold_id, lease=lease).status == "released"
    assert vip.connectors.latest_hold(connector) is None


@pytest.mark.usefixtures("connector")
def test_the_adds_can_be_approved_alone_and_the_rest_afterwards(vip: Catalog, lease: ConnectorLease) -> None:
    _hold(vip, lease)

    assert vip.connectors.approve_hold("acme", "vip-klaviyo", adds_only=True, by="eve").status == "approved_adds"
    assert vip.connectors.approve_hold("acme", "vip-klaviyo", by="eve").status == "approved"


@pytest.mark.usefixtures("connector")
def test_what_is_not_held_cannot_be_approved(vip: Catalog, lease: ConnectorLease) -> None:
    with pytest.raises(Conflict, match="holds nothing back: there is nothing to approve"):
        vip.connectors.approve_hold("acme", "vip-klaviyo", by="eve")

    vip.connectors.release_hold(_hold(vip, lease), lease=lease)
    with pytest.raises(Conflict):
        vip.connectors.approve_hold("acme", "vip-klaviyo", by="eve")


def test_a_new_hold_takes_the_place_of_an_earlier_one(
    vip: Catalog, connector: Connector, lease: ConnectorLease
) -> None:
    first = _hold(vip, lease)
    second = _hold(vip, lease, removes=500)

    assert [(one.id, one.status) for one in vip.connectors.list_holds(connector)] == [
        (second, "held"),
        (first, "superseded"),
    ]


@pytest.mark.usefixtures("connector")
def test_a_hold_of_which_nothing_is_left_frees_the_connector(vip: Catalog, lease: ConnectorLease) -> None:
    hold_id = _hold(vip, lease)

    assert vip.connectors.supersede_hold(hold_id, lease=lease).status == "superseded"

    assert vip.connectors.get("acme", "vip-klaviyo").status == "active"


@pytest.mark.usefixtures("connector")
def test_a_held_connector_is_not_resumed_and_one_paused_meanwhile_is_held_again(
    vip: Catalog, lease: ConnectorLease
) -> None:
    _hold(vip, lease)
    with pytest.raises(Conflict, match=r"is held, not paused: .* segops connectors approve acme vip-klaviyo"):
        vip.connectors.resume("acme", "vip-klaviyo")
    vip.connectors.pause("acme", "vip-klaviyo")

    assert vip.connectors.resume("acme", "vip-klaviyo").status == "held"


@pytest.mark.usefixtures("connector")
def test_approving_a_paused_connector_leaves_it_paused(vip: Catalog, lease: ConnectorLease) -> None:
    _hold(vip, lease)
    vip.connectors.pause("acme", "vip-klaviyo")

    vip.connectors.approve_hold("acme", "vip-klaviyo", by="eve")

    assert vip.connectors.get("acme", "vip-klaviyo").status == "paused"
    assert vip.connectors.resume("acme", "vip-klaviyo").status == "active"


# Rates


def test_permits_follow_each_other_at_the_rate(catalog: Catalog, clock: Clock) -> None:
    def wait(permits: int = 1) -> float:
        return catalog.connectors.reserve_permits("klaviyo", 4, permits)

    assert [wait(), wait(2), wait()] == [0, 0.25, 0.75]
    clock.move(0.5)
    assert wait() == 0.5


def test_time_that_nobody_used_is_no_burst(catalog: Catalog, clock: Clock) -> None:
    catalog.connectors.reserve_permits("klaviyo", 4, 1)
    clock.move(100)

    assert [catalog.connectors.reserve_permits("klaviyo", 4, 1) for _ in range(2)] == [0, 0.25]


def test_a_rate_is_never_exceeded_by_rounding(catalog: Catalog) -> None:
    waits = [catalog.connectors.reserve_permits("klaviyo", 7, 1) for _ in range(71)]

    assert waits[-1] >= 10


def test_accounts_have_rates_of_their_own(catalog: Catalog) -> None:
    catalog.connectors.reserve_permits("klaviyo", 1, 100)

    assert catalog.connectors.reserve_permits("braze", 1, 1) == 0


def test_a_wait_that_a_platform_asks_for_holds_for_everybody_and_does_not_add_up(
    catalog: Catalog, clock: Clock
) -> None:
    for _ in range(16):
        catalog.connectors.hold_permits("klaviyo", 30)
    catalog.connectors.hold_permits("klaviyo", 5)

    assert catalog.connectors.reserve_permits("klaviyo", 4, 1) == 30
    clock.move(40)
    assert catalog.connectors.reserve_permits("klaviyo", 4, 1) == 0


def test_a_wait_is_not_a_part_of_a_millisecond_too_short(catalog: Catalog, clock: Clock) -> None:
    clock.move(0.000_9)
    catalog.connectors.hold_permits("klaviyo", 1)
    clock.move(0.000_2)
    assert catalog.connectors.reserve_permits("klaviyo", 4, 1) == 0.999_8


def test_no_figure_keeps_a_rate_shut_for_ever(catalog: Catalog, clock: Clock) -> None:
    catalog.connectors.hold_permits("klaviyo", 1e14)
    assert catalog.connectors.reserve_permits("klaviyo", 4, 1) == 7_200

    clock.move(-1_000_000)
    assert catalog.connectors.reserve_permits("klaviyo", 4, 1) == 0


def test_processes_that_share_a_rate_never_get_one_permit_twice(catalog: Catalog, catalog_settings: Settings) -> None:
    last = max(float(wait) for wait in race(catalog_settings, "permits", processes=3))

    # Sixty permits, ten seconds apart, counted from the first; the processes themselves took a moment.
    assert 580 <= last <= 590
