"""The JSON Schema against the parser: it accepts whatever is valid, and refuses what a schema can see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from segops_orchestration.dsl.parse import definition_problems
from segops_orchestration.dsl.schema import definition_schema, segment_schema
from segops_orchestration.dsl.segment_file import parse_segment_document
from segops_orchestration.dsl.text import read_text
from segops_orchestration.errors import InvalidDocument
from segops_orchestration_tests.dsl.documents import ALL_TYPES, DEFINITIONS, Document, definition, generated
from segops_orchestration_tests.dsl.planted import PLANTED, Planted
from segops_orchestration_tests.dsl.test_example_segments import FILES
from segops_orchestration_tests.dsl.test_planted_faults import broken
from segops_orchestration_tests.oracle.cases import CASES, EXTENSION_CASES
from segops_orchestration_tests.oracle.grid import grid_definitions

DEFINITION = Draft202012Validator(definition_schema())
SEGMENT = Draft202012Validator(segment_schema())


def documents() -> Iterator[Document]:
    """Every document that the oracle evaluates."""
    for case in (*CASES, *EXTENSION_CASES):
        yield case.definition
        yield from case.segments.values()
    yield from grid_definitions().values()


def test_the_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(definition_schema())
    Draft202012Validator.check_schema(segment_schema())


def test_every_document_of_the_oracle_is_accepted_by_parser_and_schema() -> None:
    refused = [document for document in documents() if definition_problems(document)]
    assert refused == []
    assert [document for document in documents() if not DEFINITION.is_valid(document)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_example_segments_are_accepted(path: Path) -> None:
    SEGMENT.validate(read_text(path.read_bytes(), format="yaml"))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.condition['type']}.{planted.path}")
def test_a_fault_is_refused_unless_only_the_parser_can_see_it(planted: Planted) -> None:
    assert DEFINITION.is_valid(definition(planted.condition)) != planted.seen_by_schema


@generated
@given(DEFINITIONS)
def test_a_valid_document_is_accepted(document: Document) -> None:
    DEFINITION.validate(document)


@generated
@given(broken(wrong_values=([], {})))
def test_a_planted_fault_is_refused(planted: tuple[Document, str]) -> None:
    assert not DEFINITION.is_valid(planted[0])


VIP: Document = {"slug": "vip", "name": "Best customers", "definition": definition(*ALL_TYPES)}
EVENT: Document = {"user_id": "a", "event_type": "order_placed", "occurred_at": "-3d", "payload": {"total": 5}}
TEST: Document = {"at": "2026-03-01", "events": [EVENT], "in": ["a"]}


@pytest.mark.parametrize(
    "segment",
    [
        VIP | {"slug": "Best customers"},
        VIP | {"slug": "vip\n"},
        VIP | {"slug": "-vip"},
        VIP | {"slug": "v" * 64},
        VIP | {"name": " "},
        VIP | {"name": "a\tb"},
        VIP | {"name": "x" * 201},
        VIP | {"description": "x" * 2_001},
        VIP | {"description": None},
        VIP | {"colour": "red"},
        VIP | {"definition": {"logic": "and", "conditions": []}},
        {"slug": "vip", "name": "Best customers"},
        VIP | {"tests": []},
        VIP | {"tests": [TEST | {"at": "today"}]},
        VIP | {"tests": [TEST | {"events": []}]},
        VIP | {"tests": [TEST | {"expect": ["a"]}]},
        VIP | {"tests": [TEST | {"events": [EVENT | {"occurred_at": "3 days ago"}]}]},
        VIP | {"tests": [TEST | {"events": [EVENT | {"user_id": ""}]}]},
        VIP | {"tests": [TEST | {"events": [EVENT | {"payload": "{}"}]}]},
        [],
    ],
    ids=str,
)
def test_parser_and_schema_refuse_a_segment(segment: Any) -> None:
    with pytest.raises(InvalidDocument):
        parse_segment_document(segment)
    assert not SEGMENT.is_valid(segment)


def test_parser_and_schema_accept_a_segment() -> None:
    for segment in (VIP, VIP | {"description": ""}, VIP | {"tests": [TEST]}):
        assert parse_segment_document(segment).slug == "vip"
        SEGMENT.validate(segment)


def test_a_schema_is_plain_json() -> None:
    assert json.loads(json.dumps(segment_schema())) == segment_schema()
