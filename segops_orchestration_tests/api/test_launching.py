"""How computations are handed to Dagster, against a webserver that answers as it is told."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.runs import runs as runs_module
from segops_orchestration.api.runs.queue import NO_DAEMON, DagsterQueue
from segops_orchestration.api.runs.runs import Runs
from segops_orchestration.catalog.records import Segment
from segops_orchestration.catalog.service_records import ComputeRequest
from segops_orchestration_tests.api.calling import OPERATOR, Tenant
from segops_orchestration_tests.api.segment_shop import made, spent


@dataclass
class Dagster:
    """A webserver: ``runs`` are those launched, ``statuses`` what it says of them."""

    url: str = ""
    launches: bool = True
    delay: float = 0.0
    runs: list[Any] = field(default_factory=list)
    partitions: list[Any] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)

    def answer(self, query: str, variables: Any) -> Any:
        """The data of an answer."""
        if "repositoriesOrError" in query:
            node = {"name": "__repository__", "location": {"name": "here"}, "jobs": [{"name": "recompute"}]}
            return {"repositoriesOrError": {"nodes": [node]}}
        if "addDynamicPartition" in query:
            self.partitions.append(variables)
            return {"addDynamicPartition": {"__typename": "DuplicateDynamicPartitionError"}}
        if "launchRun" in query:
            return {"launchRun": self._launch(variables["params"])}
        results = [{"runId": one, "status": self.statuses[one]} for one in variables["ids"] if one in self.statuses]
        return {"runsOrError": {"results": results}}

    def _launch(self, params: Any) -> Any:
        time.sleep(self.delay)
        if not self.launches:
            return {"__typename": "RunConfigValidationInvalid"}
        self.runs.append(params)
        run_id = secrets.token_hex(8)
        self.statuses[run_id] = "QUEUED"
        return {"__typename": "LaunchRunSuccess", "run": {"runId": run_id}}


@pytest.fixture
def dagster() -> Iterator[Dagster]:
    fake = Dagster()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"data": fake.answer(asked["query"], asked["variables"])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def segment(tenant: Tenant) -> Segment:
    return tenant.api.catalog.get_segment(tenant.slug, made(tenant, spent(1))["id"])


def runs_of(tenant: Tenant, url: str | None) -> Runs:
    """The service's runs, by a webserver at this address."""
    return Runs(replace(tenant.api.services.settings, dagster_url=url), tenant.api.catalog.service.computations)


def request_of(tenant: Tenant, run_id: str) -> ComputeRequest:
    """The request of a run."""
    found = tenant.api.catalog.service.computations.get(run_id)
    assert found is not None
    return found


def test_a_run_has_the_tenants_partition_one_segment_and_dagsters_id(
    tenant: Tenant, segment: Segment, dagster: Dagster
) -> None:
    run_id = runs_of(tenant, dagster.url).begin(tenant.slug, segment, "full", OPERATOR)
    assert run_id in dagster.statuses
    (params,) = dagster.runs
    assert params["selector"] == {
        "repositoryLocationName": "here",
        "repositoryName": "__repository__",
        "jobName": "recompute",
    }
    memberships = params["runConfigData"]["ops"]["segment_memberships"]["config"]
    assert memberships == {"mode": "full", "segments": [segment.slug]}
    assert {"key": "dagster/partition", "value": tenant.slug} in params["executionMetadata"]["tags"]
    assert dagster.partitions[0]["key"] == tenant.slug
    assert (request_of(tenant, run_id).status, request_of(tenant, run_id).launcher) == ("queued", "graphql")


def test_two_at_once_are_told_the_same_run(tenant: Tenant, segment: Segment, dagster: Dagster) -> None:
    dagster.delay = 0.5
    runs = runs_of(tenant, dagster.url)

    def ask(_: int) -> str:
        try:
            return runs.begin(tenant.slug, segment, "delta", OPERATOR)
        except ApiError as error:
            return str(error.extra["run_id"])

    with ThreadPoolExecutor(3) as workers:
        told = set(workers.map(ask, range(3)))
    assert len(dagster.runs) == 1
    assert told == set(dagster.statuses)


@pytest.mark.parametrize(
    ("said", "status"),
    [("STARTED", "running"), ("SUCCESS", "succeeded"), ("FAILURE", "failed"), ("CANCELED", "failed"), (None, "failed")],
)
def test_what_dagster_says_of_a_run_is_what_callers_see(
    tenant: Tenant,
    segment: Segment,
    dagster: Dagster,
    monkeypatch: pytest.MonkeyPatch,
    said: str | None,
    status: str,
) -> None:
    monkeypatch.setattr(runs_module, "SILENT_FOR", timedelta(seconds=-1))
    runs = runs_of(tenant, dagster.url)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    dagster.statuses.pop(run_id)
    if said is not None:
        dagster.statuses[run_id] = said
    runs.look()
    request = request_of(tenant, run_id)
    assert request.status == status
    assert bool(request.error) == (status == "failed")


def test_a_run_that_dagster_does_not_know_yet_may_be_on_its_way(
    tenant: Tenant, segment: Segment, dagster: Dagster
) -> None:
    runs = runs_of(tenant, dagster.url)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    dagster.statuses.clear()
    runs.look()
    assert request_of(tenant, run_id).status == "queued"


@pytest.mark.parametrize("refuses", [True, False])
def test_a_dagster_that_refuses_or_is_away_is_503_and_leaves_nothing_under_way(
    tenant: Tenant, segment: Segment, dagster: Dagster, refuses: bool
) -> None:
    dagster.launches = False
    away = runs_of(tenant, dagster.url if refuses else "http://127.0.0.1:9")
    with pytest.raises(ApiError) as refused:
        away.begin(tenant.slug, segment, "delta", OPERATOR)
    assert refused.value.status == 503
    assert "Retry-After" in refused.value.headers
    dagster.launches = True
    assert runs_of(tenant, dagster.url).begin(tenant.slug, segment, "delta", OPERATOR) in dagster.statuses


def test_a_queue_without_a_daemon_leaves_the_work_to_a_worker(
    tenant: Tenant, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def call(queue: DagsterQueue, *arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        return NO_DAEMON, ""

    monkeypatch.setenv("DAGSTER_HOME", "/nowhere")
    monkeypatch.setattr(DagsterQueue, "_call", call)
    runs = runs_of(tenant, None)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    deadline = time.monotonic() + 60
    while request_of(tenant, run_id).status in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (request_of(tenant, run_id).status, request_of(tenant, run_id).launcher) == ("succeeded", "worker")
    assert calls == [(tenant.slug, "--mode", "delta", "--segment", segment.slug, "--queue", "--run-id", run_id)]
    runs.close()


def test_a_run_in_the_queue_ends_as_dagster_says(
    tenant: Tenant, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"status": "QUEUED"}
    put = threading.Event()

    def call(queue: DagsterQueue, *arguments: str) -> tuple[int, str]:
        if arguments[0] == "--status":
            return 0, json.dumps({one: said["status"] for one in arguments[1:]})
        put.set()
        return 0, ""

    monkeypatch.setenv("DAGSTER_HOME", "/nowhere")
    monkeypatch.setattr(DagsterQueue, "_call", call)
    runs = runs_of(tenant, None)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    assert put.wait(10)
    time.sleep(0.1)
    runs.look()
    assert request_of(tenant, run_id).status == "queued"
    said["status"] = "FAILURE"
    runs.look()
    assert request_of(tenant, run_id).status == "failed"
    runs.close()


def test_what_a_dagster_has_that_is_not_there_any_more_ends_in_the_end(
    tenant: Tenant, segment: Segment, dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs_of(tenant, dagster.url).begin(tenant.slug, segment, "delta", OPERATOR)
    without = runs_of(tenant, None)
    without.look(queue=False)
    assert request_of(tenant, run_id).status == "queued"
    monkeypatch.setattr(runs_module, "UNREACHABLE_FOR", timedelta(seconds=-1))
    without.look(queue=False)
    assert request_of(tenant, run_id).status == "failed"


def test_what_dagster_answers_for_waits_as_long_as_it_takes(
    tenant: Tenant, segment: Segment, dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tenant, dagster.url)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    monkeypatch.setattr(runs_module, "UNREACHABLE_FOR", timedelta(seconds=1))
    time.sleep(1.1)
    runs.look(queue=False)
    assert request_of(tenant, run_id).status == "queued"


def test_a_dagster_that_cannot_say_how_runs_stand_ends_none(
    tenant: Tenant, segment: Segment, dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "SILENT_FOR", timedelta(seconds=-1))
    runs = runs_of(tenant, dagster.url)
    run_id = runs.begin(tenant.slug, segment, "delta", OPERATOR)
    monkeypatch.setattr(dagster, "answer", lambda query, variables: {"runsOrError": {"__typename": "PythonError"}})
    runs.look(queue=False)
    assert request_of(tenant, run_id).status == "queued"


def test_the_keeper_goes_on_after_what_nobody_foresaw(
    tenant: Tenant, segment: Segment, dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "_LOOK_SECONDS", 0.01)
    looks = []

    def look(*, queue: bool = True) -> None:
        looks.append(queue)
        raise KeyError("results")

    runs = runs_of(tenant, dagster.url)
    monkeypatch.setattr(runs, "look", look)
    runs.start()
    deadline = time.monotonic() + 10
    while len(looks) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    runs.close()
    assert len(looks) >= 2
