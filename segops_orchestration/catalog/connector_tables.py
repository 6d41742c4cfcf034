"""The catalogue's tables of connectors and their syncs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from segops_orchestration.catalog.connector_records import (
    ConnectorStatus,
    HoldStatus,
    JobStatus,
    SyncKind,
    SyncStatus,
    WhenArchived,
)
from segops_orchestration.catalog.tables import NEVER_REUSE_IDS, Base, BigId, Instant


class ConnectorRow(Base):
    """``config`` is JSON text without secrets."""

    __tablename__ = "connectors"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        CheckConstraint("status in ('active', 'paused', 'error', 'held', 'deleting')", name="status"),
        CheckConstraint("when_archived in ('empty', 'leave')", name="when_archived"),
        Index(None, "segment_id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    slug: Mapped[str] = mapped_column(String(63))
    type: Mapped[str] = mapped_column(String(32))
    config: Mapped[str] = mapped_column(Text)
    status: Mapped[ConnectorStatus] = mapped_column(String(16))
    status_reason: Mapped[str] = mapped_column(Text)
    hold_share: Mapped[float] = mapped_column(Float)
    hold_users: Mapped[int] = mapped_column(BigInteger)
    when_archived: Mapped[WhenArchived] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class ConnectorSecretRow(Base):
    __tablename__ = "connector_secrets"

    connector_id: Mapped[int] = mapped_column(BigId, ForeignKey("connectors.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    ciphertext: Mapped[str] = mapped_column(Text)


class ConnectorLeaseRow(Base):
    """At most one a connector: the primary key is the lock."""

    __tablename__ = "connector_leases"

    connector_id: Mapped[int] = mapped_column(BigId, ForeignKey("connectors.id"), primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(Text)
    token: Mapped[str] = mapped_column(String(32))
    acquired_at: Mapped[datetime] = mapped_column(Instant)
    heartbeat_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class SyncRow(Base):
    __tablename__ = "connector_syncs"
    __table_args__ = (
        CheckConstraint("kind in ('sync', 'dry_run', 'verify', 'repair', 'empty')", name="kind"),
        CheckConstraint("status in ('running', 'succeeded', 'failed', 'held', 'abandoned')", name="status"),
        Index(None, "connector_id", "status"),
        Index(None, "connector_id", "id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    connector_id: Mapped[int] = mapped_column(BigId, ForeignKey("connectors.id"))
    run_id: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[SyncKind] = mapped_column(String(16))
    status: Mapped[SyncStatus] = mapped_column(String(16))
    segment_version: Mapped[int]
    computation_id: Mapped[int | None] = mapped_column(BigId)
    started_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    added: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[int] = mapped_column(BigInteger)
    rejected: Mapped[int] = mapped_column(BigInteger)
    pending: Mapped[int] = mapped_column(BigInteger)
    requests: Mapped[int] = mapped_column(BigInteger)
    retries: Mapped[int] = mapped_column(BigInteger)
    audience: Mapped[int | None] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger, server_default="0")
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    unfinished: Mapped[int] = mapped_column(server_default="0")
    unfinished_since: Mapped[datetime | None] = mapped_column(Instant)
    milliseconds: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)


class JobRow(Base):
    """``job`` may be long: a platform may need several names for one batch."""

    __tablename__ = "connector_jobs"
    __table_args__ = (
        CheckConstraint("status in ('open', 'succeeded', 'failed', 'lost')", name="status"),
        Index(None, "connector_id", "status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    connector_id: Mapped[int] = mapped_column(BigId, ForeignKey("connectors.id"))
    sync_id: Mapped[int] = mapped_column(BigId, ForeignKey("connector_syncs.id"))
    batch_id: Mapped[str] = mapped_column(String(64))
    job: Mapped[str] = mapped_column(Text)
    status: Mapped[JobStatus] = mapped_column(String(16))
    submitted_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class HoldRow(Base):
    """``sample`` is JSON text."""

    __tablename__ = "connector_holds"
    __table_args__ = (
        CheckConstraint(
            "status in ('held', 'approved', 'approved_adds', 'superseded', 'released')",
            name="status",
        ),
        Index(None, "connector_id", "status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    connector_id: Mapped[int] = mapped_column(BigId, ForeignKey("connectors.id"))
    sync_id: Mapped[int] = mapped_column(BigId, ForeignKey("connector_syncs.id"))
    status: Mapped[HoldStatus] = mapped_column(String(16))
    adds: Mapped[int] = mapped_column(BigInteger)
    removes: Mapped[int] = mapped_column(BigInteger)
    audience: Mapped[int] = mapped_column(BigInteger)
    cause: Mapped[str] = mapped_column(Text)
    sample: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    decided_by: Mapped[str | None] = mapped_column(Text)


class RateBucketRow(Base):
    """When the next request on an account may go: microseconds since 1970."""

    __tablename__ = "rate_buckets"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    next_free: Mapped[int] = mapped_column(BigInteger)
