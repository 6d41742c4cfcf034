"""Alembic runs this file; ``catalog.migrate`` hands it an open connection with its transaction begun."""

from __future__ import annotations

from alembic import context

from segops_orchestration.catalog.connector_tables import ConnectorRow

context.configure(
    connection=context.config.attributes["connection"],
    # One for all tables; the module that adds the last of them has it complete.
    target_metadata=ConnectorRow.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
