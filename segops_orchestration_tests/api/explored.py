"""A tenant's events and segments, as tests of the explorer tell them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from segops_admin import SegOpsAdmin

from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.evaluate import Event

NOW = datetime.now(UTC).replace(microsecond=0)


def story(tenant: Tenant) -> StoryTenant:
    """The same tenant, for telling stories without the API."""
    tenant.database.migrate()
    return StoryTenant(tenant.api.catalog, tenant.api.services.warehouse, tenant.slug)


def event(
    user_id: str,
    event_type: str = "order_placed",
    payload: Mapping[str, Any] | None = None,
    *,
    ago: timedelta = timedelta(days=1),
    name: str | None = None,
    delivered_ago: timedelta = timedelta(hours=1),
) -> Event:
    """An event; one with a name can be delivered again."""
    event_id = uuid4() if name is None else uuid5(NAMESPACE_OID, name)
    return Event(event_id, user_id, event_type, NOW - ago, NOW - delivered_ago, json.dumps(payload or {}))


def client(tenant: Tenant, role: str = "member") -> SegOpsAdmin:
    """The published client, unmodified, with a key of the role."""
    key = tenant.secret_key(role)  # type: ignore[arg-type]
    return SegOpsAdmin(key, base_url=tenant.api.url, max_retries=0)


def orders(count: int, operator: str = "gte", **more: Any) -> dict[str, Any]:
    """A definition: so many orders."""
    condition = {"type": "event_count", "event_type": "order_placed", "operator": operator, "value": count, **more}
    return {"logic": "AND", "conditions": [condition]}
