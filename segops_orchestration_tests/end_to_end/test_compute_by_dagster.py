"""A caller of the API asks for a computation, and Dagster does it: by the webserver, and by the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.runs import runs as runs_module
from segops_orchestration.api.runs.runs import Runs
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.dsl.segment_file import parse_segment_document
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.api.calling import Caller
from segops_orchestration_tests.api.segment_shop import spent
from segops_orchestration_tests.end_to_end.dev_server import DevServer, dev_server, wait_until

pytestmark = pytest.mark.slow

_OPERATOR = Actor("operator", "tests")
_SECONDS = 180.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asked") / "home"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[DevServer]:
    with dev_server(home, home.parent) as running:
        yield running


@pytest.fixture(scope="module")
def installation(server: DevServer) -> Iterator[tuple[Settings, Catalog]]:
    """The same stores, with a tenant whose sensor is not waited for: its segments are computed when asked for."""
    settings = Settings.from_env({"SEGOPS_HOME": str(server.home)})
    with Catalog.open(settings) as catalog:
        catalog.create_tenant("acme")
        warehouse = Warehouse.connect(settings)
        database = warehouse.tenant("acme")
        database.migrate()
        at = datetime.now(UTC) - timedelta(hours=1)
        rows = [(user, "order_placed", at, f'{{"order_total": {total}}}') for user, total in [("a", 5), ("b", 50)]]
        database.insert("events", rows, ["user_id", "event_type", "occurred_at", "payload"])
        yield settings, catalog
        warehouse.close()


def _saved(catalog: Catalog, slug: str) -> int:
    document = parse_segment_document({"slug": slug, "name": slug, "definition": spent(10)})
    return catalog.save_segments("acme", [document])[0].segment.id


def _run(server: DevServer, run_id: str) -> dict[str, Any]:
    query = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status jobName tags { key value } } } }"
    found: dict[str, Any] = server.graphql(query, {"id": run_id})["runOrError"]
    return found


def test_the_webserver_launches_the_run_and_its_end_is_seen_by_the_caller(
    server: DevServer, installation: tuple[Settings, Catalog]
) -> None:
    _, catalog = installation
    key = catalog.people.create_key("acme", "tests", "secret", "member", [], _OPERATOR).key
    caller = Caller(server.api_url.rstrip("/"), {"Authorization": f"ApiKey {key}"})
    segment_id = _saved(catalog, "by-webserver")
    path = f"segments/{segment_id}"
    run_id = caller.post(f"{path}/compute/", {"mode": "full"}, status=202)["run_id"]
    refused = caller.send("POST", f"{path}/compute/")
    if refused.status_code == 409:
        assert refused.json()["run_id"] == run_id

    def ended() -> Any:
        (found,) = caller.get(f"{path}/computations/?run_id={run_id}")["results"]
        return found if found["status"] in ("succeeded", "failed") else None

    computation = wait_until(ended, _SECONDS, "the computation has ended")
    assert (computation["status"], computation["members"]) == ("succeeded", 1)
    run = _run(server, run_id)
    assert run["jobName"] == "recompute"
    assert {"key": "dagster/partition", "value": "acme"} in run["tags"]
    assert caller.get(f"{path}/")["member_count"] == 1


@contextmanager
def _runs(settings: Settings, catalog: Catalog) -> Iterator[Runs]:
    runs = Runs(settings, catalog.service.computations)
    try:
        yield runs
    finally:
        runs.close()


def test_without_a_webserver_the_daemon_takes_the_run_from_the_queue(
    server: DevServer, installation: tuple[Settings, Catalog]
) -> None:
    settings, catalog = installation
    segment = catalog.get_segment("acme", _saved(catalog, "by-queue"))
    with _runs(settings, catalog) as runs:
        run_id = runs.begin("acme", segment, "delta", _OPERATOR)
        with suppress(ApiError):
            runs.begin("acme", segment, "delta", _OPERATOR)
            raise AssertionError("a second computation was begun")

        def ended() -> Any:
            runs.look()
            request = catalog.service.computations.get(run_id)
            assert request is not None
            return request if request.status in ("succeeded", "failed") else None

        request = wait_until(ended, _SECONDS, "the computation has ended")
    assert (request.status, request.launcher, request.error) == ("succeeded", "queue", None)
    assert _run(server, run_id)["jobName"] == "recompute"
    assert catalog.committed_state("acme")[segment.id].members == 1


def test_a_run_that_dagster_does_not_know_has_failed(
    server: DevServer, installation: tuple[Settings, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "SILENT_FOR", timedelta(seconds=-1))
    settings, catalog = installation
    segment_id = _saved(catalog, "forgotten")
    catalog.service.computations.begin("acme", segment_id, "00000000-0000-0000-0000-000000000000", "queue", _OPERATOR)
    with _runs(settings, catalog) as runs:
        runs.look()
    request = catalog.service.computations.get("00000000-0000-0000-0000-000000000000")
    assert request is not None
    assert request.status == "failed"


def test_without_a_daemon_a_worker_process_computes(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("")
    with Catalog.open(settings) as catalog, _runs(settings, catalog) as runs:
        catalog.create_tenant("no_daemon")
        document = parse_segment_document({"slug": "vip", "name": "vip", "definition": spent(10)})
        segment = catalog.save_segments("no_daemon", [document])[0].segment
        run_id = runs.begin("no_daemon", segment, "delta", _OPERATOR)

        def ended() -> Any:
            request = catalog.service.computations.get(run_id)
            return request if request and request.status in ("succeeded", "failed") else None

        request = wait_until(ended, _SECONDS, "the computation has ended")
        assert (request.status, request.launcher) == ("succeeded", "worker")
    warehouse.tenant("no_daemon").drop()
