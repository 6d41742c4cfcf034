"""The last act of the demo: a segment in a stand-in for Klaviyo, filled by one Dagster run and changed by the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segops_orchestration.catalog.connector_records import ConnectorSpec, Sync
from segops_orchestration.errors import NotFound, SegOpsError

if TYPE_CHECKING:
    from segops_orchestration.activation.sandbox.server import SandboxServer
    from segops_orchestration.catalog.catalog import Catalog

SEGMENT = "bulk-last-order"
CONNECTOR = "bulk-klaviyo"
PLATFORM = "klaviyo"
_OVER = "the demo's stand-in for Klaviyo ended with the demo"


@dataclass(frozen=True)
class SyncOutcome:
    """One sync of the demo's connector. ``audience`` is what the stand-in has afterwards, by its own count."""

    added: int
    removed: int
    rejected: int
    requests: int
    milliseconds: int
    audience: int


@dataclass(frozen=True)
class ActivationOutcome:
    """The connector before and after the latest purchases."""

    connector: str
    platform: str
    segment: str
    first: SyncOutcome
    delta: SyncOutcome


class DemoPlatform:
    """A stand-in and the connector to it."""

    def __init__(self, catalog: Catalog, tenant: str, server: SandboxServer) -> None:
        self._catalog = catalog
        self._tenant = tenant
        self._server = server

    def connect(self) -> None:
        """Create the connector; an earlier demo's is forgotten, as its users are."""
        forget_connector(self._catalog, self._tenant)
        sandbox = self._server.sandbox
        spec = ConnectorSpec(CONNECTOR, SEGMENT, PLATFORM, sandbox.connector_config(self._server.url))
        self._catalog.connectors.create(self._tenant, spec, dict(sandbox.secrets))

    def last_sync(self) -> SyncOutcome:
        """What the run just now came to.

        Raises:
            SegOpsError: it did not sync, or the stand-in was called in a way that the vendor would not like.
        """
        syncs = self._catalog.connectors.list_syncs(self._tenant, CONNECTOR, limit=1)
        sandbox = self._server.sandbox
        if not syncs or syncs[0].status != "succeeded" or sandbox.violation_count:
            raise SegOpsError(f"the sync of {CONNECTOR} went wrong: segops connectors log {self._tenant} {CONNECTOR}")
        return _outcome(syncs[0], len(sandbox.members()))

    def outcome(self, first: SyncOutcome) -> ActivationOutcome:
        """Both syncs. The connector is paused: what it connects to is about to end."""
        found = ActivationOutcome(CONNECTOR, PLATFORM, SEGMENT, first, self.last_sync())
        self._catalog.connectors.pause(self._tenant, CONNECTOR, _OVER)
        return found


@contextmanager
def demo_platform(catalog: Catalog, tenant: str) -> Iterator[DemoPlatform]:
    """A stand-in that lasts as long as the demo."""
    from segops_orchestration.activation.sandbox import sandbox_class
    from segops_orchestration.activation.sandbox.server import SandboxServer

    with SandboxServer(sandbox_class(PLATFORM)()) as server:
        yield DemoPlatform(catalog, tenant, server)


def forget_connector(catalog: Catalog, tenant: str) -> None:
    """Delete an earlier demo's connector, if there is one."""
    try:
        catalog.connectors.delete(tenant, CONNECTOR)
    except NotFound:
        return


def _outcome(sync: Sync, audience: int) -> SyncOutcome:
    counts = sync.counts
    return SyncOutcome(
        added=counts.added,
        removed=counts.removed,
        rejected=counts.rejected,
        requests=counts.requests,
        milliseconds=sync.milliseconds or 0,
        audience=audience,
    )
