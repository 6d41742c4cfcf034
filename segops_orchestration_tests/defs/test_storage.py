"""Dagster's storage, chosen by the environment; dagster.yaml as `dagster dev` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import deserialize_value, serialize_value

from segops_orchestration.defs import storage
from segops_orchestration_tests.defs.test_definitions import REPOSITORY


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SEGOPS_HOME that does not exist yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("SEGOPS_HOME", str(path))
    monkeypatch.delenv(storage.POSTGRES_URL, raising=False)
    return path


@pytest.fixture
def instance(home: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a `dagster dev` typed at the top: a throw-away directory, and the dagster.yaml beside it."""
    throw_away = tmp_path / "throw_away"
    throw_away.mkdir()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(throw_away), config_dir=str(REPOSITORY))) as opened:
        yield opened


def test_history_is_kept_under_segops_home(instance: dg.DagsterInstance, home: Path, tmp_path: Path) -> None:
    instance.add_dynamic_partitions("tenants", ["acme"])
    assert (home / "dagster" / "history").is_dir()
    assert list((tmp_path / "throw_away").iterdir()) == []
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), config_dir=str(REPOSITORY))) as later:
        assert list(later.get_dynamic_partitions("tenants")) == ["acme"]


def test_captured_output_and_other_files_are_too(instance: dg.DagsterInstance, home: Path) -> None:
    assert isinstance(instance.compute_log_manager, storage.SegOpsComputeLogs)
    path = instance.compute_log_manager.get_captured_local_path(["run", "step"], "out")
    assert Path(path).is_relative_to(home / "dagster" / "storage")
    assert Path(instance.storage_directory()).is_relative_to(home / "dagster")


def test_a_run_process_finds_the_same_storage_through_the_instances_reference(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("tenants", ["acme"])
    with dg.DagsterInstance.from_ref(deserialize_value(serialize_value(instance.get_ref()), InstanceRef)) as elsewhere:
        assert list(elsewhere.get_dynamic_partitions("tenants")) == ["acme"]


def test_a_run_leaves_its_events_there(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def thing() -> None: ...

    run_id = dg.materialize([thing], instance=instance).run_id
    with dg.DagsterInstance.from_ref(instance.get_ref()) as elsewhere:
        assert elsewhere.get_run_by_id(run_id) is not None
        assert elsewhere.fetch_materializations(dg.AssetKey("thing"), limit=1).records


def test_postgres_is_chosen_by_its_url(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("dagster_postgres.DagsterPostgresStorage", asked.append)
    monkeypatch.setenv(storage.POSTGRES_URL, "postgresql://dagster@db/dagster")
    assert storage.SegOpsStorage.from_config_value(None, {}).chosen is None
    assert asked == ["postgresql://dagster@db/dagster"]


def test_sqlite_is_chosen_without_one(home: Path) -> None:
    assert isinstance(storage.SegOpsStorage.from_config_value(None, {}).chosen, DagsterSqliteStorage)


def test_the_queue_runs_one_run_at_a_time_for_a_partition(instance: dg.DagsterInstance) -> None:
    config = instance.get_concurrency_config().run_queue_config
    assert config is not None
    assert config.max_concurrent_runs == 4
    assert {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1} in list(
        config.tag_concurrency_limits
    )
    assert not instance.telemetry_enabled
    assert instance.run_monitoring_max_runtime_seconds > 0
