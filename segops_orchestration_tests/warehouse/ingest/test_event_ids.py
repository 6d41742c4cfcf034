"""Which event is which: ids given, ids named, ids derived from the file."""

from __future__ import annotations

import gzip
import uuid
from pathlib import Path

from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file
from segops_orchestration.warehouse.ingest.identity import NAMESPACE
from segops_orchestration_tests.warehouse.ingest.helpers import DAY, HEADER, column, count, csv_file, reasons, refused

ID = "0b7e3b1c-93a5-4c55-8a3c-2f0b8a6f9f11"


def ids(tenant: TenantWarehouse) -> list[uuid.UUID]:
    return [uuid.UUID(text) for text in column(tenant, "event_id")]


def test_a_uuid_is_kept_however_it_is_spelled(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    rows = (f"u1,a,{DAY},{ID}", f"u2,a,{DAY},{ID.upper()}", f"u3,a,{DAY},{ID.replace('-', '')}")

    ingest_file(tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",event_id"))

    assert column(tenant_warehouse, "event_id") == [ID] * 3


def test_any_other_text_becomes_its_version_5_uuid(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    names = ["order-1001", "1001", "größe", ID[:-1] + "g"]
    rows = [f"u{place},a,{DAY},{name}" for place, name in enumerate(names)]

    ingest_file(
        tenant_warehouse, csv_file(tmp_path, *rows, header=HEADER + ",number"), ColumnMapping(event_id="number")
    )

    assert ids(tenant_warehouse) == [uuid.uuid5(NAMESPACE, name) for name in names]


def test_an_id_of_more_than_256_characters_is_refused(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},{'é' * 256}", f"u2,a,{DAY},{'é' * 257}", header=HEADER + ",event_id")

    report = ingest_file(tenant_warehouse, path)

    assert refused(report) == {("event_id", 3)}
    assert reasons(report)["event_id"] == "longer than 256 characters"


def test_a_row_without_an_id_among_rows_with_ids_gets_a_derived_one(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},{ID}", f"u2,a,{DAY},", header=HEADER + ",event_id")

    ingest_file(tenant_warehouse, path)

    given, derived = ids(tenant_warehouse)
    assert str(given) == ID
    assert derived.version == 8


def test_equal_rows_are_different_events_in_the_order_of_the_file(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, *[f"u1,a,{DAY},1.10"] * 300, header=HEADER + ",total")

    ingest_file(tenant_warehouse, path)

    rows = tenant_warehouse.query(
        "SELECT toUInt64(reinterpretAsUInt64(reverse(substring(UUIDToNum(event_id), 12, 5)))) AS row"
        " FROM events ORDER BY event_id"
    ).result_rows
    assert [row for (row,) in rows] == list(range(2, 302))


def test_derived_ids_are_version_8_uuids(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    ingest_file(tenant_warehouse, csv_file(tmp_path, f"u1,a,{DAY}"))

    (found,) = ids(tenant_warehouse)
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


def test_the_same_content_is_the_same_file_under_any_name_and_compressed(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}", f"u1,a,{DAY}")
    renamed = tmp_path / "other.csv"
    renamed.write_bytes(path.read_bytes())
    packed = tmp_path / "events.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    reports = [ingest_file(tenant_warehouse, each) for each in (path, path, renamed, packed)]

    assert [(each.loaded, each.already_present) for each in reports] == [(2, 0), (0, 2), (0, 2), (0, 2)]
    assert count(tenant_warehouse) == 2


def test_other_content_gives_other_events(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    ingest_file(tenant_warehouse, csv_file(tmp_path, f"u1,a,{DAY}"))
    ingest_file(tenant_warehouse, csv_file(tmp_path, f"u1,a,{DAY}", f"u1,a,{DAY}"))

    assert len(set(ids(tenant_warehouse))) == 3


def test_the_same_file_read_as_another_event_type_gives_other_events(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,{DAY}", header="user_id,occurred_at")

    for event_type in ("opened", "clicked", "clicked"):
        ingest_file(tenant_warehouse, path, ColumnMapping(event_type=event_type))

    assert sorted(column(tenant_warehouse, "event_type")) == ["clicked", "opened"]
    assert len(set(ids(tenant_warehouse))) == 2


def test_the_same_file_with_a_column_dropped_is_still_the_same_events(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},1,2", header=HEADER + ",x,y")

    ingest_file(tenant_warehouse, path)
    report = ingest_file(tenant_warehouse, path, ColumnMapping(drop=("x",)))

    assert (report.loaded, report.already_present) == (0, 1)
