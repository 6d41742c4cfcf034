"""Files of members that somebody asked for. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select

from segops_orchestration.catalog import audit, segments, tenants
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.service_records import ExportFormat, ExportStatus, SegmentExport
from segops_orchestration.catalog.service_tables import SegmentExportRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import NotFound

UNFINISHED: tuple[ExportStatus, ...] = ("pending", "running")


class ExportRequests:
    """Files of members that somebody asked for; ``Catalog.service.exports``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def ask(
        self, tenant: str, segment_id: int, fmt: ExportFormat, actor: Actor, *, patience: timedelta
    ) -> SegmentExport:
        """Write down that a file is wanted; it has failed when nobody has written it for so long.

        Raises:
            NotFound: no such tenant or segment.
            Conflict: the tenant is archived.
        """
        with self._transactions.write() as (session, now):
            owner = tenants.lock_active(session, tenant)
            segment, _ = segments.find(session, owner, segment_id)
            row = SegmentExportRow(
                tenant_id=owner.id,
                segment_id=segment.id,
                format=fmt,
                status="pending",
                requested_by=actor.name,
                created_at=now,
                expires_at=now + patience,
            )
            session.add(row)
            session.flush()
            target = f"{segment.id} ({segment.slug})"
            audit.note(session, owner.id, actor, "segment.export", target, now, {"export": row.id, "format": fmt})
            return _record(row, tenant)

    def claim(self, silent_for: timedelta) -> SegmentExport | None:
        """Take the oldest that waits, or that a service began and left without a sign of life; None: there is none."""
        with self._transactions.write() as (session, now):
            silent = and_(SegmentExportRow.status == "running", SegmentExportRow.heartbeat_at < now - silent_for)
            query = _exports().where(
                or_(SegmentExportRow.status == "pending", silent), SegmentExportRow.expires_at > now
            )
            query = query.order_by(SegmentExportRow.id).limit(1)
            found = session.execute(query.with_for_update(of=SegmentExportRow, skip_locked=True)).one_or_none()
            if found is None:
                return None
            row, slug = found
            row.status, row.heartbeat_at = "running", now
            session.flush()
            return _record(row, slug)

    def alive(self, export_ids: Sequence[int]) -> None:
        """The sign of life of the service that writes them."""
        with self._transactions.write() as (session, now):
            for row in session.scalars(
                _rows(SegmentExportRow.id.in_(export_ids), SegmentExportRow.status == "running")
            ):
                row.heartbeat_at = now

    def ready(self, export_id: int, file_name: str, rows: int, size: int, *, kept: timedelta) -> bool:
        """The file is there, and is kept for so long; False when the export has ended otherwise meanwhile."""
        with self._transactions.write() as (session, now):
            row = session.get(SegmentExportRow, export_id, with_for_update=True)
            if row is None or row.status != "running":
                return False
            row.status, row.file_name, row.rows, row.bytes = "ready", file_name, rows, size
            row.finished_at, row.expires_at = now, now + kept
            return True

    def fail(self, export_id: int, error: str) -> None:
        """It could not be written. One that has ended keeps its outcome."""
        with self._transactions.write() as (session, now):
            row = session.get(SegmentExportRow, export_id, with_for_update=True)
            if row is not None and row.status in UNFINISHED:
                row.status, row.error, row.finished_at = "failed", error, now

    def get(self, tenant: str, export_id: int, segment_id: int | None = None) -> SegmentExport:
        """One export of the tenant, and of the segment if one is named. Raises NotFound."""
        with self._transactions.read() as session:
            query = _exports().where(SegmentExportRow.id == export_id, TenantRow.slug == tenant)
            if segment_id is not None:
                query = query.where(SegmentExportRow.segment_id == segment_id)
            found = session.execute(query).one_or_none()
            if found is None:
                raise NotFound(f"no export {export_id}")
            return _record(*found)

    def overdue(self) -> list[SegmentExport]:
        """Ready ones whose time is over; their files go, then ``forget`` is called. What nobody wrote has failed."""
        with self._transactions.write() as (session, now):
            over = SegmentExportRow.expires_at <= now
            for row in session.scalars(_rows(SegmentExportRow.status.in_(UNFINISHED), over)):
                row.status, row.error, row.finished_at = "failed", "the file was not written in time; ask again", now
            session.flush()
            found = session.execute(_exports().where(SegmentExportRow.status == "ready", over))
            return [_record(row, slug) for row, slug in found]

    def expire(self, tenant: str) -> list[SegmentExport]:
        """Let all of a tenant's files expire now, also those being written; returns those that have a file."""
        with self._transactions.write() as (session, now):
            owner = tenants.lock(session, tenant)
            mine = SegmentExportRow.tenant_id == owner.id
            for row in session.scalars(_rows(mine, SegmentExportRow.status.in_(UNFINISHED))):
                row.status, row.error, row.finished_at = "failed", "the tenant's data was erased; ask again", now
            rows = session.scalars(_rows(mine, SegmentExportRow.status == "ready")).all()
            for row in rows:
                row.expires_at = now
            return [_record(row, tenant) for row in rows]

    def forget(self, export_ids: Sequence[int]) -> None:
        """The files are gone."""
        with self._transactions.write() as (session, _):
            for row in session.scalars(_rows(SegmentExportRow.id.in_(export_ids), SegmentExportRow.status == "ready")):
                row.status = "expired"


def _exports() -> Select[SegmentExportRow, str]:
    return select(SegmentExportRow, TenantRow.slug).join(TenantRow, TenantRow.id == SegmentExportRow.tenant_id)


def _rows(*wanted: ColumnElement[bool]) -> Select[SegmentExportRow]:
    return select(SegmentExportRow).where(*wanted).order_by(SegmentExportRow.id).with_for_update()


def _record(row: SegmentExportRow, tenant: str) -> SegmentExport:
    return SegmentExport(
        id=row.id,
        tenant=tenant,
        segment_id=row.segment_id,
        format=row.format,
        status=row.status,
        file_name=row.file_name,
        rows=row.rows,
        bytes=row.bytes,
        error=row.error,
        requested_by=row.requested_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
    )
