"""The catalogue's tables of people: who they are, what they may do where, their keys and sessions, and who did what."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from segops_orchestration.catalog.people_records import ActorKind, KeyKind, PersonStatus, Role
from segops_orchestration.catalog.tables import NEVER_REUSE_IDS, Base, BigId, Instant


class PersonRow(Base):
    """``email`` is lower case; ``password_hash`` is Argon2id, None until the person has chosen a password.

    Access tokens name the ``token_version`` that they were made under: to raise it ends them all.
    """

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("status in ('active', 'disabled')", name="status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    token_version: Mapped[int] = mapped_column(default=1)
    status: Mapped[PersonStatus] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_login_at: Mapped[datetime | None] = mapped_column(Instant)


_ONLY_OWNERS = text("role = 'owner'")


class TeamMemberRow(Base):
    """What a person may do in a tenant. The partial unique index is the rule that a tenant has one owner at most."""

    __tablename__ = "team_members"
    __table_args__ = (
        CheckConstraint("role in ('owner', 'admin', 'member', 'viewer')", name="role"),
        UniqueConstraint("tenant_id", "person_id"),
        Index(
            "ix_team_members_one_owner",
            "tenant_id",
            unique=True,
            sqlite_where=_ONLY_OWNERS,
            postgresql_where=_ONLY_OWNERS,
        ),
        Index(None, "person_id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    role: Mapped[Role] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)


class ApiKeyRow(Base):
    """``key_hash`` is SHA-256 of a key of 256 random bits, in hex; ``hmac_secret`` of public keys is encrypted.

    ``allowed_origins`` is a JSON list. ``hint`` is the beginning of the key, for people to recognise it by.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("key_hash"),
        CheckConstraint("kind in ('secret', 'public')", name="kind"),
        CheckConstraint("role in ('admin', 'member', 'viewer')", name="role"),
        Index(None, "tenant_id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    kind: Mapped[KeyKind] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[Role] = mapped_column(String(16))
    hint: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[str] = mapped_column(String(64))
    hmac_secret: Mapped[str | None] = mapped_column(Text)
    allowed_origins: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class RefreshTokenRow(Base):
    """One a refresh. ``family`` is all tokens of one login; a used one that comes again ends them all."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "family"), Index(None, "person_id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    family: Mapped[str] = mapped_column(String(32))
    token_hash: Mapped[str] = mapped_column(String(64))
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class PasswordTokenRow(Base):
    """Lets whoever holds it choose a person's password, once. At most one a person: a newer one replaces it."""

    __tablename__ = "password_tokens"
    __table_args__ = (UniqueConstraint("token_hash"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True, autoincrement=False)
    token_hash: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class AuditEntryRow(Base):
    """Who changed what, written in the transaction that changed it. ``details`` is JSON without secrets."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        CheckConstraint("actor_kind in ('person', 'key', 'operator')", name="actor_kind"),
        Index(None, "tenant_id", "id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    at: Mapped[datetime] = mapped_column(Instant)
    actor_kind: Mapped[ActorKind] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(Text)
    details: Mapped[str] = mapped_column(Text)
