"""Events that come in late, twice, or while clocks disagree; and identifications that take something back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from segops_orchestration.catalog.records import Mode
from segops_orchestration_tests.compute.clocks import clock_ahead
from segops_orchestration_tests.compute.computing import at_step
from segops_orchestration_tests.compute.story import T0, T1, days, happened, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import (
    HOUR,
    IDENTIFIED,
    MINUTE,
    MS,
    all_of,
    event_count,
    monetary,
    user_property,
)

BUYERS = all_of(event_count("gte", 1))
MODES = pytest.mark.parametrize("mode", ["delta", "full"])


def test_an_event_that_happened_long_ago_is_found_when_it_arrives(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)
    tenant.ingest(ordered("ann", at=T0 - days(500)))

    assert tenant.compute(at=T1).segments[0].mode == "delta"
    assert tenant.members("buyers") == {"ann"}


def test_an_insert_that_became_visible_late_is_found_though_it_bears_an_earlier_time(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0)
    [committed] = tenant.catalog.committed_state(tenant.slug).values()
    (late,) = ordered("bob")
    assert committed.watermark_at is not None
    assert late.ingested_at < committed.watermark_at

    tenant.ingest([late])

    assert tenant.compute(at=T1).segments[0].candidates == 1
    assert tenant.members("buyers") == {"ann", "bob"}


@MODES
def test_an_insert_that_becomes_visible_while_a_computation_runs_is_found_by_the_next_delta(
    mode: Mode, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"buyers": BUYERS, "idle": all_of(event_count("eq", 0))})
    tenant.ingest([*ordered("ann"), happened("bob", "page_viewed", T0 - HOUR)])
    tenant.compute("full", at=T0)
    with monkeypatch.context() as patch:
        # The watermark is read, and candidates are not yet looked up.
        at_step(patch, "planned", lambda: tenant.ingest(ordered("bob", "cid")))
        tenant.compute(mode, at=T1)

    assert {one.mode for one in tenant.compute(at=T1 + HOUR).segments} == {"delta"}
    assert tenant.members("buyers") == {"ann", "bob", "cid"}
    assert tenant.members("idle") == set()


def test_of_two_ingesters_whose_clocks_disagree_no_arrival_is_lost(tenant: StoryTenant) -> None:
    """One is an hour ahead and the other an hour behind; a computation sees each one's insert first in turn."""
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)
    for number, clock in enumerate([HOUR, -HOUR, HOUR, -HOUR], start=1):
        tenant.ingest(ordered(f"user {number}"), received_later=clock)
        (segment,) = tenant.compute(at=T0 + number * MINUTE).segments
        assert (segment.mode, segment.members) == ("delta", number)

    (segment,) = tenant.compute(at=T1).segments
    assert (segment.candidates, segment.members) == (0, 4)


def test_of_two_inserts_with_equal_timestamps_the_one_after_the_computation_is_found(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    first, second = ordered("ann", "bob")
    assert first.ingested_at == second.ingested_at
    tenant.ingest([first])
    tenant.compute(at=T0)
    tenant.ingest([second])

    assert tenant.compute(at=T1).segments[0].candidates == 1
    assert tenant.members("buyers") == {"ann", "bob"}


def test_two_inserts_that_overlap_in_time_are_both_found_whichever_is_committed_first(tenant: StoryTenant) -> None:
    """The one that began first takes longer, so it gets the later number, and has the earlier timestamps."""
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)
    slow = (
        "INSERT INTO events (event_id, user_id, event_type, occurred_at, ingested_at)"
        " SELECT generateUUIDv4(), 'slow', 'order_placed', now64(3) - INTERVAL 3 HOUR, now64(3)"
        " FROM numbers(20) WHERE sleepEachRow(0.1) = 0 SETTINGS max_block_size = 1"
    )
    with ThreadPoolExecutor(1) as other:
        began_first = other.submit(tenant.database.command, slow)
        tenant.ingest(ordered("quick"))
        tenant.compute(at=T0 + MINUTE)
        assert "quick" in tenant.members("buyers")
        began_first.result()

    tenant.compute(at=T1)
    assert tenant.members("buyers") == {"quick", "slow"}


def test_late_arrivals_are_found_after_the_merges_of_their_table(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0)
    tenant.ingest(ordered("bob"))
    tenant.database.command("OPTIMIZE TABLE arrivals FINAL")

    assert tenant.compute(at=T1).segments[0].candidates == 1
    assert tenant.members("buyers") == {"ann", "bob"}


def test_a_clock_that_steps_back_loses_no_arrival(tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant.define({"buyers": BUYERS})
    with monkeypatch.context() as patch:
        clock_ahead(patch, HOUR)
        tenant.compute(at=T0)
    tenant.ingest(ordered("ann"))

    result = tenant.compute(at=T1)

    assert result.segments[0].mode == "delta"
    assert tenant.members("buyers") == {"ann"}


def test_without_an_instant_a_clock_that_steps_back_leads_to_a_full_computation(
    tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"buyers": BUYERS})
    with monkeypatch.context() as patch:
        clock_ahead(patch, HOUR)
        tenant.compute()
    tenant.ingest(ordered("ann"))

    result = tenant.compute()

    assert result.segments[0].reason == "the instant lies before that of the last computation"
    assert tenant.members("buyers") == {"ann"}


@MODES
@pytest.mark.parametrize("merged", [False, True], ids=["unmerged", "merged"])
def test_a_redelivery_changes_nothing(mode: Mode, merged: bool, tenant: StoryTenant) -> None:
    tenant.define({"twice": all_of(event_count("gte", 2)), "big": all_of(monetary("sum", "gte", 15))})
    orders = list(ordered("ann", payload='{"total": 10}'))
    tenant.ingest(orders)
    tenant.compute("full", at=T0)

    tenant.ingest(orders, received_later=MINUTE)
    if merged:
        tenant.database.command("OPTIMIZE TABLE events FINAL")
    result = tenant.compute(mode, at=T1)

    assert [(segment.members, segment.changed) for segment in result.segments] == [(0, False), (0, False)]


@MODES
@pytest.mark.parametrize("merged", [False, True], ids=["unmerged", "merged"])
def test_of_two_deliveries_that_differ_the_first_one_counts(mode: Mode, merged: bool, tenant: StoryTenant) -> None:
    tenant.define(
        {"big": all_of(monetary("max", "gte", 15)), "gold": all_of(user_property("plan", "eq", value="gold"))}
    )
    (order,) = ordered("ann", payload='{"total": 10}')
    identified = happened("ann", IDENTIFIED, T0 - HOUR, '{"plan": "gold"}')
    tenant.ingest([order, identified])
    tenant.compute("full", at=T0)

    again = [replace(order, payload='{"total": 20}'), replace(identified, payload='{"plan": "silver"}')]
    tenant.ingest(again, received_later=MINUTE)
    if merged:
        tenant.database.command("OPTIMIZE TABLE events FINAL")
        tenant.database.command("OPTIMIZE TABLE identifications FINAL")
    tenant.compute(mode, at=T1)

    assert tenant.members("big") == set()
    assert tenant.members("gold") == {"ann"}


@MODES
def test_an_identification_without_a_property_takes_it_back(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"gold": all_of(user_property("plan", "eq", value="gold"))})
    tenant.define({"no-plan": all_of(user_property("plan", "is_not_set"))})
    tenant.ingest([happened("ann", IDENTIFIED, T0 - HOUR, '{"plan": "gold", "city": "Bern"}')])
    tenant.compute("full", at=T0)
    assert tenant.members("gold") == {"ann"}

    tenant.ingest([happened("ann", IDENTIFIED, T0 - MINUTE, '{"city": "Bern"}')])
    tenant.compute(mode, at=T1)

    assert tenant.members("gold") == set()
    assert tenant.members("no-plan") == {"ann"}


@MODES
def test_an_identification_that_arrives_late_but_is_older_changes_nothing(mode: Mode, tenant: StoryTenant) -> None:
    tenant.define({"gold": all_of(user_property("plan", "eq", value="gold"))})
    tenant.ingest([happened("ann", IDENTIFIED, T0 - HOUR, '{"plan": "gold"}')])
    tenant.compute("full", at=T0)

    tenant.ingest([happened("ann", IDENTIFIED, T0 - HOUR - MS, '{"plan": "silver"}')])
    tenant.compute(mode, at=T1)

    assert tenant.members("gold") == {"ann"}
