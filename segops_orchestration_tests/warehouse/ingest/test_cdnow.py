"""The CDNOW sample, from its original form: every row, every customer, every cent."""

from __future__ import annotations

from pathlib import Path

import pytest

from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file
from segops_orchestration_tests.warehouse.ingest.helpers import count

ORIGINAL = Path(__file__).parents[4] / "shared" / "data" / "cdnow_master.txt"
MAPPING = ColumnMapping(
    user_id="customer_id", occurred_at="date", event_type="order_placed", occurred_at_format="%Y%m%d"
)


@pytest.mark.shared_data
@pytest.mark.skipif(not ORIGINAL.exists(), reason="../shared/data is not there")
def test_the_original_comes_out_of_clickhouse_exactly(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "cdnow.csv"
    lines = [",".join(line.split()) for line in ORIGINAL.read_text().splitlines() if line.strip()]
    path.write_text("\n".join(lines) + "\n")

    report = ingest_file(tenant_warehouse, path, MAPPING)

    assert (report.rows, report.loaded, report.bad) == (69_659, 69_659, 0)
    tenant_warehouse.command("OPTIMIZE TABLE events FINAL")
    assert tenant_warehouse.query(
        """
        SELECT
            count(),
            uniqExact(user_id),
            toString(sum(toDecimal64(JSONExtractRaw(payload, 'dollar_value'), 2))),
            toString(toDate(min(occurred_at))),
            toString(toDate(max(occurred_at)))
        FROM events
        """
    ).result_rows == [(69_659, 23_570, "2500315.63", "1997-01-01", "1998-06-30")]
    # Rows equal to an earlier one are purchases of their own.
    distinct = "SELECT count() - uniqExact(user_id, occurred_at, payload) FROM events"
    assert tenant_warehouse.query(distinct).result_rows == [(255,)]

    assert ingest_file(tenant_warehouse, path, MAPPING).already_present == 69_659
    assert count(tenant_warehouse) == 69_659
