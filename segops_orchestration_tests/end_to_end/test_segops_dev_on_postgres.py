"""`segops dev --postgres`: what a caller of the API asks for is computed by Dagster; all but events is in Postgres."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, inspect, text

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.postgres_url import postgres_url
from segops_orchestration.settings import Settings
from segops_orchestration_tests.api.calling import OPERATOR, Caller
from segops_orchestration_tests.end_to_end.dev_server import DevServer, dev_server, wait_until
from segops_orchestration_tests.postgres_server import PASSWORD

BUYERS = {
    "name": "Buyers",
    "definition": {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}],
    },
}


@pytest.mark.slow
@pytest.mark.postgres
def test_the_api_dagster_and_the_catalogue_work_together_on_one_database(
    tmp_path: Path, postgres_database: str
) -> None:
    home = tmp_path / "home"
    with dev_server(home, tmp_path, "--postgres", postgres_database) as server:
        program = a_program(server, postgres_database)
        program.post("ingestion/track/", {"user_id": "ada", "event_type": "order_placed"}, status=202)
        segment = program.post("segments/", BUYERS, status=201)
        path = f"segments/{segment['id']}"
        run_id = program.post(f"{path}/compute/", status=202)["run_id"]
        wait_until(lambda: program.get(f"{path}/")["member_count"] == 1, 60, "the segment is computed")
        assert [one["user_id"] for one in program.get(f"{path}/members/")["results"]] == ["ada"]
        wait_until(lambda: run_status(server, run_id) == "SUCCESS", 30, "the caller's run has ended in Dagster")

        there = server.processes()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert [one for one in there if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []

    engine = create_engine(postgres_url("here", postgres_database))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM dagster.runs WHERE run_id = :id"), {"id": run_id}) == 1
        assert connection.scalar(text("SELECT count(*) FROM public.segments")) == 1
    assert "runs" not in inspect(engine).get_table_names("public")
    engine.dispose()
    assert not (home / "catalog.db").exists()
    assert not (home / "dagster" / "history").exists()
    assert PASSWORD not in "".join(written(tmp_path))


def a_program(server: DevServer, database: str) -> Caller:
    """A program with a key of a new tenant."""
    settings = Settings.from_env({"SEGOPS_HOME": str(server.home), "SEGOPS_DATABASE_URL": database})
    with Catalog.open(settings) as catalog:
        catalog.create_tenant("acme")
        made = catalog.people.create_key("acme", "program", "secret", "member", [], OPERATOR)
    return Caller(server.api_url.rstrip("/"), {"Authorization": f"ApiKey {made.key}"})


def run_status(server: DevServer, run_id: str) -> Any:
    query = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
    return server.graphql(query, {"id": run_id})["runOrError"].get("status")


def written(place: Path) -> list[str]:
    """All that the servers said, and the files of their configuration."""
    names = ("*.log", "*.txt", "*.yaml", "*.err", "*.out")
    return [path.read_text(errors="replace") for name in names for path in place.rglob(name)]
