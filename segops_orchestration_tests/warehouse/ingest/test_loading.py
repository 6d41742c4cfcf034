"""How events get in: bad rows beside good ones, strict loads, repeated and interrupted loads, batches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import (
    ColumnMapping,
    Progress,
    check_files,
    csv_reader,
    ingest_file,
    ingest_files,
    write,
)
from segops_orchestration_tests.warehouse.ingest.helpers import (
    DAY,
    HEADER,
    column,
    count,
    csv_file,
    event,
    jsonl_file,
    payloads,
    reasons,
    refused,
)


def letters(tenant: TenantWarehouse) -> list[tuple[object, ...]]:
    """Dead letters without when and where from."""
    rows = tenant.query("SELECT row_number, field, value, reason FROM dead_letters ORDER BY row_number, field")
    return [tuple(row) for row in rows.result_rows]


def small_batches(patch: pytest.MonkeyPatch, rows: int = 10) -> None:
    """INSERTs of about so many events, from blocks of a few rows."""
    patch.setattr(write, "BATCH_ROWS", rows)
    patch.setattr(csv_reader, "BLOCK_BYTES", 128)


def test_good_rows_are_loaded_and_bad_ones_kept_with_their_reason(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}", "u2,a,2026-02-30", f",a,{DAY}", f"u4,,{DAY}", "short", f"u5,a,{DAY}")

    report = ingest_file(tenant_warehouse, path)

    assert (report.rows, report.loaded, report.already_present, report.bad) == (6, 2, 0, 4)
    assert column(tenant_warehouse, "user_id") == ["u1", "u5"]
    assert letters(tenant_warehouse) == [
        (3, "occurred_at", "2026-02-30", "no such day or time"),
        (4, "user_id", "", "missing"),
        (5, "event_type", "", "missing"),
        (6, "(row)", "short", "has 1 field, the header 3"),
    ]


def test_a_row_with_several_faults_is_one_bad_row_and_tells_them_all(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    report = ingest_file(tenant_warehouse, csv_file(tmp_path, ",,never"))

    assert (report.bad, refused(report)) == (1, {("user_id", 2), ("event_type", 2), ("occurred_at", 2)})
    assert len(letters(tenant_warehouse)) == 3


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (f"{'é' * 513},a,{DAY}", "user_id", "longer than 512 characters"),
        (f"u\x00,a,{DAY}", "user_id", "holds control characters"),
        (f"   ,a,{DAY}", "user_id", "blank"),
        (f"u,{'é' * 257},{DAY}", "event_type", "longer than 256 characters"),
        (f"u,a\x7fb,{DAY}", "event_type", "holds control characters"),
        (f'u,"a\nb",{DAY}', "event_type", "holds control characters"),
    ],
)
def test_ids_and_types_keep_to_their_limits(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, row: str, field: str, reason: str
) -> None:
    report = ingest_file(tenant_warehouse, csv_file(tmp_path, row, f"{'é' * 512},{'é' * 256},{DAY}"))

    assert report.loaded == 1
    assert reasons(report) == {field: reason}


def test_the_report_groups_reasons_most_frequent_first_with_the_first_rows(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f",a,{DAY}", *["u,a,never " + "x" * 100] * 5)

    most, least = ingest_file(tenant_warehouse, path).problems

    assert (most.field, most.count, [each.row for each in most.examples]) == ("occurred_at", 5, [3, 4, 5])
    assert most.examples[0].value == "never " + "x" * 53 + "…"
    assert (least.field, least.count, [each.row for each in least.examples]) == ("user_id", 1, [2])


def test_dead_letters_name_the_file_and_its_content_and_cut_long_values(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    ingest_file(tenant_warehouse, csv_file(tmp_path, "u,a," + "x" * 5000, name="bad ones.csv"))

    ((source, size),) = tenant_warehouse.query("SELECT source, length(value) FROM dead_letters").result_rows
    name, content = source.split("#")
    assert (name, len(content), size) == ("bad ones.csv", 32, 1000)


def test_dead_letters_of_a_file_loaded_again_are_not_doubled(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_batches(monkeypatch)
    path = csv_file(tmp_path, *[f"u,a,{DAY if place % 3 else 'never'}" for place in range(100)])

    first = ingest_file(tenant_warehouse, path)
    monkeypatch.undo()
    again = ingest_file(tenant_warehouse, path)

    assert (first.bad, again.bad) == (34, 34)
    assert len(letters(tenant_warehouse)) == 34


def test_strict_loads_nothing_of_any_file_when_a_row_is_bad(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    good = csv_file(tmp_path, f"u1,a,{DAY}", name="good.csv")
    bad = csv_file(tmp_path, f"u2,a,{DAY}", "u3,a,never", name="bad.csv")

    reports = ingest_files(tenant_warehouse, [good, bad], ColumnMapping(), strict=True)

    assert [(each.rows, each.loaded, each.bad) for each in reports] == [(1, 0, 0), (2, 0, 1)]
    assert count(tenant_warehouse) == 0
    assert [row for row, *_ in letters(tenant_warehouse)] == [3]


def test_strict_loads_everything_when_no_row_is_bad(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    files = [csv_file(tmp_path, f"u{n},a,{DAY}", name=f"{n}.csv") for n in range(3)]

    reports = ingest_files(tenant_warehouse, files, ColumnMapping(), strict=True)

    assert [(each.rows, each.loaded, each.bad) for each in reports] == [(1, 1, 0)] * 3
    assert column(tenant_warehouse, "user_id") == ["u0", "u1", "u2"]


def test_checking_alone_writes_nothing(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    (report,) = check_files([csv_file(tmp_path, f"u1,a,{DAY}", "u2,a,never")], ColumnMapping())

    assert (report.rows, report.loaded, report.bad, refused(report)) == (2, 0, 1, {("occurred_at", 3)})
    assert (count(tenant_warehouse), count(tenant_warehouse, "dead_letters")) == (0, 0)


def test_a_file_loaded_again_writes_nothing_and_says_so(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_batches(monkeypatch)
    path = csv_file(tmp_path, *[f"u{place % 7},a,2026-01-{place % 28 + 1:02}" for place in range(95)], "u,a,never")

    ingest_file(tenant_warehouse, path)
    arrivals = count(tenant_warehouse, "arrivals")
    again = ingest_file(tenant_warehouse, path)

    assert (again.loaded, again.already_present, again.bad) == (0, 95, 1)
    assert (count(tenant_warehouse), count(tenant_warehouse, "arrivals")) == (95, arrivals)


@pytest.mark.parametrize("extra", ["", ",event_id"])
def test_a_load_that_broke_off_is_completed_by_the_next(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    small_batches(monkeypatch)
    rows = [f"u{place % 7},a,2026-01-{place % 28 + 1:02}" + (f",id-{place}" if extra else "") for place in range(95)]
    path = csv_file(tmp_path, *rows, header=HEADER + extra)
    stop = WarehouseError("the server went away")

    with monkeypatch.context() as patch:
        insert, calls = write.insert_batches, []

        def failing(*arguments: object) -> int:
            calls.append(arguments)
            if len(calls) == 4:
                raise stop
            return insert(*arguments)  # type: ignore[arg-type]

        patch.setattr(write, "insert_batches", failing)
        with pytest.raises(WarehouseError, match=r"events.csv: the server went away; (\d+) of its events were loaded"):
            ingest_file(tenant_warehouse, path)
    before = count(tenant_warehouse)
    report = ingest_file(tenant_warehouse, path)

    assert 0 < before < 95
    assert (report.loaded, report.already_present) == (95 - before, before)
    assert count(tenant_warehouse) == 95


def test_a_batch_of_which_only_some_events_arrived_is_completed(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, *[f"u{place:02},a,2026-{place % 12 + 1:02}-01" for place in range(60)])
    ingest_file(tenant_warehouse, path)
    # A partition is written at a time, so a crash can leave some months of a batch and not others.
    tenant_warehouse.command("ALTER TABLE events DROP PARTITION 202606")
    tenant_warehouse.command("ALTER TABLE events DROP PARTITION 202607")

    report = ingest_file(tenant_warehouse, path)

    assert (report.loaded, report.already_present) == (10, 50)
    assert count(tenant_warehouse) == 60


def test_events_with_ids_of_their_own_are_recognised_in_another_file(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    rows = [f"u{place},a,{DAY},id-{place}" for place in range(10)]
    ingest_file(tenant_warehouse, csv_file(tmp_path, *rows[:6], header=HEADER + ",event_id", name="monday.csv"))

    report = ingest_file(tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",event_id", name="tuesday.csv"))

    assert (report.loaded, report.already_present) == (4, 6)


def test_a_redelivery_that_is_written_all_the_same_changes_nothing(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_LOOKED_THROUGH", 0)
    path = csv_file(tmp_path, f"u1,a,{DAY}", f"u2,a,{DAY}")

    ingest_file(tenant_warehouse, path)
    ingest_file(tenant_warehouse, path)

    assert count(tenant_warehouse) == 4
    distinct = tenant_warehouse.query("SELECT uniqExact(event_id) FROM events").result_rows
    tenant_warehouse.command("OPTIMIZE TABLE events FINAL")
    assert (distinct, count(tenant_warehouse)) == ([(2,)], 2)


def test_two_loads_of_one_file_at_once_give_each_event_once(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_batches(monkeypatch)
    path = csv_file(tmp_path, *[f"u{place % 7},a,{DAY}" for place in range(95)], "u,a,never")

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: ingest_file(tenant_warehouse, path), range(2)))

    assert all(each.loaded + each.already_present == 95 for each in reports)
    assert tenant_warehouse.query("SELECT uniqExact(event_id) FROM events").result_rows == [(95,)]


def test_history_of_any_number_of_months_goes_in(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    rows = [f"u,a,{1970 + month // 12}-{month % 12 + 1:02}-01" for month in range(12 * 56)]

    assert ingest_file(tenant_warehouse, csv_file(tmp_path, *rows)).loaded == 672


def test_progress_tells_steps_rows_and_shares(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 128)
    path = csv_file(tmp_path, *[f"u{place},a,{DAY}" for place in range(50)])
    told: list[Progress] = []

    ingest_files(tenant_warehouse, [path], ColumnMapping(), strict=True, progress=told.append)

    assert [*dict.fromkeys(each.step for each in told)] == ["reading", "checking", "loading"]
    assert all(0 < each.done <= each.total == path.stat().st_size for each in told)
    assert told[-1].rows == 50


def test_many_files_are_loaded_in_order_and_reported_one_by_one(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    one = csv_file(tmp_path, f"u1,a,{DAY}", "u,a,never")
    two = jsonl_file(tmp_path, event(user_id="u2", n=1))

    reports = ingest_files(tenant_warehouse, [one, two], ColumnMapping())

    assert [(each.file, each.rows, each.loaded, each.bad) for each in reports] == [
        (str(one), 2, 1, 1),
        (str(two), 1, 1, 0),
    ]
    assert payloads(tenant_warehouse) == ["{}", '{"n":1}']


def test_an_error_in_a_later_file_names_the_files_that_went_in(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    one = csv_file(tmp_path, f"u1,a,{DAY}", name="one.csv")
    two = csv_file(tmp_path, f"u2,a,{DAY}", name="two.csv")

    def spoil(progress: Progress) -> None:
        if progress.file == str(one) and progress.step == "loading":
            two.write_text("changed")

    with pytest.raises(SegOpsError, match=r"two.csv: .*none of its events were loaded \(.*one.csv went in whole\)"):
        ingest_files(tenant_warehouse, [one, two], ColumnMapping(), progress=spoil)

    assert column(tenant_warehouse, "user_id") == ["u1"]


def test_a_process_killed_while_loading_leaves_whole_events_and_the_next_load_completes_them(
    tenant_warehouse: TenantWarehouse, settings: Settings, tmp_path: Path
) -> None:
    path = csv_file(
        tmp_path,
        *[f"u{place % 100},a,2026-01-{place % 28 + 1:02},{place}" for place in range(50_000)],
        header=HEADER + ",n",
    )
    script = f"""
        from segops_orchestration.settings import Settings
        from segops_orchestration.warehouse.client import Warehouse
        from segops_orchestration.warehouse.ingest import ingest_file, write
        write.BATCH_ROWS = 500
        from segops_orchestration.warehouse.ingest import csv_reader
        csv_reader.BLOCK_BYTES = 8192
        ingest_file(Warehouse.connect(Settings.from_env()).tenant({tenant_warehouse.slug!r}), {str(path)!r})
    """
    environment = os.environ | {"SEGOPS_HOME": str(settings.home)}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment)
    while count(tenant_warehouse) < 2_000 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    before = count(tenant_warehouse)
    report = ingest_file(tenant_warehouse, path)

    assert 2_000 <= before < 50_000
    assert report.loaded + report.already_present == 50_000
    assert tenant_warehouse.query(
        "SELECT uniqExact(event_id), sum(DISTINCT JSONExtractUInt(payload, 'n')) FROM events"
    ).result_rows == [(50_000, 50_000 * 49_999 // 2)]
