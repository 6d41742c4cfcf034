"""``segops audit``: who changed what."""

from __future__ import annotations

from dataclasses import asdict

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.cli.people_output import open_catalog


@click.command()
@click.argument("tenant", required=False)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@click.option("--before", type=click.IntRange(1, 2**62), help="Older than the entry of this number.")
@json_option
def command(tenant: str | None, limit: int, before: int | None, as_json: bool) -> None:
    """List changes of a tenant's team and keys, newest first. They hold no secrets.

    Without TENANT: of people themselves, who are in no one tenant: created, locked out, given a password.

    \b
    Example:
      segops audit acme
      segops audit --json
    """
    with open_catalog() as catalog:
        entries = catalog.people.audit_entries(tenant, before=before, limit=limit)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    if not entries:
        click.echo("There are none.")
        return
    rows = [
        (
            str(one.id),
            one.at,
            f"{one.actor.kind} {one.actor.name}",
            one.action,
            one.target,
            ", ".join(f"{name}: {value}" for name, value in one.details.items()),
        )
        for one in entries
    ]
    print_table(["entry", "at", "who", "what", "of", "details"], rows)
