"""A tenant with a catalogue and a database, driven the way the tests tell a story."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Mode
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.oracle.evaluate import Event


@dataclass(frozen=True)
class StoryTenant:
    """One tenant of a test."""

    catalog: Catalog
    warehouse: Warehouse
    slug: str

    @property
    def database(self) -> TenantWarehouse:
        return self.warehouse.tenant(self.slug)

    def define(self, segments: Mapping[str, Mapping[str, Any]]) -> None:
        """Create or edit segments."""
        documents = [
            SegmentDocument(slug=slug, name=slug, description="", definition=parse_definition(definition))
            for slug, definition in segments.items()
        ]
        self.catalog.save_segments(self.slug, documents)

    def ingest(self, events: Iterable[Event], received_later: timedelta = timedelta()) -> None:
        """Insert deliveries as one batch, arrival times included, all of them ``received_later``.

        Arrivals are kept for 14 days, so a story of the past must be received about now.
        """
        rows = "\n".join(
            json.dumps(
                {
                    "event_id": str(event.event_id),
                    "user_id": event.user_id,
                    "event_type": event.event_type,
                    "occurred_at": instant_text(event.occurred_at),
                    "ingested_at": instant_text(event.ingested_at + received_later),
                    "payload": event.payload,
                }
            )
            for event in events
        )
        self.database.insert_bytes("events", [rows.encode()], "JSONEachRow")

    def compute(
        self, mode: Mode = "delta", at: datetime | None = None, segments: Sequence[str] | None = None
    ) -> ComputationResult:
        return compute(self.catalog, self.warehouse, self.slug, segments, mode=mode, at=at)

    def members(self, segment: str) -> frozenset[str]:
        """Who is in, as stored."""
        rows = self.database.query(
            "SELECT user_id FROM segment_memberships FINAL WHERE segment_id = {id:UInt64}",
            {"id": self.catalog.get_segment(self.slug, segment).id},
        ).result_rows
        return frozenset(user_id for (user_id,) in rows)

    def all_members(self) -> dict[str, frozenset[str]]:
        """Who is in each active segment, as stored, by slug."""
        slugs = {segment.id: segment.slug for segment in self.catalog.list_segments(self.slug)}
        members: dict[str, set[str]] = {slug: set() for slug in slugs.values()}
        rows = self.database.query("SELECT segment_id, user_id FROM segment_memberships FINAL").result_rows
        for segment_id, user_id in rows:
            members[slugs[segment_id]].add(user_id)
        return {slug: frozenset(users) for slug, users in members.items()}

    def changes(self, segment: str) -> list[tuple[str, str]]:
        """(user, entered or exited) in the order of computations."""
        rows = self.database.query(
            "SELECT user_id, toString(change) FROM membership_changes WHERE segment_id = {id:UInt64}"
            " ORDER BY computation_id, user_id",
            {"id": self.catalog.get_segment(self.slug, segment).id},
        ).result_rows
        return [(user_id, change) for user_id, change in rows]


def an_event(user_id: str, event_type: str, occurred_at: datetime, *, number: int, payload: str = "{}") -> Event:
    """An event received the moment it happened."""
    return Event(UUID(int=number), user_id, event_type, occurred_at, occurred_at, payload)
