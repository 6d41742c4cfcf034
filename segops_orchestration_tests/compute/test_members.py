from __future__ import annotations

from datetime import UTC, datetime

from segops_orchestration.compute.members import Member, count_members, iter_members
from segops_orchestration.warehouse.client import TenantWarehouse

ENTERED = datetime(2026, 1, 31, 10, 0, 0, 7_000, tzinfo=UTC)
COLUMNS = ["segment_id", "user_id", "computed_at", "version", "is_deleted"]
USERS = ["", "10", "9", 'a "quoted"\nuser', "b", "Ünï", "用户", "🎉"]


def test_members_come_in_the_order_of_their_bytes(tenant_warehouse: TenantWarehouse) -> None:
    tenant_warehouse.insert("segment_memberships", [[1, user, ENTERED, 1, 0] for user in reversed(USERS)], COLUMNS)
    tenant_warehouse.insert("segment_memberships", [[2, "c", ENTERED, 1, 0]], COLUMNS)

    assert list(iter_members(tenant_warehouse, 1)) == [Member(user, ENTERED) for user in USERS]
    assert count_members(tenant_warehouse, 1) == len(USERS)


def test_pages_follow_one_another_without_gap_or_overlap(tenant_warehouse: TenantWarehouse) -> None:
    tenant_warehouse.insert("segment_memberships", [[1, user, ENTERED, 1, 0] for user in USERS], COLUMNS)
    seen: list[str] = []
    after = None

    while page := [member.user_id for member in iter_members(tenant_warehouse, 1, limit=3, after=after)]:
        assert len(page) <= 3
        seen += page
        after = page[-1]

    assert seen == USERS


def test_who_exited_is_no_member(tenant_warehouse: TenantWarehouse) -> None:
    tenant_warehouse.insert("segment_memberships", [[1, "a", ENTERED, 1, 0], [1, "b", ENTERED, 1, 0]], COLUMNS)
    tenant_warehouse.insert("segment_memberships", [[1, "a", ENTERED, 2, 1]], COLUMNS)

    assert list(iter_members(tenant_warehouse, 1)) == [Member("b", ENTERED)]
    assert count_members(tenant_warehouse, 1) == 1


def test_members_are_streamed(tenant_warehouse: TenantWarehouse) -> None:
    tenant_warehouse.command(
        "INSERT INTO segment_memberships (segment_id, user_id, computed_at, version, is_deleted)"
        " SELECT 1, leftPad(toString(number), 9, '0'), now64(3, 'UTC'), 1, 0 FROM numbers(300000)"
    )

    members = iter_members(tenant_warehouse, 1)

    assert next(members).user_id == "000000000"
    assert sum(1 for _ in members) == 299_999
