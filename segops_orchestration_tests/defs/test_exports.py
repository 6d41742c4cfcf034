"""Materializing ``segment_exports``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute import compute
from segops_orchestration_tests.compute.conftest import NewTenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration
from segops_orchestration_tests.defs.stories import BUYERS, VIEWERS, happened
from segops_orchestration_tests.oracle.case import VIEW

ONLY_CHANGED = {"only_changed": True}


@pytest.fixture
def computed(tenant: StoryTenant) -> StoryTenant:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    happened(tenant, "ann", "bob")
    tenant.compute()
    return tenant


def directory(orchestration: Orchestration, tenant: StoryTenant) -> Path:
    return orchestration.settings.exports_dir / tenant.slug


def users(orchestration: Orchestration, tenant: StoryTenant, segment: str) -> set[str]:
    """Who is in the segment's CSV; its Parquet file must say the same."""
    lines = (directory(orchestration, tenant) / f"{segment}.csv").read_text().splitlines()
    listed = {line.split(",")[0].strip('"') for line in lines[1:]}
    table = pyarrow.parquet.read_table(directory(orchestration, tenant) / f"{segment}.parquet")
    assert set(table.column("user_id").to_pylist()) in (listed, {user.encode() for user in listed})
    return listed


def test_every_active_segment_is_written_as_csv_and_parquet(
    orchestration: Orchestration, computed: StoryTenant, catalog: Catalog
) -> None:
    computed.define({"old": BUYERS})
    computed.compute()
    catalog.archive_segment(computed.slug, "old")
    orchestration.materialize("segment_exports", computed.slug)
    names = {path.name for path in directory(orchestration, computed).iterdir() if not path.name.startswith(".")}
    assert names == {"buyers.csv", "buyers.parquet", "viewers.csv", "viewers.parquet"}
    assert users(orchestration, computed, "buyers") == {"ann", "bob"}
    assert users(orchestration, computed, "viewers") == set()


def test_the_materialization_lists_the_files(orchestration: Orchestration, computed: StoryTenant) -> None:
    orchestration.materialize("segment_exports", computed.slug)
    ((partition, metadata),) = orchestration.reported("segment_exports")
    assert partition == computed.slug
    assert (metadata["files"], metadata["files_written"], metadata["rows"]) == (4, 4, 4)
    assert metadata["bytes"] == sum(Path(path).stat().st_size for path in metadata["paths"])
    assert "| buyers | buyers.csv | 2 |" in metadata["by_file"]


def test_a_segment_that_was_never_computed_has_no_file(orchestration: Orchestration, tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    orchestration.materialize("segment_exports", tenant.slug)
    assert orchestration.reported("segment_exports")[0][1]["files"] == 0


def test_each_tenant_of_a_range_gets_its_own_files(orchestration: Orchestration, new_tenant: NewTenant) -> None:
    tenants = [new_tenant(), new_tenant()]
    for number, tenant in enumerate(tenants):
        tenant.define({"buyers": BUYERS})
        happened(tenant, f"user {number}")
        tenant.compute()
    orchestration.materialize("segment_exports", *(tenant.slug for tenant in tenants))
    assert [users(orchestration, tenant, "buyers") for tenant in tenants] == [{"user 0"}, {"user 1"}]


def written_again(orchestration: Orchestration, tenant: StoryTenant) -> list[str]:
    """The files that a run with ``only_changed`` writes."""
    folder = directory(orchestration, tenant)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    orchestration.materialize("segment_exports", tenant.slug, config=ONLY_CHANGED)
    after = {path.name: path.stat().st_ino for path in folder.iterdir() if not path.name.startswith(".")}
    written = sorted(name for name, inode in after.items() if before.get(name) != inode)
    assert orchestration.reported("segment_exports")[-1][1]["files_written"] == len(written)
    return written


def test_only_files_of_changed_segments_are_written_when_asked(
    orchestration: Orchestration, computed: StoryTenant
) -> None:
    assert len(written_again_first(orchestration, computed)) == 4
    assert written_again(orchestration, computed) == []
    computed.compute()
    assert written_again(orchestration, computed) == []
    happened(computed, "cid", event_type=VIEW)
    computed.compute()
    assert written_again(orchestration, computed) == ["viewers.csv", "viewers.parquet"]
    assert users(orchestration, computed, "viewers") == {"cid"}


def written_again_first(orchestration: Orchestration, tenant: StoryTenant) -> list[str]:
    directory(orchestration, tenant).mkdir(parents=True)
    return written_again(orchestration, tenant)


def test_files_are_written_each_time_unless_asked_otherwise(
    orchestration: Orchestration, computed: StoryTenant
) -> None:
    for _ in range(2):
        orchestration.materialize("segment_exports", computed.slug)
        assert orchestration.reported("segment_exports")[-1][1]["files_written"] == 4


@pytest.mark.parametrize("harm", ["removed", "cut short", "manifest lost", "manifest garbled"])
def test_files_that_are_not_intact_are_written_again(
    orchestration: Orchestration, computed: StoryTenant, harm: str
) -> None:
    orchestration.materialize("segment_exports", computed.slug)
    file = directory(orchestration, computed) / "buyers.csv"
    manifest = directory(orchestration, computed) / ".manifest.json"
    match harm:
        case "removed":
            file.unlink()
        case "cut short":
            file.write_bytes(file.read_bytes()[:-1])
        case "manifest lost":
            manifest.unlink()
        case "manifest garbled":
            manifest.write_text(json.dumps({"1": "nonsense"}))
    assert "buyers.csv" in written_again(orchestration, computed)
    assert users(orchestration, computed, "buyers") == {"ann", "bob"}


def test_a_change_that_a_crash_left_unapplied_is_exported_once_it_is_applied(
    orchestration: Orchestration, computed: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestration.materialize("segment_exports", computed.slug)
    happened(computed, "cid")

    def power_cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compute, "apply_changes", power_cut)
        with pytest.raises(KeyboardInterrupt):
            computed.compute()
    assert written_again(orchestration, computed) == []
    computed.compute()
    assert written_again(orchestration, computed) == ["buyers.csv", "buyers.parquet"]
    assert users(orchestration, computed, "buyers") == {"ann", "bob", "cid"}


def test_a_directory_that_cannot_be_written_is_named(orchestration: Orchestration, computed: StoryTenant) -> None:
    blocked = directory(orchestration, computed)
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way")
    result = orchestration.materialize("segment_exports", computed.slug, raise_on_error=False)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert str(blocked) in str(event.step_failure_data.user_failure_data)
    blocked.unlink()
