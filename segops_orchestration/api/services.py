"""What all requests share: the stores, the signer of tokens, and what runs beside the requests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fastapi import Request

from segops_orchestration.activation.background import BackgroundSyncs
from segops_orchestration.api.key_use import KeyUse
from segops_orchestration.api.limits import CallerLimits, LoginThrottle
from segops_orchestration.api.metrics import Metrics
from segops_orchestration.api.origins import PublicOrigins
from segops_orchestration.api.runs.files import ExportFiles
from segops_orchestration.api.runs.runs import Runs
from segops_orchestration.api.tokens import TokenSigner
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute.identities import CanonicalIds
from segops_orchestration.compute.lookup import MembershipLookup
from segops_orchestration.compute.remembered_members import RememberedMembers
from segops_orchestration.explorer.remembered import Remembered
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse


@dataclass
class Services:
    """The stores of one serving process. Only ``gate.py`` and the routes of ``auth`` use them unbound."""

    settings: Settings
    catalog: Catalog
    warehouse: Warehouse
    tokens: TokenSigner
    metrics: Metrics = field(default_factory=Metrics)
    limits: CallerLimits = field(init=False)
    logins: LoginThrottle = field(default_factory=LoginThrottle)
    syncs: BackgroundSyncs = field(default_factory=BackgroundSyncs)
    looks: Remembered = field(default_factory=Remembered)
    key_use: KeyUse = field(init=False)
    origins: PublicOrigins = field(init=False)
    runs: Runs = field(init=False)
    exports: ExportFiles = field(init=False)
    members: RememberedMembers = field(init=False)
    _lookups: dict[str, MembershipLookup] = field(default_factory=dict)
    _canonical: dict[str, CanonicalIds] = field(default_factory=dict)
    _migrated: set[str] = field(default_factory=set)
    _migrating: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.limits = CallerLimits(self.settings.api_rate)
        self.key_use = KeyUse(self.catalog)
        self.origins = PublicOrigins(self.catalog)
        self.runs = Runs(self.settings, self.catalog.service.computations)
        self.exports = ExportFiles(self.settings, self.catalog, self.database)
        self.members = RememberedMembers(self.catalog.service.checks, self.database, self.settings.api_members_memory)

    def start(self) -> None:
        """Begin with what runs beside the requests."""
        self.runs.start()
        self.exports.start()

    def close(self) -> None:
        """End what runs beside the requests."""
        self.runs.close()
        self.exports.close()
        self.syncs.close()
        self.members.close()
        self.key_use.close()

    def lookup(self, tenant: str) -> MembershipLookup:
        """Membership checks of the tenant, which remember what they have found out about its tables."""
        found = self._lookups.get(tenant)
        if found is None:
            found = self._lookups.setdefault(tenant, MembershipLookup(self.database(tenant)))
        return found

    def canonical_id(self, tenant: str, user_id: str) -> str:
        """The id that stands for the person who has this one."""
        return self.canonical_ids(tenant).of(user_id)

    def canonical_ids(self, tenant: str) -> CanonicalIds:
        """Which ids stand for persons of the tenant."""
        found = self._canonical.get(tenant)
        if found is None:
            found = self._canonical.setdefault(tenant, CanonicalIds(self.database(tenant)))
        return found

    def database(self, tenant: str) -> TenantWarehouse:
        """The tenant's database, at the newest schema."""
        database = self.warehouse.tenant(tenant)
        if tenant not in self._migrated:
            with self._migrating:
                database.migrate()
                self._migrated.add(tenant)
        return database


def services_of(request: Request) -> Services:
    """The services of the application that answers."""
    services: Services = request.app.state.services
    return services
