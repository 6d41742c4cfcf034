"""The catalogue's tables of the REST service: event schemas, repeated requests, exports, and computations asked for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from segops_orchestration.catalog.service_records import ComputeRequestStatus, ExportFormat, ExportStatus, Launcher
from segops_orchestration.catalog.tables import NEVER_REUSE_IDS, Base, BigId, Instant


class EventSchemaRow(Base):
    """``properties`` is a JSON list of name, type and whether it is required."""

    __tablename__ = "event_schemas"
    __table_args__ = (UniqueConstraint("tenant_id", "event_type"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    event_type: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    properties: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class IdempotencyKeyRow(Base):
    """The answer to a request that carried a key. ``status`` None: none yet, somebody works till ``claimed_until``."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    response: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    claimed_until: Mapped[datetime] = mapped_column(Instant)


class SegmentExportRow(Base):
    """A file that somebody asked for. ``file_name`` is relative to the exports of the service.

    ``heartbeat_at`` is the sign of life of the service that writes it.
    """

    __tablename__ = "segment_exports"
    __table_args__ = (
        CheckConstraint("format in ('csv', 'parquet')", name="format"),
        CheckConstraint("status in ('pending', 'running', 'ready', 'failed', 'expired')", name="status"),
        Index(None, "tenant_id", "id"),
        Index(None, "status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    format: Mapped[ExportFormat] = mapped_column(String(16))
    status: Mapped[ExportStatus] = mapped_column(String(16))
    file_name: Mapped[str | None] = mapped_column(Text)
    rows: Mapped[int | None] = mapped_column(BigInteger)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    heartbeat_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


_UNFINISHED = text("status in ('queued', 'running')")


class ComputeRequestRow(Base):
    """A computation that somebody asked for over the API. One unfinished a segment: the partial index is the rule."""

    __tablename__ = "compute_requests"
    __table_args__ = (
        UniqueConstraint("run_id"),
        CheckConstraint("launcher in ('graphql', 'queue', 'worker')", name="launcher"),
        CheckConstraint("status in ('queued', 'running', 'succeeded', 'failed')", name="status"),
        Index(
            "ix_compute_requests_one_unfinished",
            "segment_id",
            unique=True,
            sqlite_where=_UNFINISHED,
            postgresql_where=_UNFINISHED,
        ),
        Index(None, "tenant_id", "id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    run_id: Mapped[str] = mapped_column(String(64))
    launcher: Mapped[Launcher] = mapped_column(String(16))
    status: Mapped[ComputeRequestStatus] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
