"""Holding a tenant's lease while a computation runs."""

from __future__ import annotations

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.holding import LEASE_SECONDS, Holding
from segops_orchestration.catalog.leases import LeaseLost
from segops_orchestration.catalog.records import Lease
from segops_orchestration.errors import TenantBusy


class HeldLease(Holding[Lease]):
    """One computation of a tenant at a time."""

    busy = TenantBusy
    lost = LeaseLost

    def __init__(
        self,
        catalog: Catalog,
        tenant: str,
        run_id: str | None,
        ttl_seconds: float = LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> None:
        """``wait_seconds`` is how long to wait for a holder to give it back or let it expire."""
        super().__init__(tenant, run_id, ttl_seconds, wait_seconds)
        self._catalog = catalog
        self._tenant = tenant

    def _take(self) -> Lease:
        return self._catalog.acquire_lease(self._tenant, self.owner, run_id=self._run_id, ttl_seconds=self._ttl_seconds)

    def _renew(self, lease: Lease) -> object:
        return self._catalog.renew_lease(lease)

    def _give_back(self, lease: Lease) -> object:
        return self._catalog.release_lease(lease)
