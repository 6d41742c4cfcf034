"""The catalogue's tables of notices: who gets them, and what is sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from segops_orchestration.catalog.tables import NEVER_REUSE_IDS, Base, BigId, Instant
from segops_orchestration.catalog.webhook_records import EndpointStatus, MessageStatus


class EndpointRow(Base):
    """``secret`` is encrypted; ``event_types`` is a JSON list.

    Every computation up to ``written_up_to`` has its messages; of later ones those may be written already that are
    among the messages. What was committed before ``written_since`` is none of this endpoint's business.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        UniqueConstraint("tenant_id", "url"),
        CheckConstraint("status in ('active', 'disabled')", name="status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)
    event_types: Mapped[str] = mapped_column(Text)
    status: Mapped[EndpointStatus] = mapped_column(String(16))
    status_reason: Mapped[str] = mapped_column(Text)
    written_up_to: Mapped[int] = mapped_column(BigId)
    written_since: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class MessageRow(Base):
    """The outbox. ``claim`` and ``claimed_until`` say which process is sending it."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        UniqueConstraint("message_id"),
        UniqueConstraint("endpoint_id", "computation_id", "segment_id"),
        CheckConstraint("status in ('pending', 'delivered', 'dead')", name="status"),
        Index(None, "status", "next_attempt_at"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(BigId, ForeignKey("webhook_endpoints.id"))
    message_id: Mapped[str] = mapped_column(String(64))
    event_type: Mapped[str] = mapped_column(String(64))
    computation_id: Mapped[int] = mapped_column(BigId)
    segment_id: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[MessageStatus] = mapped_column(String(16))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime] = mapped_column(Instant)
    claimed_until: Mapped[datetime | None] = mapped_column(Instant)
    claim: Mapped[str | None] = mapped_column(String(32))
    last_attempt_at: Mapped[datetime | None] = mapped_column(Instant)
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
