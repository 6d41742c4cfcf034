"""A tenant with one segment and one connector to a roster, driven the way the tests tell a story."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from segops_orchestration.activation.difference import Backlog
from segops_orchestration.activation.pending import pending
from segops_orchestration.activation.result import SyncResult
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sync import sync
from segops_orchestration.activation.work import Patience
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec, WhenArchived
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.activation.roster.sandbox import RosterSandbox

# Leases last a second: who is killed need not be waited for.
SOON = Patience(lease=1.0, wait=5.0, follow=0.0)
_STATES = """SELECT user_id, toString(state) FROM activation_state FINAL WHERE connector_id = {id:UInt64}"""


@dataclass
class StoryClock:
    """The clock of the catalogue and of the delivery, so far ahead of this machine's."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Shop:
    """One connector and what belongs to it."""

    catalog: Catalog
    warehouse: Warehouse
    tenant: str
    server: SandboxServer
    time: StoryClock
    sandbox: RosterSandbox = field(default_factory=RosterSandbox)
    segment: str = "vip"
    slug: str = "to-roster"
    versions: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.server.sandbox = self.sandbox

    def again(self, sandbox: RosterSandbox, number: int) -> Shop:
        """Another segment of the same tenant, with a roster of its own."""
        return replace(
            self,
            sandbox=sandbox,
            segment=f"{self.segment}-{number}",
            slug=f"{self.slug}-{number}",
            versions=count(1),
        )

    def open(self, *, hold_users: int = 1_000_000, when_archived: WhenArchived = "leave", **config: Any) -> Connector:
        """Create the segment and the connector."""
        self.define()
        spec = ConnectorSpec(
            self.slug,
            self.segment,
            "roster",
            {"base_url": self.server.url, **config},
            hold_users=hold_users,
            when_archived=when_archived,
        )
        return self.catalog.connectors.create(self.tenant, spec)

    def define(self, least: int = 1) -> None:
        """Create the segment, or edit it."""
        condition = {"type": "event_count", "event_type": "order", "operator": "gte", "value": least}
        definition = parse_definition({"logic": "AND", "conditions": [condition]})
        self.catalog.save_segments(
            self.tenant, [SegmentDocument(slug=self.segment, name=self.segment, description="", definition=definition)]
        )

    @property
    def database(self) -> TenantWarehouse:
        return self.warehouse.tenant(self.tenant)

    @property
    def connector(self) -> Connector:
        return self.catalog.connectors.get(self.tenant, self.slug)

    def clock(self) -> datetime:
        return self.time.now()

    def pass_time(self, **span: float) -> None:
        self.time.ahead += timedelta(**span)

    def want(self, users: Iterable[str]) -> None:
        """Make just these users the members of the segment."""
        wanted = set(users)
        segment = self.catalog.get_segment(self.tenant, self.segment).id
        before = self.wanted()
        changes = [(user, 0) for user in sorted(wanted - before)] + [(user, 1) for user in sorted(before - wanted)]
        version = next(self.versions)
        rows = "\n".join(
            json.dumps([segment, user, "2026-01-01 00:00:00.000", version, gone]) for user, gone in changes
        )
        columns = ("segment_id", "user_id", "computed_at", "version", "is_deleted")
        if changes:
            self.database.insert_bytes("segment_memberships", [rows.encode()], "JSONCompactEachRow", columns)

    def wanted(self) -> set[str]:
        """Who is in the segment."""
        sql = "SELECT user_id FROM segment_memberships FINAL WHERE segment_id = {id:UInt64}"
        segment = self.catalog.get_segment(self.tenant, self.segment).id
        return {user for (user,) in self.database.query(sql, {"id": segment}).result_rows}

    def sync(self, *, patience: Patience = SOON, **named: Any) -> SyncResult:
        return sync(self.catalog, self.warehouse, self.tenant, self.slug, patience=patience, clock=self.clock, **named)

    def deliver(self, users: Iterable[str]) -> None:
        """Make these users the members, here and in the roster."""
        self.want(users)
        result = self.sync()
        assert result.outcome == "succeeded", result.error
        assert self.people() == self.wanted()

    def people(self) -> set[str]:
        """Who is in the roster."""
        with self.sandbox.lock:
            return self.sandbox.members()

    def told(self) -> list[tuple[str, str]]:
        """Every change made to the roster, in order."""
        return list(self.sandbox.changes)

    def states(self) -> dict[str, str]:
        """What is stored about each user."""
        return dict(self.database.query(_STATES, {"id": self.connector.id}).result_rows)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer to a query, which may speak of the connector's ``id``."""
        return [tuple(row) for row in self.database.query(sql, {"id": self.connector.id}).result_rows]

    def backlog(self) -> Backlog:
        return pending(self.catalog, self.warehouse, self.tenant, clock=self.clock)[self.slug]

    def identify(self, user: str, properties: dict[str, Any], *, later: timedelta = timedelta()) -> None:
        """Have a user say something about themselves."""
        at = (self.clock() + later).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
        event = {
            "event_id": f"00000000-0000-0000-0000-{next(self.versions):012d}",
            "user_id": user,
            "event_type": "context_identified",
            "occurred_at": "2026-01-01 00:00:00.000",
            "ingested_at": at,
            "payload": json.dumps(properties),
        }
        self.database.insert_bytes("events", [json.dumps(event).encode()], "JSONEachRow")


def users(number: int, start: int = 0) -> set[str]:
    """So many users."""
    return {f"user {at:06d}" for at in range(start, start + number)}


def patient(**changes: Any) -> Patience:
    """``SOON`` with something else."""
    return replace(SOON, **changes)
