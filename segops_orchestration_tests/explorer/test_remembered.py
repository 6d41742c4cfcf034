"""Answers that are worked out once for all who ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from segops_orchestration.errors import WarehouseError
from segops_orchestration.explorer.remembered import Remembered


def failing(calls: list[int]) -> Callable[[], int]:
    """Work that takes a moment and then fails; ``calls`` counts."""

    def work() -> int:
        calls.append(1)
        threading.Event().wait(0.2)
        raise WarehouseError("it took too long")

    return work


def test_who_waited_for_work_that_failed_does_not_try_again_one_by_one() -> None:
    remembered, calls = Remembered(), list[int]()

    def ask(_: int) -> bool:
        with pytest.raises(WarehouseError):
            remembered.get("key", 30, failing(calls))
        return True

    with ThreadPoolExecutor(6) as workers:
        assert all(workers.map(ask, range(6)))
    assert len(calls) == 1


def test_after_a_while_it_is_tried_again() -> None:
    now = [100.0]
    remembered = Remembered(lambda: now[0])
    with pytest.raises(WarehouseError):
        remembered.get("key", 30, failing([]))
    now[0] += 3
    assert remembered.get("key", 30, lambda: 7) == 7
