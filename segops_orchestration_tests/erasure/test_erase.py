"""A person is erased: nothing of them is left anywhere, platforms included, and a certificate says what there was."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path

import pyarrow.parquet
import pytest

from segops_orchestration.activation.erasing import ACTIVATION_TABLES
from segops_orchestration.compute import lookup
from segops_orchestration.compute.compute import compute
from segops_orchestration.erasure.erase import begin
from segops_orchestration.erasure.requests import certificates, pending
from segops_orchestration.errors import NotFound
from segops_orchestration.exports.export import FORMATS, export_segment
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.shop import Shop
from segops_orchestration_tests.erasure.erasing import catalogue_with, erase, order, run, tables_with

_numbers = count(1)


@pytest.fixture
def ann() -> str:
    """Somebody of this test alone: shops share a tenant."""
    return f"ann.{next(_numbers)}@example.com"


@pytest.fixture
def delivered(shop: Shop, ann: str) -> Shop:
    """Ann and others, who order, have said something about themselves, and are in the roster."""
    order(shop, [ann, "ben", "cleo"])
    order(shop, [ann, "ben"], "context_identified")
    run(shop)
    assert shop.people() >= {ann, "ben", "cleo"}
    return shop


def test_nothing_is_left_of_whom_was_erased(
    delivered: Shop, ann: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "TABLE_FROM_ROWS", 1)
    order(delivered, ["dan"])
    run(delivered)
    letters = ("source", "row_number", "field", "value", "reason")
    delivered.database.insert(
        "dead_letters", [("f.csv", 1, "x", f"{ann};?", "no"), ("f.csv", 2, "x", "b", "no")], letters
    )
    held = {
        "events",
        "users",
        "arrivals",
        "segment_memberships",
        "membership_changes",
        "activation_state",
        lookup.TABLE,
    }
    assert tables_with(delivered.database, ann) > held | {"dead_letters", "identifications", "activation_changes"}

    certificate = erase(delivered, ann, tmp_path)

    assert certificate.finished_at is not None
    assert certificate.waiting == []
    assert {table: certificate.rows[table] for table in ("events", "identifications", "dead_letters")} == {
        "events": 2,
        "identifications": 1,
        "dead_letters": 1,
    }
    assert held < set(certificate.rows)
    assert tables_with(delivered.database, ann) == set()
    assert catalogue_with(delivered.catalog, ann) == set()
    assert ann not in delivered.people()
    assert tables_with(delivered.database, "ben") >= held - {lookup.TABLE}


def test_the_certificate_is_kept_and_names_nobody(delivered: Shop, ann: str, tmp_path: Path) -> None:
    certificate = erase(delivered, ann, tmp_path)
    kept = next(one for one in certificates(delivered.database) if one.id == certificate.id)
    assert kept == certificate
    assert pending(delivered.database) == []


def test_the_platform_is_told_and_its_answer_noted(delivered: Shop, ann: str, tmp_path: Path) -> None:
    certificate = erase(delivered, ann, tmp_path)
    assert ("remove", ann) in delivered.told()
    assert (delivered.slug, "removed") in {(one.connector, one.answer) for one in certificate.connectors}


def test_who_was_never_sent_is_not_told_to_the_platform(shop: Shop, ann: str, tmp_path: Path) -> None:
    order(shop, [ann])
    compute(shop.catalog, shop.warehouse, shop.tenant)
    (answer,) = [one.answer for one in erase(shop, ann, tmp_path).connectors if one.connector == shop.slug]
    assert (answer, shop.told()) == ("never sent", [])


def test_a_platform_that_does_not_answer_is_waited_for(delivered: Shop, ann: str, tmp_path: Path) -> None:
    delivered.sandbox.misbehave("closed")
    first = erase(delivered, ann, tmp_path)
    assert first.finished_at is None
    assert tables_with(delivered.database, ann) <= {"erasing", *ACTIVATION_TABLES}

    delivered.sandbox.behave()
    second = erase(delivered, ann, tmp_path)

    assert second.id == first.id
    assert second.finished_at is not None
    assert second.rows == first.rows
    assert ann not in delivered.people()
    assert tables_with(delivered.database, ann) == set()


def test_who_does_not_want_to_wait_leaves_the_user_there(delivered: Shop, ann: str, tmp_path: Path) -> None:
    delivered.sandbox.misbehave("closed")
    certificate = erase(delivered, ann, tmp_path, leave_at=[delivered.slug])
    assert certificate.finished_at is not None
    (left,) = [one for one in certificate.connectors if one.connector == delivered.slug]
    assert (left.answer, bool(left.why)) == ("left", True)
    assert tables_with(delivered.database, ann) == set()


def test_what_a_platform_said_of_the_user_is_not_kept(delivered: Shop, ann: str, tmp_path: Path) -> None:
    delivered.sandbox.misbehave("reject", users=[ann], reason=f"{ann} is blocked here")
    certificate = erase(delivered, ann, tmp_path, leave_at=[delivered.slug])
    (left,) = [one for one in certificate.connectors if one.connector == delivered.slug]
    assert (left.answer, "is blocked here" in left.why) == ("left", True)
    assert tables_with(delivered.database, ann) == set()


def test_what_was_said_of_a_sync_that_failed_names_the_user_no_more(delivered: Shop, ann: str, tmp_path: Path) -> None:
    row = {"connector_id": 7, "sync_id": next(_numbers), "status": "failed", "error": f"no such member: {ann}"}
    delivered.database.insert_bytes("activation_runs", [json.dumps(row).encode()], "JSONEachRow", tuple(row))
    erase(delivered, ann, tmp_path)
    assert tables_with(delivered.database, ann) == set()
    errors = delivered.rows(f"SELECT error FROM activation_runs WHERE connector_id = 7 AND sync_id = {row['sync_id']}")
    assert errors == [("(erased)",)]


def test_a_paused_connector_and_a_held_difference_do_not_keep_anybody(
    new_shop: NewShop, ann: str, tmp_path: Path
) -> None:
    shop = new_shop()
    shop.open()
    users = [ann, *(f"user {number}" for number in range(20))]
    order(shop, users)
    run(shop)
    shop.catalog.connectors.pause(shop.tenant, shop.slug)
    assert erase(shop, ann, tmp_path).finished_at is not None
    assert ann not in shop.people()
    assert set(users) - {ann} <= shop.people()


def test_a_delta_after_it_equals_a_full_computation(delivered: Shop, ann: str, tmp_path: Path) -> None:
    erase(delivered, ann, tmp_path)
    order(delivered, ["dan"])
    delta = compute(delivered.catalog, delivered.warehouse, delivered.tenant)
    full = compute(delivered.catalog, delivered.warehouse, delivered.tenant, mode="full")
    assert {one.mode for one in delta.segments} == {"delta"}
    assert [(one.entered, one.exited) for one in full.segments] == [(0, 0)] * len(full.segments)
    assert [one.members for one in delta.segments] == [one.members for one in full.segments]


def test_an_event_that_comes_later_is_that_of_somebody_new(delivered: Shop, ann: str, tmp_path: Path) -> None:
    erase(delivered, ann, tmp_path)
    order(delivered, [ann])
    run(delivered)
    assert ann in delivered.people()
    assert delivered.rows(f"SELECT count() FROM events FINAL WHERE user_id = '{ann}'") == [(1,)]


def test_exported_files_are_written_anew_or_deleted(delivered: Shop, ann: str, tmp_path: Path) -> None:
    segment = delivered.catalog.get_segment(delivered.tenant, delivered.segment).id
    for name in (delivered.segment, "gone"):
        for fmt in FORMATS:
            export_segment(delivered.database, segment, name, fmt=fmt, directory=tmp_path)
    (tmp_path / "others.csv").write_text('"user_id","computed_at"\n"ben","2026-01-01T00:00:00.000Z"\n')

    files = erase(delivered, ann, tmp_path).files

    assert {(Path(one.path).name, one.what) for one in files} == {
        *((f"{delivered.segment}.{fmt}", "rewritten") for fmt in FORMATS),
        *((f"gone.{fmt}", "deleted") for fmt in FORMATS),
    }
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == {
        *(f"{delivered.segment}.{fmt}" for fmt in FORMATS),
        "others.csv",
    }
    assert ann not in (tmp_path / f"{delivered.segment}.csv").read_text()
    users = pyarrow.parquet.read_table(tmp_path / f"{delivered.segment}.parquet").column("user_id").to_pylist()
    assert {"ben", "cleo"} <= set(users)
    assert ann not in users


def test_nothing_is_erased_of_a_misspelt_user(delivered: Shop, ann: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"did you mean '{re.escape(ann)}'"):
        begin(delivered.database, f"{ann}m", "the test")
    assert pending(delivered.database) == []
    assert erase(delivered, f"{ann}m", tmp_path, force=True).rows == {}
