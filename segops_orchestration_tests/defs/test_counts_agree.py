"""One number for one thing: every place that tells how many members a segment has tells the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from segops_orchestration.cli.main import main
from segops_orchestration_tests.compute.story import T0, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration
from segops_orchestration_tests.oracle.case import all_of, event_count

REGULARS = all_of(event_count("gte", 2))
MEMBERS = 7


@pytest.fixture
def segops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command of ``segops`` with --json and gives what it printed."""

    def run(*arguments: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["segops", *map(str, arguments), "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)
        return json.loads(capsys.readouterr().out)

    return run


def test_every_place_tells_the_same_count(
    segops: Any, orchestration: Orchestration, tenant: StoryTenant, tmp_path: Path
) -> None:
    slug = tenant.slug
    users = [f"user {number}" for number in range(12)]
    tenant.ingest([*ordered(*users), *ordered(*users[:MEMBERS], at=T0 - days(3))])
    tenant.define({"regulars": REGULARS})
    orchestration.materialize("segment_memberships", slug)
    orchestration.materialize("segment_exports", slug)
    preview = tmp_path / "preview.json"
    preview.write_text(json.dumps({"slug": "preview", "name": "Preview", "definition": REGULARS}))

    planned = {one["slug"]: one for one in segops("plan", slug, preview)["segments"]}
    (listed,) = segops("segments", "list", slug)
    (status,) = segops("status", slug)["segments"]
    shown = segops("segments", "show", slug, "regulars")["last_computation"]
    members = segops("members", slug, "regulars", "--all")
    as_of = segops("members", slug, "regulars", "--all", "--as-of", status["computed_at"])
    (change,) = segops("changes", slug, "regulars")["changes"]
    (exported,) = segops("export", slug, "--format", "parquet", "--to", tmp_path)["files"]
    ((_, of_segment),) = orchestration.reported("segments")
    ((_, of_tenant),) = orchestration.reported("segment_memberships")
    by_dagster = orchestration.settings.exports_dir / slug / "regulars.csv"

    counts = {
        "plan: members now": planned["regulars"]["members"],
        "plan of the same definition, as a preview": planned["preview"]["would_be"],
        "segments list": listed["members"],
        "segments show": shown["members"],
        "status": status["members"],
        "members: count": members["count"],
        "members: listed": len(members["members"]),
        "members --as-of: count": as_of["count"],
        "members --as-of: listed": len(as_of["members"]),
        "changes: members": change["members"],
        "changes: entered": change["entered"],
        "export: rows told": exported["rows"],
        "export: rows in the file": pyarrow.parquet.read_table(exported["path"]).num_rows,
        "export by Dagster: rows in the file": len(by_dagster.read_text().splitlines()) - 1,
        "UI: members of the segment": of_segment["members"],
        "UI: members of the tenant's segments": of_tenant["members"],
        "UI: partition's row count": of_segment["dagster/partition_row_count"],
    }
    assert counts == dict.fromkeys(counts, MEMBERS)
