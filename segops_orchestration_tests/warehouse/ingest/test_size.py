"""Files of any size in bounded memory, and an import that costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration_tests.warehouse.ingest.helpers import DAY, count

MEGABYTES_ALLOWED = 400


def _ingest_in_a_process_of_its_own(tenant: TenantWarehouse, settings: Settings, path: Path) -> dict[str, int]:
    """Rows loaded, and the process's peak resident memory in megabytes."""
    script = f"""
        import json, re
        from segops_orchestration.settings import Settings
        from segops_orchestration.warehouse.client import Warehouse
        from segops_orchestration.warehouse.ingest import ingest_file
        report = ingest_file(Warehouse.connect(Settings.from_env()).tenant({tenant.slug!r}), {str(path)!r})
        # Not getrusage: its peak includes what the parent held when it forked.
        peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
        print(json.dumps({{"loaded": report.loaded, "peak": peak}}))
    """
    environment = os.environ | {"SEGOPS_HOME": str(settings.home)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(answer.stdout)
    return found


def _csv(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.write("user_id,event_type,occurred_at,total,item,currency\n")
        for place in range(rows):
            day = f"2026-{place % 12 + 1:02}-{place % 28 + 1:02}T10:{place % 60:02}:00.{place % 1000:03}Z"
            file.write(f"user-{place % 50_000},page_viewed,{day},{place % 500}.50,item-{place % 7777},EUR\n")


def _jsonl(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for place in range(rows):
            payload = f'{{"total":{place % 500}.50,"item":"item-{place % 7777}"}}'
            head = f'{{"user_id":"user-{place % 50_000}","event_type":"page_viewed","occurred_at":"{DAY}"'
            file.write(f'{head},"payload":{payload}}}\n')


def _parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    _csv(path.with_suffix(".csv"), rows)
    table = pacsv.read_csv(path.with_suffix(".csv"))
    table = table.set_column(2, "occurred_at", table.column("occurred_at").cast(pa.timestamp("us", "UTC")))
    pq.write_table(table, path, row_group_size=rows)


WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


@pytest.mark.parametrize("kind", WRITERS)
def test_memory_stays_bounded(tenant_warehouse: TenantWarehouse, settings: Settings, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"events.{kind}"
    WRITERS[kind](path, 400_000)

    found = _ingest_in_a_process_of_its_own(tenant_warehouse, settings, path)

    assert found["loaded"] == count(tenant_warehouse) == 400_000
    assert found["peak"] < MEGABYTES_ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_memory_does_not_grow_with_the_file(
    tenant_warehouse: TenantWarehouse, settings: Settings, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"events.{kind}"
    WRITERS[kind](path, 6_000_000)

    found = _ingest_in_a_process_of_its_own(tenant_warehouse, settings, path)

    assert found["loaded"] == 6_000_000
    assert found["peak"] < MEGABYTES_ALLOWED


def test_payloads_of_the_largest_size_stay_within_the_same_memory(
    tenant_warehouse: TenantWarehouse, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    text = "x" * 200_000
    with path.open("w") as file:
        for place in range(1_000):
            file.write(f'{{"user_id":"u{place}","event_type":"a","occurred_at":"{DAY}","text":"{text}"}}\n')

    found = _ingest_in_a_process_of_its_own(tenant_warehouse, settings, path)

    assert found["loaded"] == 1_000
    assert found["peak"] < MEGABYTES_ALLOWED


def test_importing_the_package_imports_no_arrow() -> None:
    script = (
        "import sys; import segops_orchestration.warehouse.ingest, segops_orchestration.cli.ingest;"
        "print([m for m in ('pyarrow', 'numpy', 'pandas', 'chdb', 'clickhouse_connect') if m in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"
