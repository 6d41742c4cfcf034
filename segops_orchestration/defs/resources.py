"""What assets and sensors work with: the catalogue and the warehouse, from the environment's settings."""

import dagster as dg
from pydantic import PrivateAttr

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse


class SegOpsResource(dg.ConfigurableResource[None]):
    """Opens the catalogue and the warehouse when they are first asked for, and closes them at the end.

    Where they are is read from the environment (``SEGOPS_HOME``, ``SEGOPS_CLICKHOUSE_URL``,
    ``SEGOPS_DATABASE_URL``), the same for every process of an installation.
    """

    _catalog: Catalog | None = PrivateAttr(default=None)
    _warehouse: Warehouse | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """Where things are."""
        return Settings.from_env()

    @property
    def catalog(self) -> Catalog:
        """The catalogue, at the newest schema."""
        if self._catalog is None:
            self._catalog = Catalog.open(self.settings)
        return self._catalog

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse; the embedded one is started if it is not running."""
        if self._warehouse is None:
            self._warehouse = Warehouse.connect(self.settings)
        return self._warehouse

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close what was opened."""
        if self._warehouse is not None:
            self._warehouse.close()
            self._warehouse = None
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None
