"""What the tables make of events: the first delivery counts, arrivals are numbered, users and properties follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from segops_orchestration.warehouse.client import TenantWarehouse

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
COLUMNS = ["event_id", "user_id", "event_type", "occurred_at", "ingested_at", "payload"]
FIRST_HALF, SECOND_HALF = UUID(int=1 << 64), UUID(int=1)


def deliver(
    tenant: TenantWarehouse,
    payload: str,
    *,
    after: int = 0,
    event_id: UUID = SECOND_HALF,
    user: str = "u1",
    kind: str = "order_placed",
    occurred_at: datetime = NOW - DAY,
) -> None:
    """One insert of one event, ``after`` milliseconds after the earliest."""
    ingested_at = NOW + timedelta(milliseconds=after)
    tenant.insert("events", [[event_id, user, kind, occurred_at, ingested_at, payload]], COLUMNS)


def merge(tenant: TenantWarehouse, table: str) -> None:
    tenant.command(f"OPTIMIZE TABLE {table} FINAL")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_of_several_deliveries_the_first_is_kept(tenant_warehouse: TenantWarehouse, order: tuple[int, ...]) -> None:
    for after in order:
        deliver(tenant_warehouse, f"delivery {after}", after=after)

    merge(tenant_warehouse, "events")

    rows = tenant_warehouse.query("SELECT payload, ingested_at FROM events").result_rows
    assert rows == [("delivery 0", NOW)]


def test_of_several_identifications_deliveries_the_first_is_kept(tenant_warehouse: TenantWarehouse) -> None:
    for after in (1, 0, 2):
        deliver(tenant_warehouse, f"delivery {after}", after=after, kind="context_identified")

    merge(tenant_warehouse, "identifications")

    rows = tenant_warehouse.query("SELECT payload, ingested_at FROM identifications").result_rows
    assert rows == [("delivery 0", NOW)]


def test_a_redelivery_in_the_same_insert_is_one_event(tenant_warehouse: TenantWarehouse) -> None:
    rows = [
        [SECOND_HALF, "u1", "order_placed", NOW - DAY, NOW + timedelta(milliseconds=after), f"delivery {after}"]
        for after in (2, 0, 1)
    ]

    tenant_warehouse.insert("events", rows, COLUMNS)

    merge(tenant_warehouse, "events")
    assert tenant_warehouse.query("SELECT payload FROM events").result_rows == [("delivery 0",)]


def test_an_event_that_differs_in_one_part_of_its_key_is_another_event(tenant_warehouse: TenantWarehouse) -> None:
    deliver(tenant_warehouse, "{}")
    deliver(tenant_warehouse, "{}", event_id=FIRST_HALF)
    deliver(tenant_warehouse, "{}", user="u2")
    deliver(tenant_warehouse, "{}", kind="page_viewed")
    deliver(tenant_warehouse, "{}", occurred_at=NOW - 2 * DAY)

    merge(tenant_warehouse, "events")

    assert tenant_warehouse.query("SELECT count() FROM events").result_rows == [(5,)]


def test_events_before_1970_and_far_ahead_are_kept(tenant_warehouse: TenantWarehouse) -> None:
    instants = [datetime(1969, 7, 20, 20, 17, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)]
    for instant in instants:
        deliver(tenant_warehouse, "{}", occurred_at=instant)

    rows = tenant_warehouse.query("SELECT occurred_at FROM events ORDER BY occurred_at").result_rows

    assert [instant for (instant,) in rows] == instants


def test_a_payload_is_kept_to_the_letter(tenant_warehouse: TenantWarehouse) -> None:
    payload = '{"b": 1.0, "a": null, "b": "ü\\u0000\\n", "d": {}, "at": "2024-01-01"}  '

    deliver(tenant_warehouse, payload)

    assert tenant_warehouse.query("SELECT payload FROM events").result_rows == [(payload,)]


def watermarks(tenant: TenantWarehouse) -> list[tuple[str, int]]:
    rows = tenant.query("SELECT user_id, _block_number FROM arrivals ORDER BY _block_number, user_id").result_rows
    return [(user, number) for user, number in rows]


def test_arrivals_are_numbered_by_insert_and_keep_their_numbers_through_merges(
    tenant_warehouse: TenantWarehouse,
) -> None:
    for index in range(5):
        # Clocks of ingesting machines disagree; the order of commits does not.
        deliver(tenant_warehouse, "{}", user=f"u{index}", after=-index)
    before = watermarks(tenant_warehouse)

    merge(tenant_warehouse, "arrivals")
    deliver(tenant_warehouse, "{}", user="late")
    merge(tenant_warehouse, "arrivals")
    after = watermarks(tenant_warehouse)

    numbers = [number for _, number in after]
    assert [user for user, _ in after] == ["u0", "u1", "u2", "u3", "u4", "late"]
    assert numbers == sorted(set(numbers))
    assert after[:5] == before


def test_a_redelivery_arrives_again(tenant_warehouse: TenantWarehouse) -> None:
    deliver(tenant_warehouse, "{}")
    deliver(tenant_warehouse, "{}", after=1)

    assert [user for user, _ in watermarks(tenant_warehouse)] == ["u1", "u1"]


def test_users_know_their_first_and_last_event(tenant_warehouse: TenantWarehouse) -> None:
    for days in (3, 9, 5):
        deliver(tenant_warehouse, "{}", occurred_at=NOW - days * DAY)
    deliver(tenant_warehouse, "{}", user="u2")

    rows = tenant_warehouse.query(
        "SELECT user_id, min(first_seen), max(last_seen) FROM users GROUP BY user_id ORDER BY user_id"
    ).result_rows

    assert rows == [("u1", NOW - 9 * DAY, NOW - 3 * DAY), ("u2", NOW - DAY, NOW - DAY)]


def properties(tenant: TenantWarehouse) -> list[tuple[str, str]]:
    rows = tenant.query("SELECT user_id, properties FROM user_properties ORDER BY user_id").result_rows
    return [(user, text) for user, text in rows]


def identify(
    tenant: TenantWarehouse, payload: str, days_ago: int, after: int = 0, event_id: UUID | None = None
) -> None:
    deliver(
        tenant,
        payload,
        after=after,
        event_id=event_id or UUID(int=days_ago + 1000),
        kind="context_identified",
        occurred_at=NOW - days_ago * DAY,
    )


def test_properties_are_the_latest_identification(tenant_warehouse: TenantWarehouse) -> None:
    identify(tenant_warehouse, "latest", 1)
    identify(tenant_warehouse, "older, arrived later", 2, after=5)
    deliver(tenant_warehouse, "not an identification", occurred_at=NOW)

    assert properties(tenant_warehouse) == [("u1", "latest")]


def test_an_identification_in_the_future_does_not_count_yet(tenant_warehouse: TenantWarehouse) -> None:
    identify(tenant_warehouse, "present", 1)
    identify(tenant_warehouse, "future", -2)

    assert properties(tenant_warehouse) == [("u1", "present")]


def test_at_the_same_instant_the_later_arrival_wins_and_then_the_larger_id(tenant_warehouse: TenantWarehouse) -> None:
    identify(tenant_warehouse, "later arrival", 1, after=9, event_id=UUID(int=2))
    identify(tenant_warehouse, "earlier arrival", 1, after=8, event_id=UUID(int=3))
    assert properties(tenant_warehouse) == [("u1", "later arrival")]

    identify(tenant_warehouse, "larger as text", 1, after=9, event_id=FIRST_HALF)
    assert properties(tenant_warehouse) == [("u1", "larger as text")]


def test_a_redelivered_identification_changes_nothing_merged_or_not(tenant_warehouse: TenantWarehouse) -> None:
    identify(tenant_warehouse, "first", 1, after=0, event_id=UUID(int=1))
    identify(tenant_warehouse, "second", 1, after=5, event_id=UUID(int=2))
    identify(tenant_warehouse, "first, redelivered", 1, after=9, event_id=UUID(int=1))
    before = properties(tenant_warehouse)

    merge(tenant_warehouse, "identifications")

    assert before == properties(tenant_warehouse) == [("u1", "second")]


def test_of_a_membership_the_newest_version_counts_and_a_deletion_deletes(tenant_warehouse: TenantWarehouse) -> None:
    columns = ["segment_id", "user_id", "computed_at", "version", "is_deleted"]
    for version, deleted, user in [(1, 0, "stays"), (1, 0, "leaves"), (2, 1, "leaves"), (1, 1, "back"), (2, 0, "back")]:
        tenant_warehouse.insert("segment_memberships", [[7, user, NOW, version, deleted]], columns)

    rows = tenant_warehouse.query("SELECT user_id FROM segment_memberships FINAL ORDER BY user_id").result_rows

    assert rows == [("back",), ("stays",)]


def test_the_candidates_of_a_computation_are_dropped_as_a_partition(tenant_warehouse: TenantWarehouse) -> None:
    columns = ["computation_id", "reason", "user_id"]
    tenant_warehouse.insert("candidates", [[1, 7, "a"], [2, 7, "b"]], columns)

    tenant_warehouse.command("ALTER TABLE candidates DROP PARTITION 1")

    assert tenant_warehouse.query("SELECT user_id FROM candidates").result_rows == [("b",)]
