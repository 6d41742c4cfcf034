from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.durations import days_to_milliseconds


@pytest.mark.parametrize(
    ("days", "milliseconds"),
    [
        (1, 86_400_000),
        (30, 2_592_000_000),
        (3650, 315_360_000_000),
        (0.1, 8_640_000),
        (0.5, 43_200_000),
        (1 / 24, 3_600_000),
        (1 / 3, 28_800_000),
        (0.000000017, 1),
        (0.00000002, 2),
    ],
)
def test_days_are_24_hours_to_the_nearest_millisecond(days: float, milliseconds: int) -> None:
    assert days_to_milliseconds(days) == milliseconds


def test_a_window_is_never_empty() -> None:
    assert days_to_milliseconds(1e-12) == 1


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_what_is_not_above_zero_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        days_to_milliseconds(days)


@given(st.integers(1, 3650 * 86_400_000))
def test_whole_milliseconds_survive_the_way_through_a_float(milliseconds: int) -> None:
    assert days_to_milliseconds(milliseconds / 86_400_000) == milliseconds
