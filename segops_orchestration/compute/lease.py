"""Holding a tenant's lease while a computation runs."""

from __future__ import annotations

import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.leases import LeaseLost
from segops_orchestration.catalog.records import Lease
from segops_orchestration.errors import SegOpsError, TenantBusy

LEASE_SECONDS = 60.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0


class HeldLease:
    """Takes the lease on entry, renews it from a thread, gives it back on exit.

    A process that dies leaves a lease that expires after ``ttl_seconds``. One that could not renew in time finds out
    at its next write to the ledger, which refuses it.
    """

    def __init__(
        self,
        catalog: Catalog,
        tenant: str,
        run_id: str | None,
        ttl_seconds: float = LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> None:
        """``wait_seconds`` is how long to wait for a holder to give it back or let it expire."""
        self._catalog = catalog
        self._tenant = tenant
        self._run_id = run_id
        self._ttl_seconds = ttl_seconds
        self._wait_seconds = wait_seconds
        self._lease: Lease | None = None
        self._lost: SegOpsError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{tenant}", daemon=True)

    @property
    def owner(self) -> str:
        """Who computes: the Dagster run, or host and process."""
        if self._run_id:
            return f"run {self._run_id}"
        return f"{socket.gethostname()}:{os.getpid()}"

    @property
    def lease(self) -> Lease:
        """The lease, for writes to the ledger. Raises LeaseLost when it is known to be gone."""
        if self._lost is not None:
            raise self._lost
        if self._lease is None:
            raise RuntimeError("the lease is not held; use it in a with statement")
        return self._lease

    def __enter__(self) -> Self:
        self._lease = self._acquire()
        self._thread.start()
        return self

    def _acquire(self) -> Lease:
        deadline = time.monotonic() + self._wait_seconds
        pause = _FIRST_WAIT_SECONDS
        while True:
            try:
                return self._catalog.acquire_lease(
                    self._tenant, self.owner, run_id=self._run_id, ttl_seconds=self._ttl_seconds
                )
            except TenantBusy:
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
            self._catalog.release_lease(self._lease)
            self._lease = None

    def _renew(self) -> None:
        while not self._stop.wait(self._ttl_seconds / 3):
            lease = self._lease
            if lease is None:
                return
            try:
                self._catalog.renew_lease(lease)
            except LeaseLost as error:
                self._lost = error
                return
            except SegOpsError:
                # The catalogue is out of reach for a moment; the lease lasts for two more tries.
                continue
