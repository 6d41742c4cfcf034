"""The errors a user can meet. Each message stands on its own: where, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class SegOpsError(Exception):
    """Something the user can act on. The CLI prints the message alone and exits 1."""


class NotFound(SegOpsError):
    """A tenant, segment or file that was named does not exist."""


class Conflict(SegOpsError):
    """The request contradicts what is stored: a slug in use, a segment that others refer to."""


class Forbidden(SegOpsError):
    """Whoever asks may not do this."""


class TenantBusy(SegOpsError):
    """Another computation holds the tenant's lease.

    ``holder`` names it: the Dagster run id, or host and process id.
    """

    def __init__(self, tenant: str, holder: str) -> None:
        super().__init__(f"tenant {tenant!r} is being computed by {holder}; try again when it has finished")
        self.tenant = tenant
        self.holder = holder


class ConnectorBusy(SegOpsError):
    """Another sync holds the connector's lease. ``holder`` names it: the Dagster run id, or host and process id."""

    def __init__(self, tenant: str, connector: str, holder: str) -> None:
        super().__init__(
            f"connector {connector!r} of tenant {tenant!r} is being synced by {holder}; try again when it has finished"
        )
        self.tenant = tenant
        self.connector = connector
        self.holder = holder


class CatalogueError(SegOpsError):
    """The catalogue's database could not be reached or used."""


class WarehouseError(SegOpsError):
    """ClickHouse could not be reached or refused a query."""


class QueryMemoryExceeded(WarehouseError):
    """A query needed more memory than it, or the server, may hold."""


@dataclass(frozen=True)
class Problem:
    """One fault in a document: ``path`` is where (a JSON path, or a file, row and field)."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidDocument(SegOpsError):
    """A document is wrong. Holds every problem found, in document order; nothing of it was used."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        head = f"{source}: " if source else ""
        super().__init__("\n".join(f"{head}{problem}" for problem in self.problems))
