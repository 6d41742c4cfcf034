"""A small shop for the tests of segments: who spent what, and definitions over it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from segops_orchestration.compute.compute import compute
from segops_orchestration_tests.api.calling import Tenant


def spent(least: float) -> dict[str, Any]:
    """Who spent at least so much."""
    return {
        "logic": "AND",
        "conditions": [
            {
                "type": "monetary",
                "event_type": "order_placed",
                "property": "order_total",
                "metric": "sum",
                "operator": "gte",
                "value": least,
            }
        ],
    }


def within(segment: int | str) -> dict[str, Any]:
    """Who is in another segment."""
    return {"logic": "AND", "conditions": [{"type": "segment_membership", "operator": "in", "segment_id": segment}]}


def give_orders(tenant: Tenant, orders: Iterable[tuple[str, float]]) -> None:
    """Let users have spent so much, an hour ago."""
    at = datetime.now(UTC) - timedelta(hours=1)
    rows = [(str(uuid4()), user, "order_placed", at, f'{{"order_total": {total}}}') for user, total in orders]
    tenant.database.insert("events", rows, ["event_id", "user_id", "event_type", "occurred_at", "payload"])


def computed(tenant: Tenant, *slugs: str) -> None:
    """Compute here and now."""
    compute(tenant.api.catalog, tenant.api.services.warehouse, tenant.slug, slugs or None)


def made(tenant: Tenant, definition: dict[str, Any], name: str = "Big spenders") -> dict[str, Any]:
    """A new segment, as the API answers it."""
    segment: dict[str, Any] = tenant.member_key.post("segments/", {"name": name, "definition": definition}, status=201)
    return segment
