"""Small stories: what happened in a tenant, and two definitions to tell it by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import ORDER, VIEW, all_of, event_count, membership
from segops_orchestration_tests.oracle.evaluate import Event

BUYERS = all_of(event_count("gte", 1))
VIEWERS = all_of(event_count("gte", 1, VIEW))
BOTH = all_of(membership("buyers"), membership("viewers"))


def happened(tenant: StoryTenant, *users: str, event_type: str = ORDER) -> list[Event]:
    """Each of the users did it a minute ago, and it arrives now; returns the events."""
    now = datetime.now(UTC).replace(microsecond=0)
    events = [Event(uuid4(), user, event_type, now - timedelta(minutes=1), now, "{}") for user in users]
    tenant.ingest(events)
    return events
