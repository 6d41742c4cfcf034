"""Holding a connector's lease while its audience is changed or read back."""

from __future__ import annotations

import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration.catalog.connector_records import ConnectorLease
from segops_orchestration.errors import ConnectorBusy, SegOpsError

LEASE_SECONDS = 60.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0


class HeldConnector:
    """Takes the lease on entry, renews it from a thread, gives it back on exit.

    A process that dies leaves a lease that expires after ``ttl_seconds``; one that could not renew in time is stopped
    by ``check``.
    """

    def __init__(
        self,
        catalog: Catalog,
        tenant: str,
        connector: str,
        run_id: str | None,
        ttl_seconds: float = LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> None:
        """``wait_seconds`` is how long to wait for a holder to give it back or let it expire."""
        self._catalog = catalog
        self._tenant = tenant
        self._connector = connector
        self._run_id = run_id
        self._ttl_seconds = ttl_seconds
        self._wait_seconds = wait_seconds
        self._lease: ConnectorLease | None = None
        self._lost: SegOpsError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{connector}", daemon=True)

    @property
    def lease(self) -> ConnectorLease:
        """The lease, for writes to the catalogue. Raises ConnectorLeaseLost when it is known to be gone."""
        if self._lost is not None:
            raise self._lost
        if self._lease is None:
            raise RuntimeError("the lease is not held; use it in a with statement")
        return self._lease

    def check(self) -> None:
        """Refuse to go on without the lease. Raises ConnectorLeaseLost."""
        self._catalog.connectors.require_lease(self.lease)

    def given_up(self) -> None:
        """The lease went with its connector; there is nothing to give back."""
        self._lease = None

    def __enter__(self) -> Self:
        self._lease = self._acquire()
        self._thread.start()
        return self

    def _acquire(self) -> ConnectorLease:
        owner = f"run {self._run_id}" if self._run_id else f"{socket.gethostname()}:{os.getpid()}"
        deadline = time.monotonic() + self._wait_seconds
        pause = _FIRST_WAIT_SECONDS
        while True:
            try:
                return self._catalog.connectors.acquire_lease(
                    self._tenant, self._connector, owner, run_id=self._run_id, ttl_seconds=self._ttl_seconds
                )
            except ConnectorBusy:
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
            self._catalog.connectors.release_lease(self._lease)
            self._lease = None

    def _renew(self) -> None:
        while not self._stop.wait(self._ttl_seconds / 3):
            lease = self._lease
            if lease is None:
                return
            try:
                self._catalog.connectors.renew_lease(lease)
            except ConnectorLeaseLost as error:
                self._lost = error
                return
            except SegOpsError:
                # The catalogue is out of reach for a moment; the lease lasts for two more tries.
                continue
