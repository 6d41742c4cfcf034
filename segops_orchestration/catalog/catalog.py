"""The door to the catalogue: each method is one transaction and answers with frozen records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from segops_orchestration.catalog import leases, ledger, reports, segments, tenants, trends
from segops_orchestration.catalog.connector_catalog import ConnectorCatalog
from segops_orchestration.catalog.database import connect, translated_errors
from segops_orchestration.catalog.migrate import migrate
from segops_orchestration.catalog.people_catalog import PeopleCatalog
from segops_orchestration.catalog.persons import PersonsCatalog
from segops_orchestration.catalog.records import (
    CommittedChange,
    CommittedCounts,
    CommittedSegment,
    Computation,
    Lease,
    Mode,
    PlannedSegment,
    SaveResult,
    Segment,
    SegmentChange,
    SegmentStatus,
    SegmentVersion,
    StagedCounts,
    Tenant,
    TenantWatermark,
    UnfinishedSegment,
)
from segops_orchestration.catalog.secret_box import SecretBox
from segops_orchestration.catalog.service_catalog import ServiceCatalog
from segops_orchestration.catalog.session_catalog import SessionCatalog
from segops_orchestration.catalog.transactions import Clock, Transactions
from segops_orchestration.catalog.webhooks import WebhookCatalog
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings


class Catalog:
    """Tenants, segments, leases and the ledger of computations.

    Safe to use from several threads and several processes at once. Any method raises ``SegOpsError`` when the
    database cannot be reached, and ``NotFound`` for a tenant or segment that does not exist. An archived
    tenant answers questions and refuses everything that begins something new with ``Conflict``.

    Attributes:
        connectors: the door to connectors: their secrets, leases, syncs, jobs and holds.
        webhooks: the door to notices: who gets them, and the messages.
        people: the door to people, their roles in tenants, API keys, and the audit log.
        sessions: the door to logging in.
        persons: the door to what the catalogue does about the persons in a tenant's data.
        service: the doors to what the REST service keeps.
    """

    def __init__(self, engine: Engine, clock: Clock | None = None, secrets: SecretBox | None = None) -> None:
        self._transactions = Transactions(engine, clock)
        self._readers, self._writers = self._transactions.readers, self._transactions.writers
        self.connectors = ConnectorCatalog(self._transactions, secrets)
        self.webhooks = WebhookCatalog(self._transactions, secrets)
        self.people = PeopleCatalog(self._transactions, secrets)
        self.sessions = SessionCatalog(self._transactions)
        self.persons = PersonsCatalog(self._transactions)
        self.service = ServiceCatalog(self._transactions)

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Connect to ``settings.database_url`` and bring it to the newest schema.

        ``clock`` replaces the time of day; by default it is Postgres's own, so that the processes of several
        hosts agree about leases, or this machine's for SQLite.

        Raises:
            SegOpsError: the database cannot be reached or used, or a newer version of segops has been there.
        """
        engine = connect(settings.database_url)
        try:
            with translated_errors(engine):
                migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock, SecretBox(settings))

    def close(self) -> None:
        """Close the connections."""
        self._readers.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Tenants

    def create_tenant(self, slug: str, name: str | None = None) -> Tenant:
        """Create a tenant; its name is its slug unless given. Raises InvalidDocument, Conflict."""
        with self._write() as (session, now):
            return tenants.create(session, slug, name, now)

    def require_free_slug(self, slug: str) -> None:
        """Find out beforehand that ``create_tenant`` would refuse. Raises InvalidDocument, Conflict."""
        with self._read() as session:
            tenants.require_free_slug(session, slug)

    def list_tenants(self, include_archived: bool = False) -> list[Tenant]:
        """Tenants by slug."""
        with self._read() as session:
            return tenants.every(session, include_archived=include_archived)

    def get_tenant(self, slug: str) -> Tenant:
        """One tenant, archived or not."""
        with self._read() as session:
            return tenants.record(tenants.get(session, slug))

    def archive_tenant(self, slug: str) -> Tenant:
        """Take a tenant out of use; nothing of it is deleted."""
        with self._write() as (session, _):
            return tenants.set_status(session, slug, "archived")

    def restore_tenant(self, slug: str) -> Tenant:
        """Take an archived tenant back into use."""
        with self._write() as (session, _):
            return tenants.set_status(session, slug, "active")

    # Segments

    def save_segments(
        self,
        tenant: str,
        documents: Sequence[SegmentDocument],
        *,
        sources: Mapping[str, str] | None = None,
        prune: bool = False,
        created_by: str | None = None,
    ) -> list[SaveResult]:
        """Create or version segments, all or none; results in the order of ``documents``.

        ``sources`` says, by slug, how a problem names its document (a file, say); else it is ``slug vip``.
        ``prune`` archives the active segments that no document speaks of; their results follow by slug.
        ``created_by`` names who makes the new versions.
        Raises InvalidDocument with every problem, Conflict.
        """
        with self._write() as (session, now):
            return segments.save(session, tenant, documents, sources, now, prune=prune, created_by=created_by)

    def plan_segments(
        self,
        tenant: str,
        documents: Sequence[SegmentDocument],
        *,
        sources: Mapping[str, str] | None = None,
        prune: bool = False,
    ) -> list[SegmentChange]:
        """What ``save_segments`` would do, without doing it; it refuses what that would refuse.

        The documents come in their order, then all other active segments by slug.
        """
        with self._read() as session:
            return segments.plan(session, tenant, documents, sources, prune=prune)

    def list_segments(self, tenant: str, include_archived: bool = False) -> list[Segment]:
        """A tenant's segments by slug."""
        with self._read() as session:
            return segments.every(session, tenant, include_archived=include_archived)

    def get_segment(self, tenant: str, segment: int | str) -> Segment:
        """One segment, archived or not, by id (an integer) or slug (a text)."""
        with self._read() as session:
            return segments.get(session, tenant, segment)

    def archive_segment(self, tenant: str, slug: str) -> Segment:
        """Take a segment out of use. Raises Conflict naming the active segments that refer to it."""
        with self._write() as (session, now):
            return segments.archive(session, tenant, slug, now)

    def versions(self, tenant: str, slug: str) -> list[SegmentVersion]:
        """Every version of a segment, oldest first."""
        with self._read() as session:
            return segments.versions(session, tenant, slug)

    def segment_status(self, tenant: str, include_archived: bool = False) -> list[SegmentStatus]:
        """What each segment of a tenant holds and when that was computed, by slug."""
        with self._read() as session:
            return reports.segment_status(session, tenant, include_archived=include_archived)

    def member_trends(self, tenant: str, segment_ids: Sequence[int], days: int) -> Mapping[int, trends.Trend]:
        """By segment: the members at the end of each of the last days in UTC, from its first computation on."""
        with self._read() as session:
            return trends.member_trends(session, tenant, segment_ids, days, self._now(session))

    # Leases

    def acquire_lease(self, tenant: str, owner: str, run_id: str | None = None, ttl_seconds: float = 60) -> Lease:
        """Take the tenant's lease, also that of a holder who let it expire. Raises TenantBusy."""
        with self._write() as (session, now):
            return leases.acquire(session, tenant, owner, run_id, ttl_seconds, now)

    def renew_lease(self, lease: Lease) -> Lease:
        """Hold the lease for another time to live from now. Raises LeaseLost."""
        with self._write() as (session, now):
            return leases.renew(session, lease, now)

    def release_lease(self, lease: Lease) -> bool:
        """Give the lease back; False, and nothing changed, if it was no longer ours."""
        with self._write() as (session, _):
            return leases.release(session, lease)

    def lease_holder(self, tenant: str) -> Lease | None:
        """The lease in force on a tenant, if any."""
        with self._read() as session:
            return leases.holder(session, tenant, self._now(session))

    # Ledger. With ``lease``, a write happens only while the lease is held, else LeaseLost: checked in the
    # same transaction, so a process that slept through its lease cannot commit over its successor.

    def begin_computation(
        self,
        tenant: str,
        *,
        mode: Mode,
        at: datetime,
        watermark_block: int,
        watermark_at: datetime | None,
        owner: str,
        run_id: str | None,
        segments: Sequence[PlannedSegment],
        lease: Lease | None = None,
    ) -> Computation:
        """Write down a computation with its segments planned, and fix its ``membership_version``."""
        plan = ledger.Plan(tenant, mode, at, watermark_block, watermark_at, owner, run_id, segments)
        with self._write(lease) as (session, now):
            return ledger.begin(session, plan, now)

    def mark_staged(self, computation_id: int, segments: Sequence[StagedCounts], *, lease: Lease | None = None) -> None:
        """The segments' changes are worked out and stored in ClickHouse. Raises Conflict out of turn."""
        with self._write(lease) as (session, _):
            ledger.stage(session, computation_id, segments)

    def commit_segments(
        self, computation_id: int, segments: Sequence[CommittedCounts], *, lease: Lease | None = None
    ) -> None:
        """The staged changes are applied: the segments' members are those of this computation.

        Raises Conflict when one is not staged, or a later computation of it has committed; then none is.
        """
        with self._write(lease) as (session, now):
            ledger.commit(session, computation_id, segments, now)

    def abandon_segment(self, computation_id: int, segment_id: int, *, lease: Lease | None = None) -> None:
        """The segment's changes will never be applied. Raises Conflict when they are."""
        with self._write(lease) as (session, _):
            ledger.abandon(session, computation_id, segment_id)

    def finish_computation(
        self,
        computation_id: int,
        status: ledger.Ended,
        error: str | None = None,
        *,
        lease: Lease | None = None,
    ) -> Computation:
        """End a computation; one that has ended keeps its first outcome.

        With ``failed`` or ``abandoned``, planned segments become abandoned; staged ones stay for recovery to
        find. ``succeeded`` raises Conflict while a segment is neither committed nor abandoned.
        """
        with self._write(lease) as (session, now):
            return ledger.finish(session, computation_id, status, error, now)

    def unfinished(self, tenant: str) -> list[UnfinishedSegment]:
        """Planned and staged segments, oldest first: with the lease in hand, what a crash left behind."""
        with self._read() as session:
            return reports.unfinished(session, tenant)

    def committed_state(self, tenant: str) -> dict[int, CommittedSegment]:
        """The last committed computation of each segment that has one, by segment id."""
        with self._read() as session:
            return reports.committed_state(session, tenant)

    def list_computations(self, tenant: str, segment: int | str | None = None, limit: int = 50) -> list[Computation]:
        """The newest computations first; with ``segment``, those that included it, that part alone."""
        with self._read() as session:
            return reports.list_computations(session, tenant, segment, limit)

    def list_changes(
        self,
        tenant: str,
        segment: int | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        quiet: bool = True,
        computation: int | None = None,
        limit: int = 50,
    ) -> list[CommittedChange]:
        """What committed computations did to segments, newest first; ``since`` and ``until`` bound their instants.

        Without ``quiet``, those by which nobody entered or exited are left out; with ``computation``, all others.
        """
        with self._read() as session:
            return reports.list_changes(
                session,
                tenant,
                segment,
                since=since,
                until=until,
                quiet=quiet,
                computation=computation,
                limit=limit,
            )

    def change_as_of(self, tenant: str, segment: int | str, at: datetime) -> CommittedChange | None:
        """The committed computation whose instant is the latest up to ``at``; of several, the last committed."""
        with self._read() as session:
            return reports.change_as_of(session, tenant, segment, at)

    def member_history(self, tenant: str, segment_ids: Sequence[int], limit: int = 40) -> dict[int, list[int]]:
        """The member counts of each segment's last committed computations, by segment id, oldest first."""
        with self._read() as session:
            return reports.member_history(session, tenant, segment_ids, limit)

    def watermarks(self) -> dict[str, TenantWatermark]:
        """How far each active tenant is computed, by slug: one query for all of them."""
        with self._read() as session:
            return reports.watermarks(session)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with self._transactions.read() as session:
            yield session

    @contextmanager
    def _write(self, lease: Lease | None = None) -> Iterator[tuple[Session, datetime]]:
        """A transaction that writes, and what time it is in it; rolls back on any error."""
        with self._transactions.write() as (session, now):
            if lease is not None:
                leases.require(session, lease)
            yield session, now

    def _now(self, session: Session) -> datetime:
        return self._transactions.now(session)
