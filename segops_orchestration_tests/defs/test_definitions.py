"""The code location as a whole: it loads, it is light, and its shape is the one agreed on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

import segops_orchestration
from segops_orchestration.definitions import defs

REPOSITORY = Path(segops_orchestration.__file__).parent.parent
SNAPSHOT = Path(__file__).parent / "snapshots" / "definitions.json"
HEAVY = ("pandas", "pyarrow", "numpy", "chdb", "clickhouse_connect", "alembic", "dagster_webserver", "dagster_postgres")


def shape() -> dict[str, Any]:
    """What people and the daemon rely on: keys, edges, partitions, policies, jobs and what launches them."""
    graph = defs.resolve_asset_graph()
    assets = {
        node.key.to_user_string(): {
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "tags": {key: value for key, value in sorted(node.tags.items()) if not key.startswith("dagster/kind")},
            "owners": list(node.owners),
            "partitions": getattr(node.partitions_def, "name", None),
            "backfills": (
                None if not node.backfill_policy else node.backfill_policy.max_partitions_per_run or "all in one run"
            ),
            "materializable": node.is_materializable,
            "upstream": {
                parent.to_user_string(): type(node.partition_mappings.get(parent)).__name__
                for parent in sorted(node.parent_keys)
            },
            "table": node.metadata.get("dagster/table_name"),
            "checks": sorted(key.name for key in node.check_keys),
        }
        for node in sorted(graph.asset_nodes, key=lambda one: one.key)
    }
    repository = defs.get_repository_def()
    jobs = {
        name: sorted(node.name for node in repository.get_job(name).nodes)
        for name in sorted(job.name for job in repository.get_all_jobs())
        if not name.startswith("__")
    }
    schedules = {one.name: [one.cron_schedule, one.job_name] for one in repository.schedule_defs}
    sensors = {one.name: [one.minimum_interval_seconds, one.job_name] for one in repository.sensor_defs}
    return {"assets": assets, "jobs": jobs, "schedules": schedules, "sensors": sensors}


def test_the_shape_of_the_code_location() -> None:
    found = json.loads(json.dumps(shape()))
    if os.environ.get("SEGOPS_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def test_a_further_platform_has_its_asset_in_the_jobs_and_its_check_without_another_line() -> None:
    program = (
        "from segops_orchestration_tests.activation.roster.platform import register; register()\n"
        "from segops_orchestration.definitions import defs\n"
        "from segops_orchestration_tests.defs.test_definitions import shape\n"
        "import json; print(json.dumps(shape()))"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found = json.loads(said.stdout.splitlines()[-1])

    assert "roster_sync" in found["jobs"]["recompute"]
    assert "roster_sync" in found["jobs"]["deliver"]
    known = json.loads(SNAPSHOT.read_text())["assets"]["braze_sync"]
    assert found["assets"]["roster_sync"] == {**known, "kinds": ["roster"]}


def test_every_asset_says_what_it_is() -> None:
    for node in defs.resolve_asset_graph().asset_nodes:
        assert node.description, node.key
        assert "dagster/table_name" in node.metadata, node.key
        assert "dagster/column_schema" in node.metadata, node.key


def test_the_spine_shares_its_partitions_and_its_backfill_policy() -> None:
    graph = defs.resolve_asset_graph()
    spine = [graph.get(dg.AssetKey(name)) for name in ("segment_memberships", "segment_exports")]
    assert len({node.partitions_def for node in spine}) == 1
    assert len({node.backfill_policy for node in spine}) == 1


def test_it_validates_where_a_newcomer_types_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    said = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate"],
        cwd=REPOSITORY,
        env={**environment, "SEGOPS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "All code locations passed validation" in said.stderr + said.stdout


def test_importing_it_is_light() -> None:
    code = f"import sys, segops_orchestration.definitions; print([name for name in {HEAVY!r} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_loading_it_warns_about_nothing() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import segops_orchestration.definitions as d; d.defs.get_repository_def()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stderr == ""


def test_the_instance_is_configured_the_same_at_the_top_and_in_the_package() -> None:
    packaged = Path(segops_orchestration.__file__).parent / "dagster.yaml"
    assert (REPOSITORY / "dagster.yaml").read_text() == packaged.read_text()
