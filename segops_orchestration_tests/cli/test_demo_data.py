"""The bundled purchases: whole, moved to end today, and loaded to the cent."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from segops_orchestration.cli import demo_data
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_files

TODAY = date(2026, 11, 24)


def test_the_bundle_holds_the_whole_sample() -> None:
    purchases = list(demo_data.load_purchases(demo_data.LAST_DAY))

    assert len(purchases) == demo_data.PURCHASES == 69_659
    assert len({each.customer_id for each in purchases}) == demo_data.CUSTOMERS == 23_570
    assert sum(Decimal(each.total) for each in purchases) == Decimal("2500315.63")
    assert (min(each.day for each in purchases), max(each.day for each in purchases)) == (
        date(1997, 1, 1),
        date(1998, 6, 30),
    )
    assert sum(times - 1 for times in Counter(purchases).values()) == 255


def test_all_dates_are_moved_by_one_number_of_days_so_that_the_last_is_today() -> None:
    moved = demo_data.load_purchases(TODAY)
    shifts = {new.day - old.day for new, old in zip(moved, demo_data.load_purchases(demo_data.LAST_DAY), strict=True)}

    assert shifts == {TODAY - demo_data.LAST_DAY}


def test_the_files_are_slices_in_time_and_one_row_a_customer(tmp_path: Path) -> None:
    written = demo_data.write_demo_files(tmp_path, TODAY)

    history = list(csv.DictReader(written.history.open()))
    latest = list(csv.DictReader(written.latest.open()))
    customers = list(csv.DictReader(written.customers.open()))
    assert (len(history), len(latest), len(customers)) == (67_616, 2_043, 23_570)
    assert history[-1]["date"] == written.cut.isoformat() == (TODAY - timedelta(days=30)).isoformat()
    assert (latest[0]["date"], latest[-1]["date"]) == ("2026-10-26", "2026-11-24")
    assert [row["date"] for row in history] == sorted(row["date"] for row in history)
    assert customers[0] == {
        "customer_id": "00001",
        "date": "2025-05-28",
        # The month in which the customer came, in the source: the same on whatever day the demo runs.
        "cohort": "1997-01",
        "first_order_total": "11.77",
    }
    assert max(row["date"] for row in customers) <= written.cut.isoformat()


def test_the_same_day_gives_the_same_files(tmp_path: Path) -> None:
    one = demo_data.write_demo_files(tmp_path / "one", TODAY)
    two = demo_data.write_demo_files(tmp_path / "two", TODAY)

    for name in ("history", "latest", "customers"):
        assert getattr(one, name).read_bytes() == getattr(two, name).read_bytes()


def test_the_bundle_is_small_and_states_its_source() -> None:
    folder = Path(demo_data.__file__).parent

    assert (folder / "purchases.csv.gz").stat().st_size < 400 * 1024
    assert "Terms" in (folder / "SOURCE.md").read_text()


def test_the_slices_loaded_are_the_sample_to_the_cent(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    written = demo_data.write_demo_files(tmp_path)
    orders = ColumnMapping(user_id="customer_id", occurred_at="date", event_type="order_placed")
    people = ColumnMapping(user_id="customer_id", occurred_at="date", event_type="context_identified")

    reports = ingest_files(tenant_warehouse, [written.history, written.latest], orders)
    reports += ingest_files(tenant_warehouse, [written.customers], people)

    assert [each.bad for each in reports] == [0, 0, 0]
    assert tenant_warehouse.query(
        """
        SELECT count(), uniqExact(user_id), toString(sum(toDecimal64(JSONExtractRaw(payload, 'total'), 2)))
        FROM events WHERE event_type = 'order_placed'
        """
    ).result_rows == [(69_659, 23_570, "2500315.63")]
    assert tenant_warehouse.query("SELECT count(), max(identified_at) <= now() FROM user_properties").result_rows == [
        (23_570, 1)
    ]
    properties = "SELECT properties FROM user_properties WHERE user_id = '00001'"
    assert tenant_warehouse.query(properties).result_rows[0][0].endswith('"first_order_total":11.77}')
