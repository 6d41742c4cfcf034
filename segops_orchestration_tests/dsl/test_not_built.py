"""Planned extensions, which this version knows by name and refuses as such."""

from __future__ import annotations

import pytest

from segops_orchestration.dsl.not_built import NOT_BUILT
from segops_orchestration.dsl.parse import definition_problems
from segops_orchestration_tests.dsl.documents import EVENT_COUNT, WEEK, definition, faults

REFUSAL = "an extension of the segment language that this version does not support"


@pytest.mark.parametrize("name", sorted(name for kind, name in NOT_BUILT if kind == "type"))
def test_a_planned_type_is_refused_as_an_extension(name: str) -> None:
    problems = faults({"type": name})
    assert list(problems) == ["conditions[0].type"]
    assert REFUSAL in problems["conditions[0].type"]


@pytest.mark.parametrize("name", sorted(name for kind, name in NOT_BUILT if kind == "field"))
def test_a_planned_field_is_refused_as_an_extension_wherever_it_stands(name: str) -> None:
    problems = faults(EVENT_COUNT | {name: "a"}, EVENT_COUNT | {"window": WEEK | {name: "a"}})
    assert list(problems) == [f"conditions[0].{name}", f"conditions[1].window.{name}"]
    assert all(REFUSAL in message for message in problems.values())


def test_the_timezone_of_a_document_is_refused_as_an_extension() -> None:
    (problem,) = definition_problems(definition(EVENT_COUNT) | {"timezone": "Europe/Oslo"})
    assert str(problem) == f"timezone: timezone of a document is {REFUSAL}; allowed: logic, conditions"
