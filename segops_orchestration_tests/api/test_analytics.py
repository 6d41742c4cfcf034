"""Analytics through the published client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from segops_admin import SegOpsAdmin

from segops_orchestration.catalog.connector_records import ConnectorSpec, SyncCounts
from segops_orchestration.catalog.syncs import EndedSync
from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.explored import NOW, client, event, orders, story


@pytest.fixture
def admin(tenant: Tenant) -> SegOpsAdmin:
    """Of a tenant in which 6 users have 1 to 6 orders, and old ones besides."""
    told = story(tenant)
    told.define({"one": orders(1), "three": orders(3), "five": orders(5)})
    events = [event(f"u{user}", name=f"{user} {n}") for user in range(1, 7) for n in range(user)]
    told.ingest(events)
    told.ingest(events[:5])
    told.ingest([event("old", "page_viewed", ago=timedelta(days=31)), event("old", ago=-timedelta(days=2))])
    told.compute()
    told.define({"never": orders(1)})
    return client(tenant, "viewer")


def test_the_overview_counts_each_event_of_thirty_days_once(admin: SegOpsAdmin) -> None:
    figures = admin.analytics.overview()
    assert (figures["segment_count"], figures["computed_segment_count"]) == (4, 3)
    assert figures["total_members"] == 6 + 4 + 2
    assert figures["events_30d"] == 21
    assert figures["user_count"] == 7
    assert figures["last_computed_at"] > (NOW - timedelta(minutes=1)).isoformat()


def test_segments_have_a_trend_up_to_today(tenant: Tenant, admin: SegOpsAdmin) -> None:
    figures = {one["name"]: one for one in admin.analytics.segments()}
    today = datetime.now(UTC).date().isoformat()
    assert figures["three"]["member_count"] == 4
    assert figures["three"]["trend"][-1] == {"day": today, "count": 4}
    assert (figures["never"]["member_count"], figures["never"]["trend"]) == (None, [])


def test_pairs_with_the_most_common_members_come_first(tenant: Tenant, admin: SegOpsAdmin) -> None:
    pairs = admin.analytics.overlap()
    shown = [(one["seg_a_name"], one["seg_b_name"], one["overlap"], one["overlap_pct"]) for one in pairs]
    names = [{a, b} for a, b, _, _ in shown]
    assert names[0] == {"one", "three"}
    assert sorted(one[2:] for one in shown) == [(2, 100.0), (2, 100.0), (4, 100.0)]


def test_an_archived_segment_is_in_no_pair(tenant: Tenant, admin: SegOpsAdmin) -> None:
    tenant.api.catalog.archive_segment(tenant.slug, "three")
    assert [one["overlap"] for one in admin.analytics.overlap()] == [2]


def test_activations_have_the_rate_of_the_last_thirty_syncs_and_the_five_newest(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    connectors = tenant.api.catalog.connectors
    for slug in ("rated", "unrated"):
        connectors.create(tenant.slug, ConnectorSpec(slug, "one", "webhook", {"url": "https://example.com"}), {})
    # The oldest two are not among the last thirty.
    for number in range(32):
        sync = connectors.begin_sync(tenant.slug, "rated", "sync")
        outcome: EndedSync = "failed" if number < 2 or number >= 29 else "succeeded"
        connectors.finish_sync(sync.id, outcome, SyncCounts(added=number, removed=1), "gone" if number > 28 else None)
    connectors.begin_sync(tenant.slug, "rated", "sync")
    rated, unrated = admin.analytics.activations()
    assert rated["success_rate"] == 0.9
    assert [(one["status"], one["user_count"], one["error_message"]) for one in rated["sync_logs"]] == [
        ("failed", 32, "gone"),
        ("failed", 31, "gone"),
        ("failed", 30, "gone"),
        ("succeeded", 29, None),
        ("succeeded", 28, None),
    ]
    assert rated["last_synced_at"] == rated["sync_logs"][3]["synced_at"]
    assert (unrated["success_rate"], unrated["sync_logs"]) == (None, [])


def test_usage_has_events_by_day_and_what_is_stored(tenant: Tenant, admin: SegOpsAdmin) -> None:
    usage = admin.analytics.usage()
    days = {one["day"]: one["count"] for one in usage["events_by_day"]}
    assert len(days) == usage["period_days"] == 30
    assert days[(NOW - timedelta(days=1)).date().isoformat()] == usage["events"] == 21
    assert usage["storage_bytes"] == sum(one["bytes"] for one in usage["storage"]) > 0
    assert usage["api_key_count"] >= 1


def test_another_tenant_s_figures_are_its_own(tenant: Tenant, other_tenant: Tenant, admin: SegOpsAdmin) -> None:
    stranger = client(other_tenant)
    assert stranger.analytics.overview()["events_30d"] == 0
    assert stranger.analytics.segments() == stranger.analytics.overlap() == stranger.analytics.activations() == []
