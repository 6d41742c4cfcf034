"""Runs that died with their server, and runs of long ago."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from segops_orchestration.definitions import defs
from segops_orchestration.defs import in_flight, jobs
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.connecting import CONNECTOR, connected
from segops_orchestration_tests.defs.orchestration import Orchestration
from segops_orchestration_tests.defs.stories import BUYERS, happened
from segops_orchestration_tests.defs.test_sensor import a_run

STARTED = dg.DagsterRunStatus.STARTED


def launched_by(path: Path) -> dict[str, str]:
    return {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": str(path)})}


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run counts as long launched the moment it is."""
    monkeypatch.setattr(in_flight, "_LAUNCH_GRACE", timedelta(seconds=-1))


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


@pytest.mark.usefixtures("no_grace")
def test_a_run_whose_server_is_gone_is_marked_failed(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    never_there = a_run(instance, STARTED, launched_by(tmp_path / "never"))
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(left))
    abandoned = a_run(instance, STARTED, launched_by(left))
    in_flight.fail_orphans(instance)
    assert status(instance, never_there) is status(instance, abandoned) is dg.DagsterRunStatus.FAILURE


@pytest.mark.usefixtures("no_grace")
def test_a_run_whose_server_lives_goes_on(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    path = tmp_path / "server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        run = a_run(instance, STARTED, launched_by(path))
        in_flight.fail_orphans(instance)
    assert status(instance, run) is STARTED


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize("tags", [{}, {".dagster/grpc_info": "garbled"}, {".dagster/grpc_info": '{"port": 4000}'}])
def test_a_run_of_another_launcher_is_left_to_it(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    run = a_run(instance, STARTED, tags)
    in_flight.fail_orphans(instance)
    assert status(instance, run) is STARTED


def test_a_run_just_launched_is_given_time(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = a_run(instance, STARTED, launched_by(tmp_path / "never"))
    in_flight.fail_orphans(instance)
    assert status(instance, run) is STARTED


@pytest.mark.usefixtures("no_grace")
def test_an_orphan_does_not_keep_its_tenant_waiting(
    orchestration: Orchestration, tenant: StoryTenant, tmp_path: Path
) -> None:
    tenant.define({"buyers": BUYERS})
    happened(tenant, "ann")
    tags = {"dagster/partition": f"{tenant.slug}/buyers", **launched_by(tmp_path / "never")}
    a_run(orchestration.instance, STARTED, tags)
    orchestration.tick()
    assert orchestration.tick().skipped == "waiting: 1 of 1 tenants (1 for time to pass since a failure)"


def purge(instance: dg.DagsterInstance, **config: Any) -> None:
    run_config = {"ops": {"delete_old_runs": {"config": config}}}
    assert defs.resolve_job_def("purge_old_runs").execute_in_process(instance=instance, run_config=run_config).success


def test_only_runs_of_long_ago_that_have_ended_are_deleted(
    orchestration: Orchestration, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = orchestration.instance
    old = [a_run(instance, dg.DagsterRunStatus.SUCCESS, {}) for _ in range(2)]
    old_but_running = a_run(instance, STARTED, {})
    purge(instance)
    assert len(instance.get_runs()) == 4, "nothing was old enough"

    class MuchLater(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=31)

    monkeypatch.setattr(jobs, "datetime", MuchLater)
    purge(instance, limit=1)
    assert instance.get_run_by_id(old[0].run_id) is None, "the oldest first"
    assert instance.get_run_by_id(old[1].run_id) is not None
    purge(instance)
    assert instance.get_run_by_id(old[1].run_id) is None
    assert instance.get_run_by_id(old_but_running.run_id) is not None


def test_the_sync_log_is_cut_with_them(orchestration: Orchestration, tenant: StoryTenant) -> None:
    with connected(tenant, "ann") as shop:
        log = tenant.catalog.connectors
        for _ in range(2):
            sync = log.begin_sync(shop.slug, CONNECTOR, "sync")
            log.finish_sync(sync.id, "succeeded")

        purge(orchestration.instance)
        assert len(shop.syncs()) == 2, "nothing was old enough"
        log.forget_syncs(datetime.now(UTC) + timedelta(seconds=1))
        assert [one.id for one in shop.syncs()] == [sync.id]
