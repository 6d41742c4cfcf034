"""Events given as Python values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from segops_orchestration.errors import InvalidDocument
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import Event, insert_events
from segops_orchestration_tests.warehouse.ingest.helpers import column, count, payloads, times, utc

NOON = datetime(2026, 1, 31, 12, 0, 0, 123999, tzinfo=UTC)
ID = UUID("0b7e3b1c-93a5-4c55-8a3c-2f0b8a6f9f11")


def test_events_are_written_as_given(tenant_warehouse: TenantWarehouse) -> None:
    payload = {"total": Decimal("1.10"), "n": [1, None, {"é": True}], "at": NOON}

    assert insert_events(tenant_warehouse, [Event("u1", "order_placed", NOON, payload, ID)]) == 1

    assert column(tenant_warehouse, "(user_id, event_type, event_id)") == [f"('u1','order_placed','{ID}')"]
    assert payloads(tenant_warehouse) == ['{"total":1.10,"n":[1,null,{"é":true}],"at":"2026-01-31T12:00:00.123Z"}']


def test_times_of_any_zone_become_utc_in_milliseconds(tenant_warehouse: TenantWarehouse) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))

    insert_events(tenant_warehouse, [Event("u1", "a", east)])

    assert times(tenant_warehouse) == [utc(2026, 1, 31, 12, 0, 0, 123)]


def test_each_event_is_a_new_one_unless_its_id_is_given(tenant_warehouse: TenantWarehouse) -> None:
    insert_events(tenant_warehouse, [Event("u1", "a", NOON), Event("u1", "a", NOON)])

    assert len(set(column(tenant_warehouse, "event_id"))) == 2


def test_no_events_are_no_work(tenant_warehouse: TenantWarehouse) -> None:
    assert insert_events(tenant_warehouse, []) == 0


def test_one_bad_event_keeps_all_out_and_every_fault_is_told_at_its_place(tenant_warehouse: TenantWarehouse) -> None:
    events = [
        Event("u1", "a", NOON),
        Event("", "a\n", NOON),
        Event("u", "a", NOON.replace(tzinfo=None)),
        Event("u", "a", NOON.replace(year=1950), {"x": float("nan")}),
        Event("u", "a", NOON, {"x": object()}),
    ]

    with pytest.raises(InvalidDocument) as caught:
        insert_events(tenant_warehouse, events)

    assert {problem.path for problem in caught.value.problems} == {
        "events[1].user_id",
        "events[1].event_type",
        "events[2].occurred_at",
        "events[3].occurred_at",
        "events[3].payload",
        "events[4].payload",
    }
    assert count(tenant_warehouse) == 0
