"""Tenants, segments and their versions, the ledger of computations, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

# Spelled out, not imported from tables.py: that file moves on, this one never changes.
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_tenants()
    _create_segments()
    _create_ledger()
    _create_leases()
    if op.get_bind().dialect.name != "sqlite":
        # SQLite cannot add it later and accepted it at once, although its target did not exist yet.
        op.create_foreign_key("fk_segments_committed_id", "segments", "segment_computations", ["committed_id"], ["id"])


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(39), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("slug", name="uq_tenants_slug"),
        sa.CheckConstraint("status in ('active', 'archived')", name=op.f("ck_tenants_status")),
        sqlite_autoincrement=True,
    )


def _create_segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("segment_type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("committed_id", BIG_ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.UniqueConstraint("tenant_id", "slug", name="uq_segments_tenant_id_slug"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_segments_tenant_id"),
        sa.ForeignKeyConstraint(
            ["committed_id"], ["segment_computations.id"], name="fk_segments_committed_id", use_alter=True
        ),
        sa.CheckConstraint("status in ('active', 'archived')", name=op.f("ck_segments_status")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "segment_versions",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("segment_id", "version", name="pk_segment_versions"),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"], name="fk_segment_versions_segment_id"),
    )


def _create_ledger() -> None:
    op.create_table(
        "computations",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("watermark_block", sa.BigInteger(), nullable=False),
        sa.Column("watermark_at", INSTANT, nullable=True),
        sa.Column("membership_version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_computations"),
        sa.UniqueConstraint("tenant_id", "membership_version", name="uq_computations_tenant_id_membership_version"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_computations_tenant_id"),
        sa.CheckConstraint("mode in ('full', 'delta')", name=op.f("ck_computations_mode")),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'abandoned')", name=op.f("ck_computations_status")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_computations_tenant_id_status", "computations", ["tenant_id", "status"])
    op.create_table(
        "segment_computations",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("computation_id", BIG_ID, nullable=False),
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("segment_version", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("candidates", sa.BigInteger(), nullable=True),
        sa.Column("members", sa.BigInteger(), nullable=True),
        sa.Column("entered", sa.BigInteger(), nullable=True),
        sa.Column("exited", sa.BigInteger(), nullable=True),
        sa.Column("rows_read", sa.BigInteger(), nullable=True),
        sa.Column("milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("committed_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_segment_computations"),
        sa.UniqueConstraint("computation_id", "segment_id", name="uq_segment_computations_computation_id_segment_id"),
        sa.ForeignKeyConstraint(["computation_id"], ["computations.id"], name="fk_segment_computations_computation_id"),
        sa.ForeignKeyConstraint(
            ["segment_id", "segment_version"],
            ["segment_versions.segment_id", "segment_versions.version"],
            name="fk_segment_computations_segment_id_segment_version",
        ),
        sa.CheckConstraint("mode in ('full', 'delta')", name=op.f("ck_segment_computations_mode")),
        sa.CheckConstraint(
            "status in ('planned', 'staged', 'committed', 'abandoned')",
            name=op.f("ck_segment_computations_status"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_segment_computations_segment_id_computation_id",
        "segment_computations",
        ["segment_id", "computation_id"],
    )
    op.create_index("ix_segment_computations_status", "segment_computations", ["status"])


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("acquired_at", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_leases"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_leases_tenant_id"),
    )
