"""The grid is worth running only if its tests divide its users."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import AT
from segops_orchestration_tests.oracle.evaluate import members_of_all
from segops_orchestration_tests.oracle.grid import grid_definitions, grid_events


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
