"""Alembic runs this file; ``catalog.migrate`` hands it an open connection with its transaction begun."""

from __future__ import annotations

from alembic import context

from segops_orchestration.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
