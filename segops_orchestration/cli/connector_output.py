"""How commands show connectors: secrets as ``***``, ids by the names that they have everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.activation.hidden import HIDDEN, without_query
from segops_orchestration.cli.output import print_table

if TYPE_CHECKING:
    from segops_orchestration.catalog.connector_records import Connector, Hold, Sync


def connector_document(connector: Connector) -> dict[str, Any]:
    """A connector as JSON says it."""
    fields = asdict(connector)
    return {
        "connector_id": fields.pop("id"),
        **fields,
        "config": {name: without_query(value) for name, value in connector.config.items()},
        "secrets": dict.fromkeys(connector.secrets, HIDDEN),
    }


def sync_document(sync: Sync) -> dict[str, Any]:
    """A line of the sync log as JSON says it."""
    fields = asdict(sync)
    return {"sync_id": fields.pop("id"), **fields.pop("counts"), **fields}


def hold_document(hold: Hold | None) -> dict[str, Any] | None:
    """A hold as JSON says it."""
    if hold is None:
        return None
    fields = asdict(hold)
    return {"hold_id": fields.pop("id"), **fields}


def print_syncs(syncs: list[Sync], *, of_many: bool) -> None:
    """The sync log as a table, newest first; with ``of_many``, of several connectors."""
    columns = ["started at", "kind", "status", "added", "removed", "rejected", "pending", "audience", "seconds"]
    columns += ["requests", "retries", "error"]
    rows: list[list[object]] = []
    for sync in syncs:
        counts = sync.counts
        row: list[object] = [sync.started_at, sync.kind.replace("_", " "), sync.status]
        row += [counts.added, counts.removed, counts.rejected, counts.pending, counts.audience]
        row += [None if sync.milliseconds is None else sync.milliseconds / 1000]
        row += [counts.requests, counts.retries, sync.error]
        rows.append([sync.connector, *row] if of_many else row)
    print_table(["connector", *columns] if of_many else columns, rows)


def print_hold(connector: Connector, hold: Hold) -> None:
    """What is held back, why, whom it concerns, and what to do."""
    where = f"{connector.tenant} {connector.slug}"
    size = f"{hold.adds:,} to add and {hold.removes:,} to remove, of an audience of {hold.audience:,}"
    if hold.status != "held":
        what = "the adds of it" if hold.status == "approved_adds" else "it"
        click.echo(f"Approved by {hold.decided_by}: {size}; the next sync sends {what}.")
        return
    click.echo(f"Held, nothing of it was sent: {size}.")
    click.echo(f"Likely cause: {hold.cause}")
    for action, users in hold.sample.items():
        if users:
            click.echo(f"  {action}: {', '.join(map(str, users))}")
    click.echo(f"Look at it: segops connectors sync {where} --dry-run")
    click.echo(f"Let it go:  segops connectors approve {where}, or with --adds-only")


def config_text(config: Mapping[str, Any]) -> str:
    """The config in one line."""
    return ", ".join(f"{name}={without_query(value)}" for name, value in config.items())


def count(number: int, noun: str) -> str:
    """``1 user``, ``2 users``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
