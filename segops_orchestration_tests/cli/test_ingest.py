"""``segops ingest`` as a person and a script meet it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop

ORDERS = "customer_id,date,total\n1,2026-01-31,11.77\n1,2026-01-31,11.77\n2,2026-02-30,5\n"
MAPPED = ("--user-id", "customer_id", "--occurred-at", "date", "--event-type", "order_placed")


@pytest.fixture
def tenant(segops: Segops, slug: str) -> str:
    """A tenant made by the command."""
    segops("tenants", "create", slug)
    return slug


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """Two good rows, equal to each other, and a bad one."""
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    return path


def events(warehouse: Warehouse, slug: str) -> list[tuple[object, ...]]:
    found = _tenant(warehouse, slug).query("SELECT user_id, event_type, payload FROM events ORDER BY event_id")
    return [tuple(row) for row in found.result_rows]


def _tenant(warehouse: Warehouse, slug: str) -> TenantWarehouse:
    return warehouse.tenant(slug)


def test_good_rows_are_loaded_bad_ones_told_and_the_exit_code_is_1(
    segops: Segops, warehouse: Warehouse, tenant: str, orders: Path
) -> None:
    answer = segops("ingest", tenant, orders, *MAPPED)

    assert answer.exit_code == 1
    assert events(warehouse, tenant) == [("1", "order_placed", '{"total":11.77}')] * 2
    assert "no such day or time" in answer.out
    assert "row 4: '2026-02-30'" in answer.out
    assert f"1 bad row, kept in segops_{tenant}.dead_letters; the good rows are loaded." in answer.err
    assert "every row is an event of type 'order_placed'" in answer.err


def test_a_file_without_fault_exits_0(segops: Segops, tenant: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"user_id":"u","event_type":"a","occurred_at":"2026-01-31"}\n')

    answer = segops("ingest", tenant, path)

    assert answer.exit_code == 0
    assert answer.err == f"Next: segops segments apply {tenant} DIR_OR_FILE\n"


def test_with_segments_the_next_step_is_to_compute(segops: Segops, shop: Shop, tmp_path: Path) -> None:
    shop.define("buyers", ORDERED)
    path = tmp_path / "events.jsonl"
    path.write_text('{"user_id":"u","event_type":"a","occurred_at":"2026-01-31"}\n')

    assert segops("ingest", shop.slug, path).err == f"Next: segops compute {shop.slug}\n"


def test_json_tells_scripts_the_same(segops: Segops, tenant: str, orders: Path) -> None:
    answer = segops("ingest", tenant, orders, *MAPPED, "--json")

    (file,) = answer.json["files"]
    assert (answer.exit_code, answer.json["tenant"], answer.err) == (1, tenant, "")
    assert {name: file[name] for name in ("file", "rows", "loaded", "already_present", "bad")} == {
        "file": str(orders),
        "rows": 3,
        "loaded": 2,
        "already_present": 0,
        "bad": 1,
    }
    assert file["event_type_constant"] == "order_placed"
    assert file["seconds"] > 0
    assert file["problems"] == [
        {
            "field": "date",
            "reason": "no such day or time",
            "count": 1,
            "examples": [{"row": 4, "value": "2026-02-30"}],
        }
    ]


def test_loading_again_adds_nothing(segops: Segops, warehouse: Warehouse, tenant: str, orders: Path) -> None:
    segops("ingest", tenant, orders, *MAPPED)

    (file,) = segops("ingest", tenant, orders, *MAPPED, "--json").json["files"]

    assert (file["loaded"], file["already_present"]) == (0, 2)
    assert len(events(warehouse, tenant)) == 2


def test_strict_loads_nothing_and_says_so(segops: Segops, warehouse: Warehouse, tenant: str, orders: Path) -> None:
    answer = segops("ingest", tenant, orders, *MAPPED, "--strict")

    assert answer.exit_code == 1
    assert f"Nothing was loaded (--strict): 1 bad row, kept in segops_{tenant}.dead_letters." in answer.err
    assert events(warehouse, tenant) == []


def test_a_dry_run_checks_and_writes_nothing(segops: Segops, warehouse: Warehouse, tenant: str, orders: Path) -> None:
    answer = segops("ingest", tenant, orders, *MAPPED, "--dry-run")

    assert answer.exit_code == 1
    assert "Nothing was written (--dry-run): 1 bad row." in answer.err
    assert events(warehouse, tenant) == []
    assert _tenant(warehouse, tenant).query("SELECT count() FROM dead_letters").result_rows == [(0,)]


def test_every_option_reaches_the_file(segops: Segops, warehouse: Warehouse, tenant: str, tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_text('who;kind;when;number;body;junk\n7;clicked;20260131;A-1;"{""a"":1}";x\n')
    options = ("--user-id=who", "--event-type=kind", "--occurred-at=when", "--event-id=number", "--payload=body")

    answer = segops(
        "ingest", tenant, path, *options, "--occurred-at-format=%Y%m%d", "--drop=junk", "--delimiter=;", "--format=csv"
    )

    assert answer.exit_code == 0
    assert events(warehouse, tenant) == [("7", "clicked", '{"a":1}')]


@pytest.mark.parametrize("spelling", ["tab", r"\t", "\t"])
def test_a_tab_may_be_spelled_out(
    segops: Segops, warehouse: Warehouse, tenant: str, tmp_path: Path, spelling: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id\tevent_type\toccurred_at\nu\ta\t2026-01-31\n")

    assert segops("ingest", tenant, path, "--delimiter", spelling).exit_code == 0
    assert len(events(warehouse, tenant)) == 1


def test_a_tenant_that_does_not_exist_is_told_before_any_file_is_read(segops: Segops, orders: Path) -> None:
    answer = segops("ingest", "nobody", orders)

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err.startswith("Error: no tenant 'nobody'")


def test_an_archived_tenant_takes_no_events(
    segops: Segops, catalog: Catalog, warehouse: Warehouse, tenant: str, orders: Path
) -> None:
    catalog.archive_tenant(tenant)

    answer = segops("ingest", tenant, orders, *MAPPED)

    assert answer.exit_code == 1
    assert answer.err == f"Error: tenant '{tenant}' is archived; segops tenants restore {tenant} takes it back\n"
    assert events(warehouse, tenant) == []


def test_columns_that_do_not_fit_are_one_message_without_a_traceback(segops: Segops, tenant: str, orders: Path) -> None:
    answer = segops("ingest", tenant, orders, "--user-id", "custmer_id", "--occurred-at", "date", "--event-type", "a")

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err == f"Error: {orders}: no column 'custmer_id'; did you mean 'customer_id'?\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--occurred-at-format", "epoch"), "time format 'epoch' is not known"),
        (("--delimiter", ";;"), "one character, or tab"),
        (("--delimiter", '"'), "one character, or tab"),
        (("--format", "xlsx"), "'xlsx' is not one of 'csv', 'jsonl', 'parquet'"),
        (("--user", "x"), "No such option"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(
    segops: Segops, tenant: str, orders: Path, options: tuple[str, ...], message: str
) -> None:
    answer = segops("ingest", tenant, orders, *options)

    assert answer.exit_code == 2
    assert message in answer.err


def test_at_least_one_file_must_be_named(segops: Segops, tenant: str) -> None:
    answer = segops("ingest", tenant)

    assert answer.exit_code == 2
    assert "Missing argument 'FILE...'" in answer.err


def test_help_teaches_with_examples(segops: Segops) -> None:
    answer = segops("ingest", "--help")

    assert answer.exit_code == 0
    assert "segops ingest acme orders.csv.gz --user-id customer_id" in answer.out


def test_an_event_type_that_looks_like_a_mistyped_column_is_refused(
    segops: Segops, warehouse: Warehouse, tenant: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,event_type,occurred_at\nu,signup,2026-01-31\n")

    refused = segops("ingest", tenant, path, "--event-type", "evnt_type")
    meant = segops("ingest", tenant, path, "--event-type", "evnt_type", "--drop", "event_type")

    assert refused.exit_code == 1
    assert "no column 'evnt_type' for --event-type; did you mean 'event_type'?" in refused.err
    assert meant.exit_code == 0
    assert events(warehouse, tenant) == [("u", "evnt_type", "{}")]
