"""A tenant that sells things, for tests of the commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.warehouse.client import TenantWarehouse

Condition = dict[str, Any]

ORDERED: Condition = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}
BIG: Condition = {
    "type": "monetary",
    "event_type": "order_placed",
    "property": "total",
    "metric": "sum",
    "operator": "gte",
    "value": 500,
}


def member_of(segment: str) -> Condition:
    return {"type": "segment_membership", "segment_id": segment, "operator": "in"}


@dataclass(frozen=True)
class Shop:
    slug: str
    catalog: Catalog
    database: TenantWarehouse

    def define(self, slug: str, *conditions: Condition) -> None:
        """Create or edit a segment of users for whom all of this is so."""
        definition = parse_definition({"logic": "AND", "conditions": list(conditions)})
        document = SegmentDocument(slug=slug, name=slug, description="", definition=definition)
        self.catalog.save_segments(self.slug, [document])

    def orders(self, *users: str, total: float = 10, days_ago: float = 1) -> None:
        """One order of each."""
        occurred_at = datetime.now(UTC) - timedelta(days=days_ago)
        payload = json.dumps({"total": total})
        rows = [[uuid4(), user, "order_placed", occurred_at, payload] for user in users]
        self.database.insert("events", rows, ["event_id", "user_id", "event_type", "occurred_at", "payload"])
