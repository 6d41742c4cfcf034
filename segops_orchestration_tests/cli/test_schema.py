from __future__ import annotations

from segops_orchestration.dsl.schema import definition_schema, segment_schema
from segops_orchestration_tests.cli.conftest import Segops


def test_the_schema_of_segment_files_is_printed_as_json(segops: Segops) -> None:
    assert segops("schema").json == segment_schema()
    assert segops("schema", "--json").json == segment_schema()


def test_the_schema_of_a_definition_is_printed_alone(segops: Segops) -> None:
    assert segops("schema", "--definition").json == definition_schema()


def test_the_help_tells_how_an_editor_uses_it(segops: Segops) -> None:
    assert "# yaml-language-server: $schema=segment.schema.json" in segops("schema", "--help").out
