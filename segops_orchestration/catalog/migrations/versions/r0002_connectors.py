"""Connectors, their secrets, leases, syncs, jobs and holds; shared rates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

# Spelled out, not imported from connector_tables.py: that file moves on, this one never changes.
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_connectors()
    _create_leases()
    _create_syncs()
    _create_jobs_and_holds()
    op.create_table(
        "rate_buckets",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("next_free", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_buckets"),
    )


def _create_connectors() -> None:
    op.create_table(
        "connectors",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("hold_share", sa.Float(), nullable=False),
        sa.Column("hold_users", sa.BigInteger(), nullable=False),
        sa.Column("when_archived", sa.String(16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_connectors"),
        sa.UniqueConstraint("tenant_id", "slug", name="uq_connectors_tenant_id_slug"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_connectors_tenant_id"),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"], name="fk_connectors_segment_id"),
        sa.CheckConstraint(
            "status in ('active', 'paused', 'error', 'held', 'deleting')", name=op.f("ck_connectors_status")
        ),
        sa.CheckConstraint("when_archived in ('empty', 'leave')", name=op.f("ck_connectors_when_archived")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connectors_segment_id", "connectors", ["segment_id"])
    op.create_table(
        "connector_secrets",
        sa.Column("connector_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connector_id", "name", name="pk_connector_secrets"),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name="fk_connector_secrets_connector_id"),
    )


def _create_leases() -> None:
    op.create_table(
        "connector_leases",
        sa.Column("connector_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("acquired_at", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("connector_id", name="pk_connector_leases"),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name="fk_connector_leases_connector_id"),
    )


def _create_syncs() -> None:
    op.create_table(
        "connector_syncs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("connector_id", BIG_ID, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("segment_version", sa.Integer(), nullable=False),
        sa.Column("computation_id", BIG_ID, nullable=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("retries", sa.BigInteger(), nullable=False),
        sa.Column("audience", sa.BigInteger(), nullable=True),
        sa.Column("milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_connector_syncs"),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name="fk_connector_syncs_connector_id"),
        sa.CheckConstraint(
            "kind in ('sync', 'dry_run', 'verify', 'repair', 'empty')", name=op.f("ck_connector_syncs_kind")
        ),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'held', 'abandoned')",
            name=op.f("ck_connector_syncs_status"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connector_syncs_connector_id_status", "connector_syncs", ["connector_id", "status"])


def _create_jobs_and_holds() -> None:
    op.create_table(
        "connector_jobs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("connector_id", BIG_ID, nullable=False),
        sa.Column("sync_id", BIG_ID, nullable=False),
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("submitted_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_connector_jobs"),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name="fk_connector_jobs_connector_id"),
        sa.ForeignKeyConstraint(["sync_id"], ["connector_syncs.id"], name="fk_connector_jobs_sync_id"),
        sa.CheckConstraint("status in ('open', 'succeeded', 'failed', 'lost')", name=op.f("ck_connector_jobs_status")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connector_jobs_connector_id_status", "connector_jobs", ["connector_id", "status"])
    op.create_table(
        "connector_holds",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("connector_id", BIG_ID, nullable=False),
        sa.Column("sync_id", BIG_ID, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("adds", sa.BigInteger(), nullable=False),
        sa.Column("removes", sa.BigInteger(), nullable=False),
        sa.Column("audience", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_connector_holds"),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name="fk_connector_holds_connector_id"),
        sa.ForeignKeyConstraint(["sync_id"], ["connector_syncs.id"], name="fk_connector_holds_sync_id"),
        sa.CheckConstraint(
            "status in ('held', 'approved', 'approved_adds', 'superseded', 'released')",
            name=op.f("ck_connector_holds_status"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connector_holds_connector_id_status", "connector_holds", ["connector_id", "status"])
