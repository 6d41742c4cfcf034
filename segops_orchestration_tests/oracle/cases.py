"""Every hand-written case: what each rule of the Segment DSL selects. The engine has to pass the same ones."""

from __future__ import annotations

from segops_orchestration_tests.oracle.case import Case
from segops_orchestration_tests.oracle.cases_conditions import CONDITION_CASES
from segops_orchestration_tests.oracle.cases_dates import DATE_CASES
from segops_orchestration_tests.oracle.cases_events import EVENT_CASES
from segops_orchestration_tests.oracle.cases_extension_conditions import EXTENSION_CONDITION_CASES
from segops_orchestration_tests.oracle.cases_extensions import EXTENDED_EVENT_CASES
from segops_orchestration_tests.oracle.cases_operators import OPERATOR_CASES
from segops_orchestration_tests.oracle.cases_sequences import SEQUENCE_CASES
from segops_orchestration_tests.oracle.cases_values import VALUE_CASES

__all__ = ["CASES", "EXTENSION_CASES", "Case"]

CASES: tuple[Case, ...] = (*EVENT_CASES, *CONDITION_CASES, *SEQUENCE_CASES, *OPERATOR_CASES, *VALUE_CASES, *DATE_CASES)
"""Cases of the public condition types, ``group`` and ``not``."""

EXTENSION_CASES: tuple[Case, ...] = (*EXTENDED_EVENT_CASES, *EXTENSION_CONDITION_CASES)
"""Cases of the extensions, which a product may refuse but never read otherwise."""
