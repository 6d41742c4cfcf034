"""How large a document may be: conditions, depth, bytes."""

from __future__ import annotations

import pytest

from segops_orchestration.dsl.parse import MAX_BYTES, canonical_json, definition_problems, parse_definition
from segops_orchestration_tests.dsl.documents import EVENT_COUNT, USER_PROPERTY, Document, definition, faults

COUNT = EVENT_COUNT | {"event_type": "a"}


def nested(depth: int, kind: str) -> Document:
    """A condition inside ``depth`` groups or nots."""
    document = COUNT
    for _ in range(depth):
        inner = {"conditions": [document], "logic": "OR"} if kind == "group" else {"condition": document}
        document = {"type": kind} | inner
    return document


def test_a_document_holds_up_to_100_conditions() -> None:
    assert not faults(*[COUNT] * 100)
    assert list(faults(*[COUNT] * 101)) == ["conditions"]


def test_conditions_inside_groups_and_nots_count_too() -> None:
    group = {"type": "group", "logic": "AND", "conditions": [COUNT] * 48}
    negated = {"type": "not", "condition": COUNT}
    assert not faults(group, group, negated)
    assert list(faults(group, group, negated, COUNT)) == ["conditions"]
    assert list(faults(group, group, COUNT, negated)) == ["conditions[3].condition"]


def test_too_many_conditions_are_one_problem() -> None:
    problems = faults(*[{"type": "group", "logic": "AND", "conditions": [COUNT] * 90}] * 90)
    assert list(problems) == ["conditions[1].conditions"]


@pytest.mark.parametrize("kind", ["group", "not"])
def test_the_document_is_the_first_of_eight_levels(kind: str) -> None:
    assert not faults(nested(7, kind))
    step = ".conditions[0]" if kind == "group" else ".condition"
    assert list(faults(nested(8, kind))) == ["conditions[0]" + step * 7]


def test_a_document_holds_up_to_64_kibibytes_of_canonical_json() -> None:
    frame = len(canonical_json(parse_definition(definition(USER_PROPERTY | {"value": ""}))))
    largest = definition(USER_PROPERTY | {"value": "x" * (MAX_BYTES - frame)})
    assert len(canonical_json(parse_definition(largest))) == MAX_BYTES
    larger = definition(USER_PROPERTY | {"value": "x" * (MAX_BYTES - frame + 1)})
    assert [str(problem) for problem in definition_problems(larger)] == [
        "found 65,537 bytes of canonical JSON; allowed: 65,536"
    ]


def test_bytes_are_counted_not_characters() -> None:
    assert definition_problems(definition(USER_PROPERTY | {"value": "ü" * 40_000}))


def test_no_more_than_200_problems_are_listed() -> None:
    problems = definition_problems(definition(EVENT_COUNT | {f"field_{index}": 1 for index in range(5000)}))
    assert len(problems) == 201
    assert str(problems[-1]) == "more than 200 problems; no more are listed"
