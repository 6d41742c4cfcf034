"""A sync that dies between any two of its steps: statements, writes to the catalogue, requests to the platform."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from segops_orchestration.catalog.connector_catalog import ConnectorCatalog
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration_tests.activation.roster.platform import Roster

_STEPS: tuple[tuple[Any, str], ...] = (
    (TenantWarehouse, "query"),
    (TenantWarehouse, "command"),
    (TenantWarehouse, "insert_bytes"),
    (TenantWarehouse, "stream_bytes"),
    (ConnectorCatalog, "begin_sync"),
    (ConnectorCatalog, "finish_sync"),
    (ConnectorCatalog, "open_job"),
    (ConnectorCatalog, "finish_job"),
    (ConnectorCatalog, "hold"),
    (ConnectorCatalog, "release_hold"),
    (ConnectorCatalog, "supersede_hold"),
    (ConnectorCatalog, "set_status"),
    (Roster, "add"),
    (Roster, "remove"),
    (Roster, "follow"),
)


class Crash(BaseException):
    """Ends a sync the way a kill does: no handler of errors sees to it."""


class Fuse:
    """Blows at the ``step``-th step (from 1), before or after it is done; what comes later is not done at all.

    Of the process only the lease is given back, for the next one not to have to wait.
    """

    def __init__(self, step: int, *, after: bool) -> None:
        self._left = step
        self._after = after
        self._lock = threading.Lock()
        self.steps = 0

    def burn(self, do: Any) -> Any:
        """Do one step, unless the fuse is blown."""
        with self._lock:
            was_blown = self._left <= 0
            self._left -= 1
            self.steps += 1
            blows = self._left <= 0
        if was_blown or (blows and not self._after):
            raise Crash
        result = do()
        if blows:
            raise Crash
        return result


@contextmanager
def burning(fuse: Fuse, *more: tuple[Any, str]) -> Iterator[None]:
    """Whatever this process does meanwhile burns the fuse; ``more`` are steps beside the usual ones."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (*_STEPS, *more):
            patch.setattr(owner, name, _fused(getattr(owner, name), fuse))
        yield


def _fused(real: Any, fuse: Fuse) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return fuse.burn(lambda: real(*arguments, **named))

    return wrapped
