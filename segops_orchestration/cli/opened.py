"""The stores of one tenant, opened for one command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segops_orchestration.errors import Conflict
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse


@dataclass(frozen=True)
class OpenTenant:
    """A tenant that exists, the catalogue and the warehouse."""

    slug: str
    catalog: Catalog
    warehouse: Warehouse

    @property
    def database(self) -> TenantWarehouse:
        """The tenant's database."""
        return self.warehouse.tenant(self.slug)


@contextmanager
def open_tenant(slug: str, segments: Sequence[str] = (), connectors: Sequence[str] = ()) -> Iterator[OpenTenant]:
    """Open both stores. The names are checked first, so that a typing mistake starts no warehouse.

    Raises:
        NotFound: no such tenant, segment or connector.
    """
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.warehouse.client import Warehouse

    settings = Settings.from_env()
    with Catalog.open(settings) as catalog:
        catalog.get_tenant(slug)
        for segment in segments:
            catalog.get_segment(slug, segment)
        for connector in connectors:
            catalog.connectors.get(slug, connector)
        with closing(Warehouse.connect(settings)) as warehouse:
            tenant = OpenTenant(slug, catalog, warehouse)
            tenant.database.migrate()
            yield tenant


def refuse_archived(opened: OpenTenant, segments: Sequence[str]) -> None:
    """Refuse work on archived segments.

    Raises:
        Conflict: one of these is archived.
    """
    for slug in segments:
        if opened.catalog.get_segment(opened.slug, slug).status == "archived":
            raise Conflict(f"segment {slug!r} of tenant {opened.slug!r} is archived; applying its file takes it back")
