"""Which values each operator takes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from segops_orchestration_tests.dsl.documents import (
    EVENT_COUNT,
    EVENT_SEQUENCE,
    MONETARY,
    RECENCY,
    USER_PROPERTY,
    Document,
    faults,
    parsed,
    without,
)

VALUE = "conditions[0].value"


def user(operator: str, **fields: Any) -> Document:
    """A user_property with this operator and nothing else said."""
    return without(USER_PROPERTY, "value") | {"operator": operator} | fields


class TestCounts:
    @pytest.mark.parametrize("value", [0, 1, 10**6])
    def test_are_integers_from_zero_up(self, value: int) -> None:
        assert parsed(EVENT_COUNT | {"value": value}).value == value

    @pytest.mark.parametrize("value", [-1, 2.5, True, "3", None, [3], 2**63, math.nan])
    def test_are_nothing_else(self, value: object) -> None:
        assert list(faults(EVENT_COUNT | {"value": value})) == [VALUE]

    def test_are_written_without_a_fraction(self) -> None:
        assert "found 3.0; allowed: an integer" in faults(EVENT_COUNT | {"value": 3.0})[VALUE]
        assert "without a fraction" in faults(EVENT_COUNT | {"value": 3.0})[VALUE]


class TestAmounts:
    @pytest.mark.parametrize("value", [0, -5, 19.99, 10**29 - 1, 10**28])
    def test_are_finite_numbers(self, value: float) -> None:
        assert parsed(MONETARY | {"value": value}).value == value

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**29, -1e29, True, "500", None, []])
    def test_are_nothing_else(self, value: object) -> None:
        assert list(faults(MONETARY | {"value": value})) == [VALUE]


class TestWindows:
    @pytest.mark.parametrize("days", [1, 0.5, 3650, 1 / 24, 1e-9])
    def test_are_days_and_may_be_fractions(self, days: float) -> None:
        assert parsed(EVENT_COUNT | {"window_days": days}).window_days == days
        assert parsed(EVENT_SEQUENCE | {"window_days": days}).window_days == days
        assert parsed(RECENCY | {"window_days": days}).window_days == days

    @pytest.mark.parametrize("days", [0, -1, 3650.1, math.nan, math.inf, True, "30", [30]])
    def test_lie_above_zero_and_within_ten_years(self, days: object) -> None:
        for example in (EVENT_COUNT, EVENT_SEQUENCE, RECENCY):
            assert list(faults(example | {"window_days": days})) == ["conditions[0].window_days"]

    def test_are_whole_days_for_recency_eq(self) -> None:
        exact = RECENCY | {"operator": "eq"}
        assert parsed(exact | {"window_days": 3.0}).window_days == 3
        assert "whole days" in faults(exact | {"window_days": 2.5})["conditions[0].window_days"]

    def test_null_says_what_leaving_the_field_out_says(self) -> None:
        assert parsed(EVENT_COUNT | {"window_days": None}) == parsed(EVENT_COUNT)

    def test_recency_cannot_do_without(self) -> None:
        assert list(faults(RECENCY | {"window_days": None})) == ["conditions[0].window_days"]


class TestEquality:
    @pytest.mark.parametrize("operator", ["eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with"])
    @pytest.mark.parametrize("value", ["", "Oslo", "10", 10, 1.5, True, False])
    def test_takes_any_scalar(self, operator: str, value: object) -> None:
        held = parsed(user(operator, value=value)).value
        assert (held, type(held)) == (value, type(value))

    @pytest.mark.parametrize("value", [[], ["a"], {}, math.nan, 10**29, "\ud800"])
    def test_takes_nothing_else(self, value: object) -> None:
        assert list(faults(user("eq", value=value))) == [VALUE]

    def test_null_is_refused_with_the_operator_to_use(self) -> None:
        assert "is_not_set" in faults(user("eq", value=None))[VALUE]
        assert "use is_set" in faults(user("neq", value=None))[VALUE]

    def test_several_values_belong_to_in(self) -> None:
        assert "use in or not_in" in faults(user("eq", value=["a", "b"]))[VALUE]


class TestOrder:
    @pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte"])
    @pytest.mark.parametrize("value", [0, -1.5, "10", "-2.5e3", "2026-01-31", "2026-01-31T10:00:00Z"])
    def test_takes_numbers_numeric_texts_and_dates(self, operator: str, value: object) -> None:
        assert parsed(user(operator, value=value)).value == value

    @pytest.mark.parametrize("value", ["", "gold", " 10", "2026-02-30", "31.01.2026", True, None, [1], "1e40"])
    def test_takes_nothing_else(self, value: object) -> None:
        assert list(faults(user("gte", value=value))) == [VALUE]


class TestRanges:
    @pytest.mark.parametrize("operator", ["between", "not_between"])
    @pytest.mark.parametrize(
        ("low", "high"), [(1, 2), (0, 0), (-1, "5"), ("1", "2"), ("2026-01-01", "2026-01-31T12:00")]
    )
    def test_take_two_bounds_of_one_kind(self, operator: str, low: object, high: object) -> None:
        held = parsed(user(operator, value=low, value2=high))
        assert (held.value, held.value2) == (low, high)

    def test_need_both_bounds(self) -> None:
        assert list(faults(user("between"))) == [VALUE, f"{VALUE}2"]
        assert list(faults(user("between", value=1))) == [f"{VALUE}2"]
        assert list(faults(user("between", value=1, value2=None))) == [f"{VALUE}2"]
        assert list(faults(user("between", value2=1))) == [VALUE]

    def test_do_not_mix_numbers_and_dates(self) -> None:
        problems = faults(user("between", value=1, value2="2026-01-31"))
        assert problems == {f"{VALUE}2": "found '2026-01-31' beside value 1; allowed: two numbers or two dates"}

    @pytest.mark.parametrize(("low", "high"), [(5, 0), (2, 1), ("2", 1), ("2026-02-01", "2026-01-31")])
    def test_run_from_the_lower_bound_to_the_upper(self, low: object, high: object) -> None:
        assert "below" in faults(user("between", value=low, value2=high))[f"{VALUE}2"]

    def test_name_each_bad_bound(self) -> None:
        assert list(faults(user("between", value="low", value2="high"))) == [VALUE, f"{VALUE}2"]

    def test_bounds_in_an_array_are_told_where_they_go(self) -> None:
        assert "as value and value2" in faults(user("between", value=[1, 2]))[VALUE]

    def test_value2_belongs_to_ranges_alone(self) -> None:
        assert "between" in faults(user("gte", value=1, value2=2))[f"{VALUE}2"]


class TestLists:
    def test_hold_scalars_of_any_kind(self) -> None:
        assert parsed(user("in", value=["a", 1, 2.5, True])).value == ("a", 1, 2.5, True)

    @pytest.mark.parametrize(("size", "accepted"), [(0, False), (1, True), (10_000, True), (10_001, False)])
    def test_hold_one_to_ten_thousand(self, size: int, accepted: bool) -> None:
        assert list(faults(user("not_in", value=[1] * size))) == ([] if accepted else [VALUE])

    @pytest.mark.parametrize("value", ["a", {"a": 1}, None, 1])
    def test_are_arrays(self, value: object) -> None:
        assert list(faults(user("in", value=value))) == [VALUE]

    def test_name_each_bad_element(self) -> None:
        assert list(faults(user("in", value=["a", None, 1, ["b"], math.inf]))) == [
            f"{VALUE}[1]",
            f"{VALUE}[3]",
            f"{VALUE}[4]",
        ]


class TestOperatorsWithoutValue:
    @pytest.mark.parametrize("operator", ["is_set", "is_not_set", "is_true", "is_false"])
    def test_refuse_one(self, operator: str) -> None:
        assert faults(user(operator, value=True)) == {VALUE: f"found true; operator {operator} takes no value"}

    def test_may_have_a_null(self) -> None:
        assert parsed(user("is_set", value=None, value2=None)) == parsed(user("is_set"))


class TestPatterns:
    def test_are_regular_expressions(self) -> None:
        assert parsed(user("matches_regex", value=r"^\+47\d{8}$")).value == r"^\+47\d{8}$"

    def test_say_why_they_are_refused(self) -> None:
        assert "RE2 has no look-around ((?=)" in faults(user("matches_regex", value="a(?=b)"))[VALUE]

    @pytest.mark.parametrize("value", [5, True, None, ["a"]])
    def test_are_text(self, value: object) -> None:
        assert list(faults(user("matches_regex", value=value))) == [VALUE]


def test_the_shortest_number_is_kept() -> None:
    assert type(parsed(MONETARY | {"value": 500.0}).value) is int
    assert type(parsed(user("in", value=[2.0])).value[0]) is int
    assert repr(parsed(MONETARY | {"value": -0.0}).value) == "0"


def test_a_number_is_the_decimal_that_was_written() -> None:
    assert parsed(MONETARY | {"value": 1e23}).value == 10**23
