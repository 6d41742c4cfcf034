"""Holding a lease while work goes on: taken on entry, renewed from a thread, given back on exit."""

from __future__ import annotations

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from segops_orchestration.errors import SegOpsError

LEASE_SECONDS = 60.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0

Held = TypeVar("Held")


class Holding(ABC, Generic[Held]):
    """A lease as a context manager.

    A process that dies leaves a lease that expires after ``ttl_seconds``. One that could not renew in time finds out
    when it next asks for the lease, or at its next write to the catalogue, which refuses it.
    """

    # What is raised while somebody else holds it, and once it is somebody else's.
    busy: ClassVar[type[SegOpsError]]
    lost: ClassVar[type[SegOpsError]]

    def __init__(self, name: str, run_id: str | None, ttl_seconds: float, wait_seconds: float) -> None:
        """``wait_seconds`` is how long to wait for a holder to give it back or let it expire."""
        self._run_id = run_id
        self._ttl_seconds = ttl_seconds
        self._wait_seconds = wait_seconds
        self._lease: Held | None = None
        self._loss: SegOpsError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{name}", daemon=True)

    @abstractmethod
    def _take(self) -> Held:
        """Take it, or raise ``busy``."""

    @abstractmethod
    def _renew(self, lease: Held) -> object:
        """Hold it for another time to live, or raise ``lost``."""

    @abstractmethod
    def _give_back(self, lease: Held) -> object:
        """Let others have it."""

    @property
    def owner(self) -> str:
        """Who works: the Dagster run, or host and process."""
        if self._run_id:
            return f"run {self._run_id}"
        return f"{socket.gethostname()}:{os.getpid()}"

    @property
    def lease(self) -> Held:
        """The lease, for writes to the catalogue. Raises ``lost`` when it is known to be gone."""
        if self._loss is not None:
            raise self._loss
        if self._lease is None:
            raise RuntimeError("the lease is not held; use it in a with statement")
        return self._lease

    def given_up(self) -> None:
        """The lease went with what it was on; there is nothing to give back."""
        self._lease = None

    def __enter__(self) -> Self:
        self._lease = self._wait()
        self._thread.start()
        return self

    def _wait(self) -> Held:
        deadline = time.monotonic() + self._wait_seconds
        pause = _FIRST_WAIT_SECONDS
        while True:
            try:
                return self._take()
            except self.busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_WAIT_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._lease is not None:
            self._give_back(self._lease)
            self._lease = None

    def _keep(self) -> None:
        while not self._stop.wait(self._ttl_seconds / 3):
            lease = self._lease
            if lease is None:
                return
            try:
                self._renew(lease)
            except self.lost as error:
                self._loss = error
                return
            except SegOpsError:
                # The catalogue is out of reach for a moment; the lease lasts for two more tries.
                continue
