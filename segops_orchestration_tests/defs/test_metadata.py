"""What the UI shows of a segment."""

from __future__ import annotations

import pytest

from segops_orchestration.defs.metadata import sparkline


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([7], "▁ 7 → 7"),
        ([5, 5, 5], "▁▁▁ 5 → 5"),
        ([0, 7], "▁█ 0 → 7"),
        ([1000, 1500, 2000, 1000], "▁▄█▁ 1,000 → 1,000"),
    ],
)
def test_a_course_is_drawn_between_its_lowest_and_its_highest_value(values: list[int], drawn: str) -> None:
    assert sparkline(values) == drawn
