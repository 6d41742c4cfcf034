"""While changes are applied, readers of memberships see the old or the new answer of a segment, never a mixture."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event

import pytest

from segops_orchestration.compute import apply
from segops_orchestration.compute.apply import apply_changes, drop_staging
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

OLD = 1_000
_STAGE = """INSERT INTO membership_changes
SELECT {segment_id:UInt64}, {computation_id:UInt64}, toString(number), {change:String}, now64(3)
FROM numbers({start:UInt64}, {rows:UInt64})"""
_ANSWER = """SELECT segment_id, count(), sum(cityHash64(user_id))
FROM segment_memberships FINAL GROUP BY segment_id ORDER BY segment_id"""


def session(warehouse: TenantWarehouse, number: int) -> ComputeSession:
    return ComputeSession(warehouse, number, number, datetime.now(UTC), None)


def stage(warehouse: TenantWarehouse, number: int, segment_id: int, change: str, start: int, rows: int) -> None:
    bound = {"segment_id": segment_id, "change": change, "start": start, "rows": rows}
    session(warehouse, number).run(_STAGE, bound)


def answers_seen(warehouse: TenantWarehouse, change: Callable[[], None]) -> list[list[tuple[int, int, int]]]:
    """The answers that a reader gets who asks again and again before, while and after this happens, as they follow."""
    seen: list[list[tuple[int, int, int]]] = []
    over = Event()

    def read() -> None:
        while True:
            last = over.is_set()
            answer = [tuple(row) for row in warehouse.query(_ANSWER).result_rows]
            if not seen or answer != seen[-1]:
                seen.append(answer)
            if last:
                return

    with ThreadPoolExecutor(1) as other:
        reader = other.submit(read)
        while not seen and not reader.done():
            over.wait(0.01)
        change()
        over.set()
        reader.result()
    return seen


def parts(warehouse: TenantWarehouse) -> int:
    """How many parts were ever written to memberships since the last merge."""
    ((count,),) = warehouse.query(
        "SELECT count() FROM system.parts WHERE active AND database = {name:String} AND table = 'segment_memberships'",
        {"name": warehouse.database},
    ).result_rows
    return int(count)


def test_of_three_million_changes_in_two_segments_a_reader_sees_all_or_none(tenant_warehouse: TenantWarehouse) -> None:
    for segment_id in (1, 2):
        stage(tenant_warehouse, 1, segment_id, "entered", 0, OLD)
        stage(tenant_warehouse, 2, segment_id, "exited", 0, OLD // 2)
    apply_changes(session(tenant_warehouse, 1), {1: (OLD, 0), 2: (OLD, 0)})
    stage(tenant_warehouse, 2, 1, "entered", OLD, 2_800_000)
    stage(tenant_warehouse, 2, 2, "entered", OLD, 200_000)
    changes = {1: (2_800_000, OLD // 2), 2: (200_000, OLD // 2)}

    seen = answers_seen(tenant_warehouse, lambda: apply_changes(session(tenant_warehouse, 2), changes))

    assert [[count for _, count, _ in answer] for answer in seen] == [
        [OLD, OLD],
        [OLD // 2 + 2_800_000, OLD // 2 + 200_000],
    ]


def test_a_change_of_many_blocks_that_fits_into_one_is_written_as_one_part(
    warehouse: Warehouse, tenant_warehouse: TenantWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the settings of one block, this limit makes a part of every 8 MiB.
    monkeypatch.setattr(warehouse, "query_memory", 128 << 20)
    tenant_warehouse.command("SYSTEM STOP MERGES segment_memberships")
    stage(tenant_warehouse, 1, 1, "entered", 0, 400_000)

    seen = answers_seen(tenant_warehouse, lambda: apply_changes(session(tenant_warehouse, 1), {1: (400_000, 0)}))

    assert [[count for _, count, _ in answer] for answer in seen] == [[], [400_000]]
    assert parts(tenant_warehouse) == 1


def test_what_is_too_much_for_one_block_arrives_as_one_part_too(
    tenant_warehouse: TenantWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a server that is killed meanwhile has all of it or nothing."""
    monkeypatch.setattr(apply, "MOST_ROWS_IN_A_BLOCK", 10)
    one_by_one = replace_settings(session(tenant_warehouse, 1), monkeypatch)
    tenant_warehouse.command("SYSTEM STOP MERGES segment_memberships")
    stage(tenant_warehouse, 1, 1, "entered", 0, 5_000)

    apply_changes(one_by_one, {1: (5_000, 0)})

    assert parts(tenant_warehouse) == 1
    assert [count for _, count, _ in tenant_warehouse.query(_ANSWER).result_rows] == [5_000]


def replace_settings(one: ComputeSession, monkeypatch: pytest.MonkeyPatch) -> ComputeSession:
    """The session, whose inserts come in blocks of 100 rows."""
    real = ComputeSession._settings

    def small(self: ComputeSession, segment: str | None) -> dict[str, object]:
        blocks = {"max_block_size": 100, "min_insert_block_size_rows": 100, "min_insert_block_size_bytes": 0}
        return {**real(self, segment), **blocks}

    monkeypatch.setattr(ComputeSession, "_settings", small)
    return replace(one)


@pytest.mark.parametrize("rows_in_a_block", [10, 1_000_000], ids=["from a table", "one block"])
def test_applying_again_changes_nothing(
    rows_in_a_block: int, tenant_warehouse: TenantWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "MOST_ROWS_IN_A_BLOCK", rows_in_a_block)
    stage(tenant_warehouse, 1, 1, "entered", 0, 100)
    apply_changes(session(tenant_warehouse, 1), {1: (100, 0)})
    stage(tenant_warehouse, 2, 1, "exited", 0, 60)
    for _ in range(2):
        apply_changes(session(tenant_warehouse, 2), {1: (0, 60)})
    apply_changes(session(tenant_warehouse, 1), {1: (100, 0)})

    assert [count for _, count, _ in tenant_warehouse.query(_ANSWER).result_rows] == [40]


def test_the_table_of_a_computation_that_died_while_applying_is_dropped(tenant_warehouse: TenantWarehouse) -> None:
    tenant_warehouse.command("CREATE TABLE membership_staging_7_a1b2 AS segment_memberships")
    drop_staging(tenant_warehouse)
    assert tenant_warehouse.query("EXISTS TABLE membership_staging_7_a1b2").result_rows == [(0,)]
