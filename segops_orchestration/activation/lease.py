"""Holding a connector's lease while its audience is changed or read back."""

from __future__ import annotations

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration.catalog.connector_records import ConnectorLease
from segops_orchestration.catalog.holding import LEASE_SECONDS, Holding
from segops_orchestration.errors import ConnectorBusy


class HeldConnector(Holding[ConnectorLease]):
    """One sync of a connector at a time; one that lost its lease is stopped by ``check``."""

    busy = ConnectorBusy
    lost = ConnectorLeaseLost

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
        super().__init__(connector, run_id, ttl_seconds, wait_seconds)
        self._catalog = catalog
        self._tenant = tenant
        self._connector = connector

    def check(self) -> None:
        """Refuse to go on without the lease. Raises ConnectorLeaseLost."""
        self._catalog.connectors.require_lease(self.lease)

    def _take(self) -> ConnectorLease:
        return self._catalog.connectors.acquire_lease(
            self._tenant, self._connector, self.owner, run_id=self._run_id, ttl_seconds=self._ttl_seconds
        )

    def _renew(self, lease: ConnectorLease) -> object:
        return self._catalog.connectors.renew_lease(lease)

    def _give_back(self, lease: ConnectorLease) -> object:
        return self._catalog.connectors.release_lease(lease)
