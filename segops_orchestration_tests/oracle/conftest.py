"""What the tests of the oracle share."""

from __future__ import annotations

from random import Random

import pytest

from segops_orchestration_tests.oracle.histories import Compute, History, draw_history, replay

HISTORIES = 1000

Drawn = list[tuple[History, list[Compute]]]


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """Many histories, with their computations and what the oracle expects of each."""
    histories = [draw_history(Random(seed)) for seed in range(HISTORIES)]
    return [(one, [step for step in replay(one) if isinstance(step, Compute)]) for one in histories]
