from __future__ import annotations

from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import iter_conditions, referenced_segments
from segops_orchestration_tests.dsl.documents import EVENT_COUNT, RECENCY, Document, definition


def member(segment: int | str) -> Document:
    return {"type": "segment_membership", "segment_id": segment, "operator": "in"}


def test_segments_are_found_at_any_depth_in_document_order_and_once() -> None:
    group = {"type": "group", "logic": "OR", "conditions": [member(7), EVENT_COUNT, member("a")]}
    document = definition({"type": "not", "condition": group}, member("b"), member(7), member("7"))
    assert referenced_segments(parse_definition(document)) == (7, "a", "b", "7")


def test_a_definition_without_membership_refers_to_nothing() -> None:
    assert referenced_segments(parse_definition(definition(EVENT_COUNT))) == ()


def test_conditions_come_in_document_order_with_the_outer_one_first() -> None:
    group = {"type": "group", "logic": "OR", "conditions": [EVENT_COUNT, {"type": "not", "condition": RECENCY}]}
    found = iter_conditions(parse_definition(definition(group, member("a"))))
    assert [condition.type for condition in found] == [
        "group",
        "event_count",
        "not",
        "recency",
        "segment_membership",
    ]
