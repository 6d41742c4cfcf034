"""The catalogue's tables. Their history is in ``migrations/``; a test holds the two equal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from segops_orchestration.catalog.records import ComputationStatus, Mode, SegmentComputationStatus, Status


def to_milliseconds(value: datetime) -> datetime:
    """The same instant in UTC, cut to whole milliseconds.

    Raises:
        ValueError: ``value`` has no timezone.
    """
    if value.tzinfo is None:
        raise ValueError(f"an instant needs a timezone: {value.isoformat()}")
    utc = value.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime of millisecond precision, in and out.

    SQLite keeps no timezone, so it stores the UTC reading; its text form sorts as the instants do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant = to_milliseconds(value)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


# SQLite numbers its rows by itself only in a column that is called INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")

# ClickHouse rows refer to these ids, so an id is never given out twice.
NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    """Every constraint has a name, so that a later migration can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class TenantRow(Base):
    __tablename__ = "tenants"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("status in ('active', 'archived')", name="status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(39))
    name: Mapped[str] = mapped_column(Text)
    status: Mapped[Status] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)


class SegmentRow(Base):
    """``version`` is the current one; ``committed_id`` is the computation that its members come from."""

    __tablename__ = "segments"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        CheckConstraint("status in ('active', 'archived')", name="status"),
        ForeignKeyConstraint(["committed_id"], ["segment_computations.id"], use_alter=True),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    segment_type: Mapped[str] = mapped_column(String(16))
    status: Mapped[Status] = mapped_column(String(16))
    version: Mapped[int]
    committed_id: Mapped[int | None] = mapped_column(BigId)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class SegmentVersionRow(Base):
    """Written once: ``definition`` is canonical JSON text."""

    __tablename__ = "segment_versions"

    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    created_by: Mapped[str | None] = mapped_column(Text)


@event.listens_for(SegmentVersionRow, "before_update")
@event.listens_for(SegmentVersionRow, "before_delete")
def _refuse_to_change(mapper: object, connection: object, target: SegmentVersionRow) -> None:
    raise TypeError(f"version {target.version} of segment {target.segment_id} is immutable: save a new one")


class ComputationRow(Base):
    __tablename__ = "computations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "membership_version"),
        CheckConstraint("mode in ('full', 'delta')", name="mode"),
        CheckConstraint("status in ('running', 'succeeded', 'failed', 'abandoned')", name="status"),
        Index(None, "tenant_id", "status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    run_id: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(Text)
    mode: Mapped[Mode] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(Instant)
    watermark_block: Mapped[int] = mapped_column(BigInteger)
    watermark_at: Mapped[datetime | None] = mapped_column(Instant)
    membership_version: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[ComputationStatus] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)


class SegmentComputationRow(Base):
    __tablename__ = "segment_computations"
    __table_args__ = (
        UniqueConstraint("computation_id", "segment_id"),
        ForeignKeyConstraint(
            ["segment_id", "segment_version"], ["segment_versions.segment_id", "segment_versions.version"]
        ),
        CheckConstraint("mode in ('full', 'delta')", name="mode"),
        CheckConstraint("status in ('planned', 'staged', 'committed', 'abandoned')", name="status"),
        Index(None, "segment_id", "computation_id"),
        Index(None, "status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    computation_id: Mapped[int] = mapped_column(BigId, ForeignKey("computations.id"))
    segment_id: Mapped[int]
    segment_version: Mapped[int]
    mode: Mapped[Mode] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    status: Mapped[SegmentComputationStatus] = mapped_column(String(16))
    candidates: Mapped[int | None] = mapped_column(BigInteger)
    members: Mapped[int | None] = mapped_column(BigInteger)
    entered: Mapped[int | None] = mapped_column(BigInteger)
    exited: Mapped[int | None] = mapped_column(BigInteger)
    rows_read: Mapped[int | None] = mapped_column(BigInteger)
    milliseconds: Mapped[int | None] = mapped_column(BigInteger)
    committed_at: Mapped[datetime | None] = mapped_column(Instant)


class LeaseRow(Base):
    """At most one a tenant: the primary key is the lock."""

    __tablename__ = "leases"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(Text)
    token: Mapped[str] = mapped_column(String(32))
    acquired_at: Mapped[datetime] = mapped_column(Instant)
    heartbeat_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
