from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, member_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A segment that refers to another one."""
    path = tmp_path / "gold.yaml"
    definition = {"logic": "AND", "conditions": [BIG, member_of("buyers")]}
    path.write_text(yaml.safe_dump({"slug": "gold", "name": "Gold", "definition": definition}))
    return path


@pytest.fixture
def acme(segops: Segops, catalog: Catalog, file: Path, tmp_path: Path) -> Catalog:
    """A tenant with both segments."""
    catalog.create_tenant("acme")
    buyers = tmp_path / "buyers.yaml"
    definition = {"logic": "AND", "conditions": [ORDERED]}
    buyers.write_text(yaml.safe_dump({"slug": "buyers", "name": "Buyers", "definition": definition}))
    assert segops("segments", "apply", "acme", file, buyers).exit_code == 0
    return catalog


def test_the_sql_of_a_full_computation_goes_to_stdout(segops: Segops, acme: Catalog) -> None:
    answer = segops("segments", "sql", "acme", "gold")

    assert answer.exit_code == 0
    assert answer.out.startswith("WITH\n-- conditions[0]: monetary\nc0 AS (\n  SELECT user_id")
    assert "events FINAL" in answer.out
    assert answer.err == "Bound when it runs: at.\n"


def test_a_reference_is_bound_by_its_id(segops: Segops, acme: Catalog) -> None:
    document = segops("segments", "sql", "acme", "gold", "--json").json

    assert document["parameters"]["c1_segment_id"] == acme.get_segment("acme", "buyers").id
    assert document["bound_when_run"] == ["at"]


def test_parameters_follow_the_sql_as_json(segops: Segops, acme: Catalog) -> None:
    sql = segops("segments", "sql", "acme", "gold").out
    with_parameters = segops("segments", "sql", "acme", "gold", "--params").out

    assert with_parameters.startswith(sql)
    parameters = json.loads(with_parameters.removeprefix(sql))
    assert parameters == segops("segments", "sql", "acme", "gold", "--json").json["parameters"]


def test_a_file_needs_no_tenant_and_its_references_stay_as_written(segops: Segops, file: Path) -> None:
    document = segops("segments", "sql", "--file", file, "--json").json

    assert document["parameters"]["c1_segment_id"] == "buyers"
    assert "{c1_segment_id:UInt64}" in document["sql"]


def test_the_queries_of_a_delta_can_be_seen_too(segops: Segops, file: Path) -> None:
    delta = segops("segments", "sql", "--file", file, "--delta")
    moved = segops("segments", "sql", "--file", file, "--moved", "--json").json

    assert "FROM candidate_events" in delta.out
    assert "computation_id" in delta.err
    assert moved["bound_when_run"] == ["from_at", "at"]
    assert "first_seen" in moved["sql"]


def test_a_wrong_file_is_refused_with_its_path(segops: Segops, file: Path) -> None:
    file.write_text(file.read_text().replace("gte", "gtee"))

    answer = segops("segments", "sql", "--file", file)

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err.startswith(f"Error: {file}: definition.conditions[0].operator: ")


def test_a_directory_of_several_segments_is_refused(segops: Segops, acme: Catalog, tmp_path: Path) -> None:
    answer = segops("segments", "sql", "--file", tmp_path)

    assert answer.err == f"Error: {tmp_path}: holds 2 segment files; name one of them\n"
    assert answer.exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["acme"], ["acme", "gold", "--file", "gold.yaml"]])
def test_either_a_segment_or_a_file_is_named(segops: Segops, arguments: list[str]) -> None:
    answer = segops("segments", "sql", *arguments)

    assert (answer.exit_code, answer.out) == (2, "")
    assert "Name a tenant and a segment, or --file FILE alone." in answer.err


def test_help_teaches_with_an_example(segops: Segops) -> None:
    assert "segops segments sql acme vip" in segops("segments", "sql", "--help").out
