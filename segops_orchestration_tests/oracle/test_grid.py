"""The grid is worth running only if its tests divide its users."""

from __future__ import annotations

from typing import Any

import pytest

from segops_orchestration_tests.oracle import values
from segops_orchestration_tests.oracle.case import AT
from segops_orchestration_tests.oracle.evaluate import members_of_all
from segops_orchestration_tests.oracle.grid import grid_definitions, grid_events
from segops_orchestration_tests.oracle.values import POSITIVE, Condition, present, satisfies


def test_every_operator_is_true_of_some_values_and_false_of_others() -> None:
    events, definitions = grid_events(), grid_definitions()
    everybody = {event.user_id for event in events}
    dividing = {
        (definitions[slug]["conditions"][0]["type"], definitions[slug]["conditions"][0]["operator"])
        for slug, found in members_of_all(definitions, events, AT).items()
        if found and found != everybody
    }
    asked = {(condition["type"], condition["operator"]) for d in definitions.values() for condition in d["conditions"]}
    assert dividing == asked


def _elements_apart(value: Any, condition: Condition, at: int) -> bool:
    elements = [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []
    return all(any(satisfies(element, part, at) for element in elements) for part in condition["where"])


def _only_the_first_element(value: Any, path: str) -> list[Any]:
    return present(value, path)[:1]


@pytest.mark.parametrize(
    ("name", "mistake"),
    [("POSITIVE", {**POSITIVE, "has_element": _elements_apart}), ("present", _only_the_first_element)],
    ids=["has_element is satisfied by elements apart", "an array step leads to the first element only"],
)
def test_a_mistake_about_arrays_is_found(name: str, mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events, definitions = grid_events(), grid_definitions()
    right = members_of_all(definitions, events, AT)
    monkeypatch.setattr(values, name, mistake)
    assert members_of_all(definitions, events, AT) != right
