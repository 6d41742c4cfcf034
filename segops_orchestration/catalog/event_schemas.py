"""What events of a type look like. Each method is one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import audit, tenants
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.service_tables import EventSchemaRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import Conflict, NotFound

PropertyType = Literal["string", "number", "boolean", "datetime", "array"]
# They are held in memory while events come in.
MOST_SCHEMAS = 1000
MOST_PROPERTIES = 200
NAME_CHARACTERS = 256


@dataclass(frozen=True)
class PropertySchema:
    """One property of a payload."""

    name: str
    type: PropertyType
    required: bool = False


@dataclass(frozen=True)
class EventSchema:
    """What the payloads of an event type hold."""

    id: int
    event_type: str
    description: str
    properties: tuple[PropertySchema, ...]
    created_at: datetime
    updated_at: datetime


class EventSchemas:
    """What events of a type look like; ``Catalog.service.event_schemas``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def every(self, tenant: str) -> list[EventSchema]:
        """A tenant's schemas, by event type."""
        with self._transactions.read() as session:
            return _every(session, tenants.get(session, tenant))

    def page(self, tenant: str, offset: int, limit: int) -> tuple[list[EventSchema], int]:
        """Some of them, and how many there are."""
        found = self.every(tenant)
        return found[offset : offset + limit], len(found)

    def get(self, tenant: str, schema_id: int) -> EventSchema:
        """One of them. Raises NotFound."""
        with self._transactions.read() as session:
            return _record(_find(session, tenants.get(session, tenant), schema_id))

    def of_type(self, tenant: str, event_type: str) -> EventSchema | None:
        """The schema of an event type, if it has one."""
        with self._transactions.read() as session:
            row = _of_type(session, tenants.get(session, tenant), event_type)
            return None if row is None else _record(row)

    def create(
        self, tenant: str, event_type: str, description: str, properties: Sequence[PropertySchema], actor: Actor
    ) -> EventSchema:
        """Make one. Raises Conflict: the type has one already, or the tenant has too many."""
        with self._transactions.write() as (session, now):
            owner = tenants.lock_active(session, tenant)
            _check_free(session, owner, event_type)
            if _count(session, owner) >= MOST_SCHEMAS:
                raise Conflict(f"a tenant has at most {MOST_SCHEMAS} event schemas")
            row = EventSchemaRow(
                tenant_id=owner.id,
                event_type=event_type,
                description=description,
                properties=_written(properties),
                created_at=now,
                updated_at=_later(session, owner, now),
            )
            session.add(row)
            session.flush()
            audit.note(session, owner.id, actor, "schema.create", event_type, now)
            return _record(row)

    def change(
        self,
        tenant: str,
        schema_id: int,
        actor: Actor,
        *,
        event_type: str | None = None,
        description: str | None = None,
        properties: Sequence[PropertySchema] | None = None,
    ) -> EventSchema:
        """Change what is given. Raises NotFound, Conflict."""
        with self._transactions.write() as (session, now):
            owner = tenants.lock_active(session, tenant)
            row = _find(session, owner, schema_id)
            if event_type is not None and event_type != row.event_type:
                _check_free(session, owner, event_type)
                row.event_type = event_type
            row.description = row.description if description is None else description
            row.properties = row.properties if properties is None else _written(properties)
            row.updated_at = _later(session, owner, now)
            audit.note(session, owner.id, actor, "schema.change", row.event_type, now)
            return _record(row)

    def delete(self, tenant: str, schema_id: int, actor: Actor) -> None:
        """From now on events of its type are taken as they are. Raises NotFound."""
        with self._transactions.write() as (session, now):
            owner = tenants.lock_active(session, tenant)
            row = _find(session, owner, schema_id)
            audit.note(session, owner.id, actor, "schema.delete", row.event_type, now)
            session.delete(row)


def _every(session: Session, owner: TenantRow) -> list[EventSchema]:
    query = select(EventSchemaRow).where(EventSchemaRow.tenant_id == owner.id)
    return sorted(map(_record, session.scalars(query)), key=lambda schema: schema.event_type)


def _count(session: Session, owner: TenantRow) -> int:
    query = select(func.count()).select_from(EventSchemaRow).where(EventSchemaRow.tenant_id == owner.id)
    return session.execute(query).scalar_one()


def _of_type(session: Session, owner: TenantRow, event_type: str) -> EventSchemaRow | None:
    query = select(EventSchemaRow).where(EventSchemaRow.tenant_id == owner.id, EventSchemaRow.event_type == event_type)
    return session.scalar(query)


def _check_free(session: Session, owner: TenantRow, event_type: str) -> None:
    row = _of_type(session, owner, event_type)
    if row is not None:
        raise Conflict(f"the event type {event_type!r} has a schema already: {row.id}")


def _later(session: Session, owner: TenantRow, now: datetime) -> datetime:
    """Now, or later than every change before: what is remembered of the schemas is compared with this."""
    query = select(func.max(EventSchemaRow.updated_at)).where(EventSchemaRow.tenant_id == owner.id)
    last = session.execute(query).scalar_one()
    return now if last is None or last < now else last + timedelta(milliseconds=1)


def _find(session: Session, owner: TenantRow, schema_id: int) -> EventSchemaRow:
    row = session.get(EventSchemaRow, schema_id)
    if row is None or row.tenant_id != owner.id:
        raise NotFound(f"no event schema {schema_id}")
    return row


def _written(properties: Sequence[PropertySchema]) -> str:
    listed = [{"name": each.name, "type": each.type, "required": each.required} for each in properties]
    return json.dumps(listed, ensure_ascii=False)


def _record(row: EventSchemaRow) -> EventSchema:
    properties = tuple(PropertySchema(**each) for each in json.loads(row.properties))
    return EventSchema(row.id, row.event_type, row.description, properties, row.created_at, row.updated_at)
