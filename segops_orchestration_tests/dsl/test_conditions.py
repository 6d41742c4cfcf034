"""Which conditions are accepted, and what the models then hold."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from segops_orchestration.dsl import models
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration_tests.dsl.documents import (
    ALL_TYPES,
    EVENT_COUNT,
    EVENT_PROPERTY,
    EVENT_SEQUENCE,
    GROUP,
    IS_GOLD,
    MONETARY,
    NOT,
    PROPERTY_HELD,
    RECENCY,
    SEGMENT_MEMBERSHIP,
    USER_PROPERTY,
    WEEK,
    Document,
    definition,
    faults,
    parsed,
    without,
)

COMPARISONS = ("eq", "neq", "gt", "gte", "lt", "lte")
TEXTUAL = ("eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with", "matches_regex")


@pytest.mark.parametrize("condition", ALL_TYPES, ids=lambda condition: condition["type"])
def test_each_condition_type_is_accepted(condition: Document) -> None:
    assert parsed(condition).type == condition["type"]


@pytest.mark.parametrize("condition", ALL_TYPES, ids=lambda condition: condition["type"])
def test_each_field_of_an_example_is_required(condition: Document) -> None:
    for field in condition:
        shorter = {name: value for name, value in condition.items() if name != field}
        # Of a first event one of two windows is required, and the other one is named.
        asked = "window" if condition["type"] == "first_event" and field == "window_days" else field
        assert list(faults(shorter)) == [f"conditions[0].{asked}"]


@pytest.mark.parametrize("condition", ALL_TYPES, ids=lambda condition: condition["type"])
def test_the_order_of_keys_means_nothing(condition: Document) -> None:
    assert parsed(dict(reversed(condition.items()))) == parsed(condition)


def test_a_count_and_a_sum_take_the_six_comparisons() -> None:
    for operator in COMPARISONS:
        assert parsed(EVENT_COUNT | {"operator": operator}).operator == operator
        assert parsed(MONETARY | {"operator": operator}).operator == operator


def test_recency_takes_gt_lt_and_eq_alone() -> None:
    accepted = [name for name in COMPARISONS if not faults(RECENCY | {"operator": name})]
    assert accepted == ["eq", "gt", "lt"]


def test_there_are_six_metrics() -> None:
    assert get_args(models.Metric) == ("sum", "avg", "max", "min", "median", "count_distinct")
    assert not any(faults(MONETARY | {"metric": metric}) for metric in get_args(models.Metric))


def test_every_property_operator_is_accepted_on_events_and_users() -> None:
    operands: dict[str, dict[str, Any]] = {
        **{operator: {"value": "a"} for operator in TEXTUAL},
        **{operator: {"value": 1} for operator in ("gt", "gte", "lt", "lte")},
        **{operator: {"value": 1, "value2": 2} for operator in ("between", "not_between")},
        **{operator: {"value": ["a"]} for operator in ("in", "not_in")},
        **{operator: {} for operator in ("is_set", "is_not_set", "is_true", "is_false")},
        **{operator: {"value": WEEK} for operator in ("in_last", "in_next", "before_last")},
        "has_element": {"where": [IS_GOLD]},
    }
    assert set(operands) == set(get_args(models.PropertyOperator))
    for operator, operand in operands.items():
        for example in (EVENT_PROPERTY, USER_PROPERTY, PROPERTY_HELD):
            condition = without(example, "value") | {"operator": operator} | operand
            assert parsed(condition).operator == operator


def test_membership_names_a_segment_by_id_or_by_slug() -> None:
    assert parsed(SEGMENT_MEMBERSHIP | {"segment_id": 12}).segment_id == 12
    assert parsed(SEGMENT_MEMBERSHIP | {"segment_id": "lapsed_vip-2"}).segment_id == "lapsed_vip-2"


@pytest.mark.parametrize("segment_id", [0, -1, True, 1.0, "", "VIP", "a b", "-a", "a" * 64, None, 2**63])
def test_what_is_neither_an_id_nor_a_slug_is_refused(segment_id: object) -> None:
    assert list(faults(SEGMENT_MEMBERSHIP | {"segment_id": segment_id})) == ["conditions[0].segment_id"]


def test_a_sequence_defaults_to_any_time_and_to_events_in_between() -> None:
    sequence = parsed(EVENT_SEQUENCE)
    assert (sequence.window_days, sequence.strict) == (None, False)


@pytest.mark.parametrize(("steps", "accepted"), [(1, False), (2, True), (10, True), (11, False)])
def test_a_sequence_has_two_to_ten_steps(steps: int, accepted: bool) -> None:
    problems = faults(EVENT_SEQUENCE | {"events": [f"step_{index}" for index in range(steps)]})
    assert list(problems) == ([] if accepted else ["conditions[0].events"])


def test_a_bad_step_is_named_by_its_index() -> None:
    assert list(faults(EVENT_SEQUENCE | {"events": ["a", "", "c", 4]})) == [
        "conditions[0].events[1]",
        "conditions[0].events[3]",
    ]


def test_strict_is_a_boolean() -> None:
    assert parsed(EVENT_SEQUENCE | {"strict": True}).strict is True
    assert list(faults(EVENT_SEQUENCE | {"strict": "yes"})) == ["conditions[0].strict"]


def test_groups_and_nots_hold_conditions() -> None:
    group = parsed({"type": "group", "logic": "OR", "conditions": [NOT, RECENCY]})
    assert isinstance(group.conditions[0], models.Not)
    assert isinstance(group.conditions[0].condition, models.EventCount)
    assert isinstance(group.conditions[1], models.Recency)


@pytest.mark.parametrize("conditions", [[], {}, "event_count", None, 3])
def test_conditions_are_an_array_with_something_in_it(conditions: object) -> None:
    assert list(faults(GROUP | {"conditions": conditions})) == ["conditions[0].conditions"]


@pytest.mark.parametrize("event_type", ["order_placed", "Order Placed", "bestellt/ü", "x" * 256])
def test_event_types_are_what_the_data_say(event_type: str) -> None:
    assert parsed(EVENT_COUNT | {"event_type": event_type}).event_type == event_type


@pytest.mark.parametrize("event_type", ["", "x" * 257, "a\nb", "a\x00", 5, None, ["a"], "\ud800"])
def test_what_is_no_event_type_is_refused(event_type: object) -> None:
    assert list(faults(EVENT_COUNT | {"event_type": event_type})) == ["conditions[0].event_type"]


@pytest.mark.parametrize("path", ["total", "address.city", r"a\.b.c", "a b", "x" * 1024])
def test_properties_are_dotted_paths(path: str) -> None:
    assert parsed(USER_PROPERTY | {"property": path}).property == path


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "x" * 1025, 5, None, "\udfff"])
def test_what_is_no_property_path_is_refused(path: object) -> None:
    assert list(faults(USER_PROPERTY | {"property": path})) == ["conditions[0].property"]


def test_models_are_immutable() -> None:
    condition = parsed(EVENT_COUNT)
    with pytest.raises(ValidationError, match="frozen"):
        condition.value = 4


def test_models_built_in_code_refuse_a_wrong_shape() -> None:
    wrong: list[Document] = [
        EVENT_COUNT | {"operator": "between"},
        EVENT_COUNT | {"value": -1},
        EVENT_COUNT | {"colour": "red"},
        EVENT_COUNT | {"where": [{"property": "plan"}]},
        EVENT_COUNT | {"window": {"last": 0, "unit": "day"}},
        MONETARY | {"value": float("inf")},
        MONETARY | {"metric": "p90"},
    ]
    for fields in wrong:
        with pytest.raises(ValidationError):
            models.CONDITION_MODELS[fields["type"]].model_validate(fields)


def test_a_definition_holds_its_conditions_in_order() -> None:
    held = parse_definition(definition(*ALL_TYPES)).conditions
    assert [condition.type for condition in held] == [document["type"] for document in ALL_TYPES]
