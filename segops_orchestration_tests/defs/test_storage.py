"""Dagster's storage, chosen by the environment; dagster.yaml as `dagster dev` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy import create_engine, inspect
from sqlalchemy.schema import CreateSchema

from segops_orchestration.defs import storage
from segops_orchestration.errors import SegOpsError
from segops_orchestration.postgres_url import in_schema, postgres_url
from segops_orchestration_tests.defs.test_definitions import REPOSITORY


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SEGOPS_HOME that does not exist yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("SEGOPS_HOME", str(path))
    monkeypatch.delenv(storage.POSTGRES_URL, raising=False)
    return path


@pytest.fixture
def instance_directory(home: Path, tmp_path: Path) -> Path:
    """The throw-away directory of a `dagster dev` typed at the top."""
    throw_away = tmp_path / "throw_away"
    throw_away.mkdir()
    return throw_away


@pytest.fixture
def instance(instance_directory: Path) -> Iterator[dg.DagsterInstance]:
    """Its instance, made by the dagster.yaml beside it."""
    with dg.DagsterInstance.from_ref(
        InstanceRef.from_dir(str(instance_directory), config_dir=str(REPOSITORY))
    ) as opened:
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


@pytest.fixture
def on_postgres(postgres_database: str, instance_directory: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    """The same instance, with Postgres for its storage."""
    monkeypatch.setenv(storage.POSTGRES_URL, postgres_database)
    return InstanceRef.from_dir(str(instance_directory), config_dir=str(REPOSITORY))


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="tenants"))
def a_thing() -> None: ...


@pytest.mark.postgres
def test_on_postgres_a_run_leaves_its_events_there_and_nothing_in_the_home(
    on_postgres: InstanceRef, home: Path
) -> None:
    with dg.DagsterInstance.from_ref(on_postgres) as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        run_id = dg.materialize([a_thing], instance=instance, partition_key="acme").run_id

    with dg.DagsterInstance.from_ref(deserialize_value(serialize_value(on_postgres), InstanceRef)) as elsewhere:
        run = elsewhere.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert elsewhere.get_runs(dg.RunsFilter(tags={"dagster/partition": "acme"})) == [run]
        assert elsewhere.all_logs(run_id)[-1].dagster_event_type == dg.DagsterEventType.RUN_SUCCESS
        [record] = elsewhere.fetch_materializations(dg.AssetKey("a_thing"), limit=9).records
        assert record.partition_key == "acme"
        assert list(elsewhere.get_dynamic_partitions("tenants")) == ["acme"]
    assert not (home / "dagster" / "history").exists()


@pytest.mark.postgres
def test_on_postgres_it_can_share_a_database_with_others_in_a_schema_of_its_own(
    postgres_database: str, instance_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_url("here", postgres_database)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(CreateSchema("dagster"))
    monkeypatch.setenv(storage.POSTGRES_URL, in_schema(url, "dagster").render_as_string(hide_password=False))
    for _ in ("made", "found again"):
        with dg.DagsterInstance.from_ref(
            InstanceRef.from_dir(str(instance_directory), config_dir=str(REPOSITORY))
        ) as instance:
            instance.add_dynamic_partitions("tenants", ["acme"])
            assert dg.materialize([a_thing], instance=instance, partition_key="acme").success
    assert inspect(engine).get_table_names() == []
    assert {"runs", "event_logs", "alembic_version"} <= set(inspect(engine).get_table_names("dagster"))
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://u:a-secret@host/db", "u:a-secret@host", "postgresql://u:a-secret@host"])
def test_an_address_that_is_none_of_postgres_is_refused_without_its_password(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(storage.POSTGRES_URL, url)
    with pytest.raises(SegOpsError, match=r"SEGOPS_DAGSTER_PG_URL.* looks like postgresql://") as failure:
        storage.SegOpsStorage.from_config_value(None, {})
    assert "a-secret" not in str(failure.value)


@pytest.mark.postgres
def test_on_postgres_schedules_and_their_ticks_are_kept(on_postgres: InstanceRef) -> None:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("segops"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "nightly")
    data = ScheduleInstigatorData("0 3 * * *")
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    selector = origin.get_selector().get_id()
    tick = TickData(
        origin.get_id(),
        "nightly",
        InstigatorType.SCHEDULE,
        TickStatus.STARTED,
        datetime(2026, 3, 1, tzinfo=UTC).timestamp(),
        selector_id=selector,
    )
    with dg.DagsterInstance.from_ref(on_postgres) as instance:
        instance.add_instigator_state(state)
        instance.create_tick(tick)

    with dg.DagsterInstance.from_ref(on_postgres) as elsewhere:
        assert [one.status for one in elsewhere.all_instigator_state()] == [InstigatorStatus.RUNNING]
        assert [one.tick_data for one in elsewhere.get_ticks(origin.get_id(), selector)] == [tick]


@pytest.mark.postgres
def test_the_password_of_postgres_is_in_no_file_of_the_instance(on_postgres: InstanceRef, home: Path) -> None:
    with dg.DagsterInstance.from_ref(on_postgres) as instance:
        assert "a-password-to-look-for" not in serialize_value(instance.get_ref())
        assert "a-password-to-look-for" not in instance.info_str()


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
