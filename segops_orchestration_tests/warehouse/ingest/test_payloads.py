"""A payload given as JSON: what is taken, and what is refused: no object, or nothing that ClickHouse could read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file
from segops_orchestration_tests.warehouse.ingest.helpers import (
    DAY,
    HEADER,
    column,
    csv_file,
    event,
    jsonl_file,
    payloads,
    reasons,
    refused,
)


def payload_file(directory: Path, *documents: str, name: str = "events.csv") -> Path:
    """A CSV file whose payload column holds these texts."""
    rows = [f'u{place:03},a,{DAY},"' + text.replace('"', '""') + '"' for place, text in enumerate(documents)]
    return csv_file(directory, *rows, header=HEADER + ",payload", name=name)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"total":1.10,"n":12345678901234567890123}',
        ' {"a": [1, {"b": null}], "c": "x\\ny"} ',
        '{"a":\n1}',
        '{"é": "\\u00e9 \\ud83c\\udf89 🎉"}',
        '{"big": ' + "9" * 400 + "}",
        '{"deep": ' + "[" * 250 + "]" * 250 + "}",
        '{"text": "1e999 [[[[ \\\\ud800"}',
    ],
)
def test_a_json_object_is_kept_to_the_letter_and_clickhouse_can_read_it(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, text: str
) -> None:
    report = ingest_file(tenant_warehouse, payload_file(tmp_path, text))

    assert report.problems == ()
    assert payloads(tenant_warehouse) == [text]
    assert column(tenant_warehouse, "isValidJSON(payload)") == ["1"]


def test_an_empty_payload_is_an_object_without_properties(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    ingest_file(tenant_warehouse, payload_file(tmp_path, ""))

    assert payloads(tenant_warehouse) == ["{}"]


NO_OBJECT = ["[1]", "1", '"x"', "null", "true", "{", "{]", '{"a":1', '{"a":1}}', '{"a":1} {}', "{'a':1}", '{"a":01}']
NO_OBJECT += [
    '{"a":1,}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":-Infinity}',
    '{"a":"\x01"}',
    "{a:1}",
    '{"a":"\\x"}',
    "text",
]


def test_what_is_not_a_json_object_is_refused(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    report = ingest_file(tenant_warehouse, payload_file(tmp_path, *NO_OBJECT, '{"good":1}'))

    assert reasons(report) == {"payload": "not a JSON object"}
    assert (report.loaded, report.bad) == (1, len(NO_OBJECT))
    values = tenant_warehouse.query("SELECT value FROM dead_letters ORDER BY row_number").result_rows
    assert [value for (value,) in values] == NO_OBJECT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1e999,"b":1}', "holds a number beyond what a double can hold"),
        ('{"a":' + "9" * 400 + '.5,"b":1}', "holds a number beyond what a double can hold"),
        ('{"a":"\\ud800","b":1}', "holds half a surrogate pair, which is no character"),
        ('{"a":"\\udc00\\ud800","b":1}', "holds half a surrogate pair, which is no character"),
        ('{"a":' + "[" * 257 + "]" * 257 + "}", "nested deeper than 256 levels"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 256 levels"),
        ('{"a":"' + "x" * (256 * 1024) + '"}', "longer than 256 KiB"),
    ],
)
def test_json_that_clickhouse_could_not_read_is_refused(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, text: str, reason: str
) -> None:
    report = ingest_file(tenant_warehouse, payload_file(tmp_path, text, '{"good":1}'))

    assert (report.loaded, refused(report)) == (1, {("payload", 2)})
    assert reasons(report) == {"payload": reason}


def test_properties_put_together_from_columns_keep_to_the_same_size(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},{'x' * 200_000},{'y' * 100_000}", header=HEADER + ",x,y")

    assert reasons(ingest_file(tenant_warehouse, path)) == {"payload": "longer than 256 KiB"}


def test_columns_beside_a_payload_must_be_dropped_or_used(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY},{{}},7", header=HEADER + ",payload,country")

    with pytest.raises(SegOpsError, match=r"events.csv: column 'country' beside the payload column 'payload'.*--drop"):
        ingest_file(tenant_warehouse, path)

    ingest_file(tenant_warehouse, path, ColumnMapping(drop=("payload",)))
    assert payloads(tenant_warehouse) == ['{"country":7}']


def test_any_column_may_be_the_payload(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f'u1,a,{DAY},"{{""a"":1}}"', header=HEADER + ",body")

    ingest_file(tenant_warehouse, path, ColumnMapping(payload="body"))

    assert payloads(tenant_warehouse) == ['{"a":1}']


def test_json_lines_payloads_meet_the_same_rules(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(
        tmp_path,
        event(user_id="u1", payload={"ok": 1}),
        '{"user_id":"u2","event_type":"a","occurred_at":"2026-01-31","payload":{"a":1e999}}',
        event(user_id="u3", payload=[1]),
        event(user_id="u4", payload=json.dumps({"in": "text"})),
        event(user_id="u5", payload="no json"),
        event(user_id="u6", payload=3),
    )

    report = ingest_file(tenant_warehouse, path)

    assert refused(report) == {("payload", 2), ("payload", 3), ("payload", 5), ("payload", 6)}
    assert payloads(tenant_warehouse) == ['{"ok": 1}', '{"in": "text"}']
