"""A tenant of the code location whose segment goes to a pretended Braze."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec, Sync
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.stories import BUYERS, happened

CONNECTOR = "buyers-braze"


@dataclass(frozen=True)
class Connected:
    """A tenant whose segment ``buyers`` has a connector, and what the platform has."""

    tenant: StoryTenant
    server: SandboxServer

    @property
    def sandbox(self) -> BrazeSandbox:
        assert isinstance(self.server.sandbox, BrazeSandbox)
        return self.server.sandbox

    @property
    def slug(self) -> str:
        return self.tenant.slug

    def bought(self, *users: str) -> None:
        """Users buy, and are computed."""
        happened(self.tenant, *users)
        self.tenant.compute()

    def connect(self, slug: str = CONNECTOR, *, key: str = "sandbox-key", url: str = "", **options: Any) -> Connector:
        """Another connector of the segment."""
        config = {**self.sandbox.connector_config(self.server.url)}
        if url:
            config[self.sandbox.address] = url
        spec = ConnectorSpec(slug, "buyers", "braze", config, **options)
        return self.tenant.catalog.connectors.create(self.slug, spec, {"api_key": key})

    def connector(self, slug: str = CONNECTOR) -> Connector:
        return self.tenant.catalog.connectors.get(self.slug, slug)

    def syncs(self, slug: str = CONNECTOR) -> Sequence[Sync]:
        return self.tenant.catalog.connectors.list_syncs(self.slug, slug)


@contextmanager
def connected(tenant: StoryTenant, *users: str) -> Iterator[Connected]:
    """The tenant with these buyers, computed, and a connector that has not been synced."""
    tenant.define({"buyers": BUYERS})
    with SandboxServer(BrazeSandbox(speed=60)) as server:
        shop = Connected(tenant, server)
        shop.bought(*users)
        shop.connect()
        yield shop
