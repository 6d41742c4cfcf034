"""What a problem says: where, what was found, what is allowed, and what was likely meant."""

from __future__ import annotations

from typing import get_args

import pytest

from segops_orchestration.dsl.models import CONDITION_MODELS, Metric, PropertyOperator, Unit
from segops_orchestration.dsl.parse import definition_problems, parse_definition
from segops_orchestration.dsl.wording import found, nearest
from segops_orchestration.errors import InvalidDocument
from segops_orchestration_tests.dsl.documents import (
    EVENT_COUNT,
    GROUP,
    MONETARY,
    RECENCY,
    USER_PROPERTY,
    definition,
    faults,
    without,
)

OPERATOR = "conditions[0].operator"


def test_a_wrong_operator() -> None:
    assert faults(EVENT_COUNT | {"operator": "gtee"}) == {
        OPERATOR: "found 'gtee'; allowed: eq, neq, gt, gte, lt, lte; did you mean 'gte'?"
    }


def test_an_operator_that_is_no_text() -> None:
    assert faults(RECENCY | {"operator": ["gt"]}) == {OPERATOR: "found an array of 1; allowed: gt, lt, eq"}


def test_an_unknown_type() -> None:
    assert faults({"type": "event_cuont"})["conditions[0].type"] == (
        f"found 'event_cuont'; allowed: {', '.join(CONDITION_MODELS)}; did you mean 'event_count'?"
    )


@pytest.mark.parametrize("name", [None, 5, ["event_count"], {"event_count": 1}, "", "x" * 10_000])
def test_a_type_that_is_none(name: object) -> None:
    assert list(faults({"type": name, "operator": 5})) == ["conditions[0].type"]


def test_an_unknown_field() -> None:
    assert faults(EVENT_COUNT | {"colour": 1}) == {
        "conditions[0].colour": "unknown field; allowed: type, event_type, operator, value, window_days, window, where"
    }


def test_a_misspelt_field_is_one_problem_not_two() -> None:
    misspelt = without(EVENT_COUNT, "operator") | {"opperator": "gte"}
    assert faults(misspelt) == {
        "conditions[0].opperator": "unknown field; allowed: type, event_type, operator, value, window_days, window, "
        "where; did you mean 'operator'?"
    }


def test_a_missing_field_says_what_belongs_there() -> None:
    assert faults(without(MONETARY, "metric")) == {
        "conditions[0].metric": "missing; required: sum, avg, max, min, median, count_distinct"
    }


def test_a_missing_value_says_what_the_operator_needs() -> None:
    problems = faults(without(USER_PROPERTY, "value") | {"operator": "gte"})
    assert problems == {
        "conditions[0].value": "missing; operator gte needs a number, a numeric text or a date such as 2026-01-31"
    }


def test_the_document_itself() -> None:
    problems = definition_problems({"logik": "AND"})
    assert [(problem.path, problem.message) for problem in problems] == [
        ("logik", "unknown field; allowed: logic, conditions; did you mean 'logic'?"),
        ("conditions", "missing; required: an array of 1 to 100 conditions"),
    ]


def test_every_problem_is_reported_in_document_order() -> None:
    with pytest.raises(InvalidDocument) as error:
        parse_definition(
            {
                "conditions": [
                    EVENT_COUNT | {"value": "three", "operator": "more"},
                    {"type": "not", "condition": GROUP | {"conditions": [RECENCY | {"event_type": ""}]}},
                    "recency",
                ],
                "logic": "and",
                "extra": 1,
            }
        )
    assert [problem.path for problem in error.value.problems] == [
        "conditions[0].operator",
        "conditions[0].value",
        "conditions[1].condition.conditions[0].event_type",
        "conditions[2]",
        "logic",
        "extra",
    ]


def test_a_path_stands_where_the_document_stands() -> None:
    problems = definition_problems(definition(EVENT_COUNT | {"operator": "x"}), "definition")
    assert [problem.path for problem in problems] == ["definition.conditions[0].operator"]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a b", 'conditions[0]["a b"]'),
        ("", 'conditions[0][""]'),
        ("a.b", 'conditions[0]["a.b"]'),
        ("a\nb", 'conditions[0]["a\\nb"]'),
        (7, 'conditions[0]["7"]'),
    ],
)
def test_a_key_that_is_no_word_is_quoted_in_the_path(key: object, path: str) -> None:
    assert list(faults(EVENT_COUNT | {key: 1})) == [path]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("GTE", "gte"),
        (">=", "gte"),
        ("==", "eq"),
        ("greater_than", "gt"),
        ("not in", "not_in"),
        ("regex", "matches_regex"),
        ("startswith", "starts_with"),
        ("exists", "is_set"),
        ("is_null", "is_not_set"),
        ("qqqq", None),
        ("", None),
    ],
)
def test_the_nearest_spelling(written: str, meant: str | None) -> None:
    assert nearest(written, get_args(PropertyOperator)) == meant


@pytest.mark.parametrize(
    ("written", "allowed", "meant"),
    [
        ("filters", ("value", "where"), "where"),
        ("last_days", ("window_days", "window"), "window_days"),
        ("days", ("window_days", "window"), "window_days"),
        ("days", get_args(Unit), "day"),
        ("hrs", get_args(Unit), "hour"),
        ("min", get_args(Unit), "minute"),
        ("min", get_args(Metric), "min"),
        ("p50", get_args(Metric), "median"),
        ("distinct", get_args(Metric), "count_distinct"),
        ("since", ("last", "from", "to"), "from"),
        ("$elemMatch", get_args(PropertyOperator), "has_element"),
        ("older_than", get_args(PropertyOperator), "before_last"),
        ("any", get_args(PropertyOperator), "has_element"),
        ("any", ("AND", "OR"), "OR"),
    ],
)
def test_a_synonym_means_what_is_allowed_where_it_stands(written: str, allowed: tuple[str, ...], meant: str) -> None:
    assert nearest(written, allowed) == meant


def test_a_synonym_is_offered_only_where_it_is_allowed() -> None:
    assert "did you mean" not in faults(RECENCY | {"operator": ">="})[OPERATOR]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("x" * 1_000_000, f"'{'x' * 39}…'", id="huge text"),
        ("a\x00\n\ud800", r"'a\x00\n\ud800'"),
        pytest.param(10**6000, "an integer of more than 38 digits", id="huge integer"),
        (True, "true"),
        (None, "null"),
        (float("nan"), "nan"),
        ([1] * 500, "an array of 500"),
        ({"a": 1}, "an object"),
        ({1}, "a set, which is no JSON value"),
    ],
)
def test_what_was_found_is_shown_on_one_short_line(value: object, shown: str) -> None:
    assert found(value) == shown
