"""What the catalogue has to say before events are written. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.people_tables import ApiKeyRow
from segops_orchestration.catalog.service_tables import EventSchemaRow
from segops_orchestration.catalog.transactions import Transactions

SchemaStamp = tuple[int, int, str]


@dataclass(frozen=True)
class IngestionState:
    """One tenant at one moment.

    Attributes:
        active: whether it is not archived.
        working_keys: which of the keys that were asked for are not revoked.
        schemas: grows or changes with every change to the tenant's event schemas.
    """

    active: bool
    working_keys: frozenset[int]
    schemas: SchemaStamp


class Ingestion:
    """What is asked before events are written; ``Catalog.service.ingestion``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def state(self, tenant: str, keys: Collection[int]) -> IngestionState:
        """How things stand now. Raises NotFound."""
        with self._transactions.read() as session:
            row = tenants.get(session, tenant)
            working = select(ApiKeyRow.id).where(
                ApiKeyRow.tenant_id == row.id, ApiKeyRow.id.in_(sorted(keys)), ApiKeyRow.revoked_at.is_(None)
            )
            stamp = select(
                func.count(), func.coalesce(func.max(EventSchemaRow.id), 0), func.max(EventSchemaRow.updated_at)
            ).where(EventSchemaRow.tenant_id == row.id)
            count, last, changed = session.execute(stamp).one()
            return IngestionState(
                row.status == "active",
                frozenset(session.scalars(working)) if keys else frozenset(),
                (int(count), int(last), "" if changed is None else str(changed)),
            )
