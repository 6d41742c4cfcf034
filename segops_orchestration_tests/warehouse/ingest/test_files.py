"""Files that cannot be ingested: one clear message, and nothing loaded from any file of the call."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from segops_orchestration.errors import NotFound, SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration.warehouse.ingest import ColumnMapping, csv_reader, ingest_file, ingest_files, write
from segops_orchestration_tests.warehouse.ingest.helpers import DAY, HEADER, count, csv_file, event, jsonl_file

GOOD = f"{HEADER}\nu1,a,{DAY}\n".encode()


def _written(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def _directory(directory: Path) -> Path:
    path = directory / "folder.csv"
    path.mkdir()
    return path


def _pipe(directory: Path) -> Path:
    path = directory / "pipe.csv"
    os.mkfifo(path)
    return path


BAD_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "no.csv", "no such file"),
    "directory": (_directory, "is a directory; name its files"),
    "pipe": (_pipe, "not a regular file"),
    "empty": (lambda d: _written(d, "a.csv", b""), "the file is empty"),
    "empty parquet": (lambda d: _written(d, "a.parquet", b""), "the file is empty"),
    "blank": (lambda d: _written(d, "a.csv", b"\n \n"), "the file holds nothing but blanks"),
    "blank jsonl": (lambda d: _written(d, "a.jsonl", b"\n\n"), "the file holds nothing but blanks"),
    "blank header": (lambda d: _written(d, "a.csv", b"\n" + GOOD), "row 1: the first line is blank"),
    "unknown extension": (lambda d: _written(d, "a.txt", GOOD), "cannot tell the format; the name must end in .csv"),
    "no extension": (lambda d: _written(d, "events", GOOD), "cannot tell the format"),
    "gz alone": (lambda d: _written(d, "a.gz", gzip.compress(GOOD)), "cannot tell the format"),
    "parquet in csv": (lambda d: _written(d, "a.csv", b"PAR1" + GOOD), "expected csv, found Parquet"),
    "csv in parquet": (lambda d: _written(d, "a.parquet", GOOD), "expected Parquet, found something else"),
    "gzip in parquet": (lambda d: _written(d, "a.parquet", gzip.compress(GOOD)), "gunzip it first"),
    "spreadsheet": (lambda d: _written(d, "a.csv", b"PK\x03\x04zip"), "found a zip archive or spreadsheet"),
    "utf-16": (lambda d: _written(d, "a.csv", GOOD.decode().encode("utf-16")), "expected csv in UTF-8, found UTF-16"),
    "not gzip": (lambda d: _written(d, "a.csv.gz", GOOD), "the name ends in .gz but the content is not gzip"),
    "gzip cut": (lambda d: _written(d, "a.csv.gz", gzip.compress(GOOD)[:-12]), "the gzip data is cut short"),
    "gzip broken": (lambda d: _written(d, "a.jsonl.gz", gzip.compress(GOOD)[:-8] + bytes(8)), "gzip data is broken"),
    "doubled column": (lambda d: _written(d, "a.csv", b"x,user_id,x\n1,2,3\n"), "the header names 'x' more than once"),
    "header not utf-8": (lambda d: _written(d, "a.csv", b"us\xe9r,b\n1,2\n"), "row 1: the header is not UTF-8"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_one_bad_file_keeps_all_files_of_the_call_out(untouched: TenantWarehouse, tmp_path: Path, kind: str) -> None:
    make, message = BAD_FILES[kind]
    good = _written(tmp_path, "good.csv", GOOD)
    bad = make(tmp_path)

    with pytest.raises(SegOpsError, match=f"^{re.escape(str(bad))}: .*{re.escape(message)}") as caught:
        ingest_files(untouched, [good, bad], ColumnMapping())

    assert "\n" not in str(caught.value)
    assert (count(untouched), count(untouched, "dead_letters")) == (0, 0)


def test_a_missing_file_is_told_with_the_nearest_name_beside_it(untouched: TenantWarehouse, tmp_path: Path) -> None:
    _written(tmp_path, "purchases.csv", GOOD)

    with pytest.raises(NotFound, match=r"purchase.csv: no such file; did you mean '.*/purchases.csv'\?"):
        ingest_file(untouched, tmp_path / "purchase.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_a_file_that_may_not_be_read_is_told(untouched: TenantWarehouse, tmp_path: Path) -> None:
    path = _written(tmp_path, "a.csv", GOOD)
    path.chmod(0)

    with pytest.raises(SegOpsError, match=r"a\.csv: Permission denied"):
        ingest_file(untouched, path)


def test_all_files_with_something_wrong_are_told_at_once(untouched: TenantWarehouse, tmp_path: Path) -> None:
    files = [tmp_path / "no.csv", _written(tmp_path, "a.csv", b"usr_id,event_type,occurred_at\n")]

    with pytest.raises(SegOpsError) as caught:
        ingest_files(untouched, files, ColumnMapping())

    first, second = str(caught.value).splitlines()
    assert "no.csv: no such file" in first
    assert "a.csv: no column 'user_id'" in second


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        (
            "userid,event_type,occurred_at",
            {},
            r"no column 'user_id' \(name the right one with --user-id\); did you mean 'userid'\?",
        ),
        (HEADER, {"user_id": "User ID"}, r"no column 'User ID'; did you mean 'user_id'\?"),
        ("a,b,c", {}, "no column 'event_type': .*the file has columns 'a', 'b', 'c'"),
        (HEADER, {"occurred_at": "ocurred_at"}, r"no column 'ocurred_at'; did you mean 'occurred_at'\?"),
        (HEADER, {"event_id": "id"}, "no column 'id'"),
        (HEADER, {"payload": "body"}, "no column 'body'"),
        (HEADER, {"drop": ("event_typ",)}, r"no column 'event_typ' to drop; did you mean 'event_type'\?"),
        (HEADER, {"drop": ("user_id",)}, "column 'user_id' is both used and dropped"),
        (HEADER, {"event_type": "x" * 257}, "event type 'x+' is longer than 256 characters"),
        (HEADER, {"event_type": "a\tb"}, "is not allowed to hold control characters"),
        (HEADER, {"event_type": " "}, "event type ' ' is empty"),
        (HEADER.replace(",", ";"), {}, "the header looks as if the delimiter were ';': say so with --delimiter ';'"),
    ],
)
def test_columns_that_do_not_fit_are_told_with_the_nearest_spelling(
    untouched: TenantWarehouse, tmp_path: Path, header: str, mapping: dict[str, str], message: str
) -> None:
    with pytest.raises(SegOpsError, match=f"events.csv: .*{message}"):
        ingest_file(untouched, csv_file(tmp_path, header=header), ColumnMapping(**mapping))  # type: ignore[arg-type]


def test_an_event_type_that_is_a_column_of_some_files_only_is_refused(
    untouched: TenantWarehouse, tmp_path: Path
) -> None:
    one = csv_file(tmp_path, f"u1,a,{DAY}", header="user_id,kind,occurred_at", name="one.csv")
    two = csv_file(tmp_path, f"u1,a,{DAY}", name="two.csv")

    with pytest.raises(SegOpsError, match=r"--event-type 'kind' is a column of .*one\.csv but not of .*two\.csv"):
        ingest_files(untouched, [one, two], ColumnMapping(event_type="kind"))

    assert count(untouched) == 0


def test_a_format_may_be_named_against_the_extension(tenant_warehouse: TenantWarehouse, tmp_path: Path) -> None:
    assert ingest_file(tenant_warehouse, _written(tmp_path, "a.txt", GOOD), format="csv").loaded == 1
    assert ingest_file(tenant_warehouse, jsonl_file(tmp_path, event(), name="b.json"), format="jsonl").loaded == 1


def test_a_row_longer_than_a_block_stops_the_file_and_says_what_was_loaded(
    tenant_warehouse: TenantWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr(write, "BATCH_ROWS", 10_000)
    rows = [f"u{place},a,{DAY},x" for place in range(100_000)]
    path = csv_file(tmp_path, *rows, f'u,a,{DAY},"{"open " * 1_000_000}', header=HEADER + ",note")

    with pytest.raises(
        SegOpsError, match="after row 100,001 or later, a row is longer than 1 MiB: most likely"
    ) as caught:
        ingest_file(tenant_warehouse, path)

    loaded = count(tenant_warehouse)
    assert loaded > 0
    assert f"{loaded:,} of its events were loaded before; ingest the file again" in str(caught.value)


def test_a_file_written_to_while_it_is_read_is_refused(untouched: TenantWarehouse, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"u1,a,{DAY}")

    def append(_: object) -> None:
        with path.open("a") as file:
            file.write(f"u2,a,{DAY}\n")

    with pytest.raises(SegOpsError, match="the file was written to while it was read"):
        ingest_file(untouched, path, progress=append)

    assert count(untouched) == 0
