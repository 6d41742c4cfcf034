from __future__ import annotations

import os
from pathlib import Path

import pandas
import pytest

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Shop


@pytest.fixture
def computed(segops: Segops, shop: Shop) -> Shop:
    """Ann and Bob are buyers, Ann is a VIP."""
    shop.define("buyers", ORDERED)
    shop.define("vip", BIG)
    shop.orders("ann", total=600)
    shop.orders("bob")
    segops("compute", shop.slug)
    return shop


def test_all_segments_are_written_as_csv(segops: Segops, computed: Shop, tmp_path: Path) -> None:
    to = tmp_path / "exports"

    answer = segops("export", computed.slug, "--to", to)

    assert (answer.exit_code, answer.err) == (0, "")
    assert sorted(os.listdir(to)) == ["buyers.csv", "vip.csv"]
    assert list(pandas.read_csv(to / "buyers.csv")["user_id"]) == ["ann", "bob"]
    assert [line.split()[:3] for line in answer.out.splitlines()[1:]] == [["buyers", "csv", "2"], ["vip", "csv", "1"]]


def test_formats_can_be_repeated(segops: Segops, computed: Shop, tmp_path: Path) -> None:
    answer = segops(
        "export", computed.slug, "vip", "--format", "csv", "--format", "parquet", "--to", tmp_path, "--json"
    )

    csv, parquet = answer.json["files"]
    assert csv == {
        "segment_id": computed.catalog.get_segment(computed.slug, "vip").id,
        "slug": "vip",
        "status": "active",
        "format": "csv",
        "path": str(tmp_path / "vip.csv"),
        "rows": 1,
        "bytes": (tmp_path / "vip.csv").stat().st_size,
    }
    assert (parquet["path"], parquet["rows"]) == (str(tmp_path / "vip.parquet"), 1)
    assert list(pandas.read_parquet(tmp_path / "vip.parquet")["user_id"]) == ["ann"]


def test_what_was_never_computed_is_left_out_or_refused_by_name(segops: Segops, computed: Shop, tmp_path: Path) -> None:
    computed.define("new", ORDERED)

    everything = segops("export", computed.slug, "--to", tmp_path / "all")
    named = segops("export", computed.slug, "vip", "new", "--to", tmp_path / "named")

    assert everything.exit_code == 0
    assert everything.err == "Never computed, so left out: new.\n"
    assert sorted(os.listdir(tmp_path / "all")) == ["buyers.csv", "vip.csv"]
    assert named.exit_code == 1
    assert named.err == (
        "Error: segment 'new' was never computed, so it has no members to export; "
        f"first: segops compute {computed.slug} new\n"
    )
    assert not (tmp_path / "named").exists()


def test_what_is_archived_is_left_out_and_by_name_exported_with_a_word(
    segops: Segops, computed: Shop, tmp_path: Path
) -> None:
    computed.catalog.archive_segment(computed.slug, "vip")

    everything = segops("export", computed.slug, "--to", tmp_path / "all")
    named = segops("export", computed.slug, "vip", "--to", tmp_path / "named", "--json")

    assert (everything.err, sorted(os.listdir(tmp_path / "all"))) == ("", ["buyers.csv"])
    assert named.err.startswith("Segment vip is archived: its members are those of its last computation, 20")
    assert [(one["slug"], one["status"], one["rows"]) for one in named.json["files"]] == [("vip", "archived", 1)]


def test_nothing_to_export_tells_the_next_step(segops: Segops, shop: Shop, tmp_path: Path) -> None:
    answer = segops("export", shop.slug, "--to", tmp_path)

    assert answer.exit_code == 0
    assert f"Next: segops compute {shop.slug}" in answer.out
    assert segops("export", shop.slug, "--to", tmp_path, "--json").json == {"tenant": shop.slug, "files": []}


def test_wrong_use_is_refused(segops: Segops, computed: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert segops("export", computed.slug).exit_code == 2
    assert segops("export", computed.slug, "--format", "xlsx", "--to", tmp_path).exit_code == 2
    assert segops("export", computed.slug, "--to", tmp_path / "file").exit_code == 2
    below_a_file = segops("export", computed.slug, "--to", tmp_path / "file" / "below")
    assert (below_a_file.exit_code, below_a_file.out) == (1, "")
    assert below_a_file.err == f"Error: {tmp_path}/file/below/buyers.csv: cannot be written: Not a directory\n"
