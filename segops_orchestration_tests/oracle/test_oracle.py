"""The oracle against the hand-written cases."""

from __future__ import annotations

from collections import Counter

import pytest

from segops_orchestration_tests.oracle.cases import CASES, EXTENSION_CASES, Case
from segops_orchestration_tests.oracle.evaluate import members


@pytest.mark.parametrize("case", [*CASES, *EXTENSION_CASES], ids=lambda case: case.id)
def test_the_oracle_selects_whom_the_rule_selects(case: Case) -> None:
    assert members(case.definition, case.events, case.at, case.segments) == case.expected_members


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(case.id for case in (*CASES, *EXTENSION_CASES)).items() if times > 1] == []
