"""A computation that dies between any two of its steps: statements to the warehouse and writes to the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.persons import PersonsCatalog
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration_tests.compute.computing import Crash

_STEPS: tuple[tuple[Any, str], ...] = (
    (TenantWarehouse, "query"),
    (TenantWarehouse, "command"),
    (Catalog, "begin_computation"),
    (Catalog, "mark_staged"),
    (Catalog, "commit_segments"),
    (Catalog, "abandon_segment"),
    (Catalog, "finish_computation"),
    (PersonsCatalog, "recount_members"),
)


class Fuse:
    """Blows at the ``step``-th step (from 1), before or after it is done; what comes later is not done at all.

    Of the process only the lease is given back, for the next one not to have to wait.
    """

    def __init__(self, step: int, *, after: bool) -> None:
        self._left = step
        self._after = after
        self._lock = threading.Lock()

    @property
    def blown(self) -> bool:
        return self._left <= 0

    def burn(self, do: Any) -> Any:
        """Do one step, unless the fuse is blown."""
        with self._lock:
            was_blown = self.blown
            self._left -= 1
            blows = self.blown
        if was_blown or (blows and not self._after):
            raise Crash
        result = do()
        if blows:
            raise Crash
        return result


@contextmanager
def burning(fuse: Fuse) -> Iterator[None]:
    """Whatever this process does to tenants meanwhile burns the fuse."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _STEPS:
            patch.setattr(owner, name, _fused(getattr(owner, name), fuse))
        yield


def _fused(real: Any, fuse: Fuse) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return fuse.burn(lambda: real(*arguments, **named))

    return wrapped
