"""JSON lines: fields, types, rows refused, and that the fast way and the slow way read alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_file, jsonl_reader
from segops_orchestration.warehouse.ingest.jsonl_reader import NotAnObject, members
from segops_orchestration_tests.warehouse.ingest.helpers import (
    DAY,
    column,
    count,
    event,
    jsonl_file,
    payloads,
    reasons,
    refused,
    times,
    utc,
)


def test_a_payload_object_is_kept_to_the_letter(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    line = '{"user_id":"u1","event_type":"a","occurred_at":"2026-01-31T10:00:00Z","payload":{"b" : 1.10, "a":[ ]}}'

    ingest_file(tenant_warehouse, jsonl_file(tmp_path, line))

    assert payloads(tenant_warehouse) == ['{"b" : 1.10, "a":[ ]}']
    assert times(tenant_warehouse) == [utc(2026, 1, 31, 10)]


def test_without_a_payload_all_other_fields_are_properties(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    line = (
        '{"total": 1.10, "user_id": "u1", "x": null, "event_type": "a", "occurred_at": "2026-01-31", "n": {"a": [1]}}'
    )

    ingest_file(tenant_warehouse, jsonl_file(tmp_path, line))

    assert payloads(tenant_warehouse) == ['{"total":1.10,"x":null,"n":{"a": [1]}}']


def test_lines_need_not_have_the_same_fields(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(
        tmp_path,
        event(user_id="u1", total=1),
        event(user_id="u2", payload={"total": 2}),
        event(user_id="u3"),
        event(user_id="u4", other=[1], more={"a": {}}),
        event(user_id="u5", payload=None, total=5),
        '{"user_id":"u6","event_type":"a","occurred_at":"2026-01-31","payload":null,"total":6}',
    )

    report = ingest_file(tenant_warehouse, path)

    assert report.problems == ()
    assert payloads(tenant_warehouse) == [
        '{"total":1}',
        '{"total": 2}',
        "{}",
        '{"other":[1],"more":{"a": {}}}',
        '{"total":5}',
        '{"total":6}',
    ]


def test_options_map_fields_and_a_constant_event_type(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(tmp_path, {"who": 7, "when": 1769854830, "what": "x", "id": 12, "skip": 1})
    mapping = ColumnMapping(
        user_id="who",
        occurred_at="when",
        event_type="signed up",
        event_id="id",
        occurred_at_format="epoch_seconds",
        drop=("skip",),
    )

    ingest_file(tenant_warehouse, path, mapping)

    assert column(tenant_warehouse, "(user_id, event_type)") == ["('7','signed up')"]
    assert payloads(tenant_warehouse) == ['{"what":"x"}']
    assert times(tenant_warehouse) == [utc(2026, 1, 31, 10, 20, 30)]


def test_fields_beside_a_payload_are_refused_unless_dropped(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(tmp_path, event(payload={"a": 1}, sent_at=DAY, ip="::1"))

    report = ingest_file(tenant_warehouse, path)
    assert (report.loaded, refused(report)) == (0, {("sent_at, ip", 1)})
    assert "--drop" in report.problems[0].reason

    report = ingest_file(tenant_warehouse, path, ColumnMapping(drop=("sent_at", "ip")))
    assert (report.loaded, payloads(tenant_warehouse)) == (1, ['{"a": 1}'])


def test_ids_may_be_whole_numbers_and_nothing_else_but_text(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(
        tmp_path, event(user_id=42), event(user_id=4.2), event(user_id=True), event(user_id=[1]), event(user_id="")
    )

    report = ingest_file(tenant_warehouse, path)

    assert column(tenant_warehouse, "user_id") == ["42"]
    assert refused(report) == {("user_id", row) for row in (2, 3, 4, 5)}
    assert {group.reason for group in report.problems} == {"neither text nor a whole number", "missing"}


def test_types_and_times_that_are_not_text_are_refused(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(tmp_path, event(event_type=3), event(occurred_at=True), event(occurred_at=1769854830))

    report = ingest_file(tenant_warehouse, path)

    assert refused(report) == {("event_type", 1), ("occurred_at", 2), ("occurred_at", 3)}


def test_fields_missing_or_null_are_missing(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = jsonl_file(
        tmp_path,
        event(),
        event(user_id=None),
        event(event_type=None),
        '{"user_id":"u","event_type":"a","occurred_at":null}',
    )

    report = ingest_file(tenant_warehouse, path)

    assert refused(report) == {("user_id", 2), ("event_type", 3), ("occurred_at", 4)}
    assert set(reasons(report).values()) == {"missing"}


def test_lines_that_are_no_object_are_refused_by_line_number(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    lines = ["[1]", '{"user_id":', "text", "", '{"a":1}{"a":1}', "null", '{"user_id":"a","user_id":"b"}', '{"a":NaN}']
    path = jsonl_file(tmp_path, event(), *lines, event())

    report = ingest_file(tenant_warehouse, path)

    assert (report.rows, report.loaded, report.bad) == (9, 2, 7)
    letters = tenant_warehouse.query("SELECT row_number FROM dead_letters ORDER BY row_number").result_rows
    assert [row for (row,) in letters] == [2, 3, 4, 6, 7, 8, 9]
    assert "a JSON object that names a field twice" in {group.reason for group in report.problems}


def test_bytes_that_are_not_utf8_refuse_their_line_alone(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = json.dumps(event(name="Zoë"), ensure_ascii=False).encode()
    path.write_bytes(good + b"\n" + good.replace(b"Zo", b"\xff\xfe") + b"\n" + good + b"\r\n")

    report = ingest_file(tenant_warehouse, path)

    assert (report.loaded, refused(report), reasons(report)) == (2, {("(row)", 2)}, {"(row)": "not UTF-8"})


def test_escapes_are_undone_in_ids_and_kept_in_payloads(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    line = r'{"user_id":"u\u00e9\n1","event_type":"a\/b","occurred_at":"2026\u002d01-31","na\u006de":"\u00e9"}'

    report = ingest_file(tenant_warehouse, jsonl_file(tmp_path, line.replace(r"\n", ""), line))

    assert column(tenant_warehouse, "user_id") == ["ué1"]
    assert column(tenant_warehouse, "event_type") == ["a/b"]
    assert payloads(tenant_warehouse) == [r'{"name":"\u00e9"}']
    assert reasons(report) == {"user_id": "holds control characters"}


def test_a_line_longer_than_can_be_read_is_refused_and_reading_goes_on(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl_reader, "LINE_CHARACTERS", 1000)
    monkeypatch.setattr(jsonl_reader, "_READ_BYTES", 300)
    path = jsonl_file(tmp_path, event(), event(x="y" * 5000), event())

    report = ingest_file(tenant_warehouse, path)

    assert (report.loaded, refused(report)) == (2, {("(row)", 2)})
    assert reasons(report) == {"(row)": "longer than 1,000 characters"}


def test_line_numbers_hold_across_block_borders(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl_reader, "_READ_BYTES", 256)
    lines: list[object] = [event(user_id=f"ü{number}", n=number) for number in range(1, 101)]
    for number in (1, 7, 50, 100):
        lines[number - 1] = "no"

    ingest_file(tenant_warehouse, jsonl_file(tmp_path, *lines))

    letters = tenant_warehouse.query("SELECT row_number FROM dead_letters ORDER BY row_number").result_rows
    assert [row for (row,) in letters] == [1, 7, 50, 100]
    assert count(tenant_warehouse) == 96


def test_one_json_array_is_not_json_lines(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps([event()], indent=1))

    with pytest.raises(SegOpsError, match="holds a JSON array; JSON lines has one object on each line"):
        ingest_file(tenant_warehouse, path)


def test_a_field_that_no_line_has_is_refused_with_the_nearest_spelling(
    tenant_warehouse: TenantWarehouse, tmp_path: Path
) -> None:
    path = jsonl_file(tmp_path, {"userid": "u", "event_type": "a", "occurred_at": DAY})

    with pytest.raises(SegOpsError, match=r"no column 'user_id' .*did you mean 'userid'\?"):
        ingest_file(tenant_warehouse, path)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_lines = st.dictionaries(st.text(max_size=6), _json, max_size=5)
_blanks = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\t: ")])


@settings(max_examples=300, deadline=None)
@given(_lines, _blanks, st.booleans())
def test_the_fields_of_any_line_are_found_as_they_are_written(
    line: dict[str, Any], separators: tuple[str, str], escaped: bool
) -> None:
    text = json.dumps(line, separators=separators, ensure_ascii=escaped)

    assert {name: json.loads(raw) for name, raw in members(text).items()} == line
    assert all(raw in text for raw in members(text).values())


@settings(max_examples=300, deadline=None)
@given(_lines, st.data())
def test_a_damaged_line_is_read_exactly_when_python_reads_it(line: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(line)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = (
        text[:place] + data.draw(st.sampled_from(["", "{", "}", '"', ",", ":", "1", "x", "\\"])) + text[place + 1 :]
    )

    try:
        expected = json.loads(damaged, object_pairs_hook=list)
        good = isinstance(expected, list) and text_is_object(damaged) and len({k for k, _ in expected}) == len(expected)
    except ValueError:
        good = False
    try:
        members(damaged)
        read = True
    except NotAnObject:
        read = False

    assert read == good


def text_is_object(text: str) -> bool:
    return text.lstrip().startswith("{")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_lines, _blanks), min_size=1, max_size=12), st.booleans())
def test_the_fast_way_reads_what_the_slow_way_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[dict[str, Any], tuple[str, str]]], whole: bool
) -> None:
    texts = []
    for place, (line, separators) in enumerate(lines):
        rest = {"payload": line} if whole else {name: value for name, value in line.items() if name != "payload"}
        texts.append(json.dumps(event(user_id=f"u{place}") | rest, separators=separators))
    path = jsonl_file(tmp_path_factory.mktemp("lines"), *texts)

    with pytest.MonkeyPatch.context() as patch:
        fast = _read(path)
        patch.setattr(jsonl_reader, "_SHAPES", 0)
        slow = _read(path)

    assert fast == slow


def _read(path: Path) -> list[tuple[object, ...]]:
    """All that the reader finds in a file, by row."""
    from segops_orchestration.warehouse.ingest.mapping import resolve
    from segops_orchestration.warehouse.ingest.source import inspect

    reader = jsonl_reader.JsonLinesReader(inspect(path))
    roles, faults = resolve(ColumnMapping(), reader.columns, open_ended=True)
    assert not faults
    found: list[tuple[object, ...]] = []
    for block in reader.blocks(roles, lambda _: None):
        columns = (block.user_id, block.event_type, block.occurred_at, block.payload)
        values = zip(*(each.to_pylist() for each in columns if each is not None), strict=True)
        found += [(row, *value) for row, value in zip(block.rows.tolist(), values, strict=True)]
        found += [(row, each.field, each.reason) for each in block.faults for row in each.rows.tolist()]
    return sorted(found, key=repr)
