"""What a sync leaves to be done, so that one query says who needs another one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("refused", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("next_try_at", INSTANT, nullable=True),
        sa.Column("unfinished", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("unfinished_since", INSTANT, nullable=True),
    ):
        op.add_column("connector_syncs", column)
    op.create_index("ix_connector_syncs_connector_id_id", "connector_syncs", ["connector_id", "id"])
