"""Dagster's own storage for both worlds, so that one dagster.yaml serves both.

A dagster.yaml cannot choose: ``env:`` has no default, and ``storage`` takes one key. These classes choose: Postgres
when ``SEGOPS_DAGSTER_PG_URL`` is set, else SQLite under ``SEGOPS_HOME/dagster``. There are the captured output of
runs and other files too, so that history survives a ``dagster dev`` without DAGSTER_HOME.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import EventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import RunStorage
from dagster._core.storage.schedules import ScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from segops_orchestration.postgres_url import postgres_url
from segops_orchestration.settings import Settings

POSTGRES_URL = "SEGOPS_DAGSTER_PG_URL"


def _directory() -> str:
    path = Settings.from_env().dagster_home
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def _chosen_storage() -> DagsterStorage:
    url = os.environ.get(POSTGRES_URL)
    if url:
        from dagster_postgres import DagsterPostgresStorage

        return DagsterPostgresStorage(postgres_url(POSTGRES_URL, url).render_as_string(hide_password=False))
    from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

    return DagsterSqliteStorage.from_local(_directory())


class SegOpsStorage(DagsterStorage, ConfigurableClass):
    """Runs, events and schedules, in Postgres or SQLite."""

    def __init__(self, chosen: DagsterStorage, inst_data: ConfigurableClassData | None = None) -> None:
        self.chosen = chosen
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(_chosen_storage(), inst_data)

    def register_instance(self, instance: Any) -> None:
        super().register_instance(instance)
        self.chosen.register_instance(instance)

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self.chosen.event_log_storage

    @property
    def run_storage(self) -> RunStorage:
        return self.chosen.run_storage

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self.chosen.schedule_storage


class SegOpsComputeLogs(LocalComputeLogManager):
    """Captured output of runs, in files under SEGOPS_HOME/dagster/storage."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(os.path.join(_directory(), "storage"), inst_data=inst_data)


class SegOpsArtifacts(LocalArtifactStorage):
    """Other files of Dagster's, under SEGOPS_HOME/dagster."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(_directory(), inst_data=inst_data)
