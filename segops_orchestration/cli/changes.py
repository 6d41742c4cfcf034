"""``segops changes``: who entered and left, computation by computation."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.instants import instant
from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import json_option, note, print_json, print_table
from segops_orchestration.errors import NotFound

if TYPE_CHECKING:
    from segops_orchestration.compute.history import ChangedUser

DEFAULT_LIMIT = 50
_MOST_SEGMENTS = 1 << 20


@click.command()
@click.argument("tenant")
@click.argument("segment", required=False)
@click.option("--since", callback=instant, metavar="INSTANT", help="Computations for this instant and later ones.")
@click.option("--until", callback=instant, metavar="INSTANT", help="Computations for this instant and earlier ones.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    metavar="N",
    show_default=True,
    help="At most so many.",
)
@click.option("--all", "quiet", is_flag=True, help="Computations by which nobody moved, too.")
@click.option(
    "--users",
    "computation",
    type=click.IntRange(min=1),
    metavar="COMPUTATION",
    help="The users that one of them moved.",
)
@json_option
def command(
    tenant: str,
    segment: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    quiet: bool,
    computation: int | None,
    as_json: bool,
) -> None:
    """List who entered and left a tenant's segments, or one of them, newest first: one line a computation and segment.

    "At" is the instant that a computation evaluated, members is how many it left. --users gives the user ids of one
    computation, one a line: segment, entered or exited, and the id, with tabs between them.

    \b
    Example:
      segops changes acme vip --since 2026-01-01
      segops changes acme vip --users 42
    """
    if computation is not None and (since is not None or until is not None):
        raise click.UsageError("--users is about one computation; --since and --until choose among all.")
    with open_tenant(tenant, [segment] if segment else []) as opened:
        if computation is not None:
            _print_users(opened, segment, computation, limit, as_json)
            return
        # One more than is shown tells whether that is all.
        found = opened.catalog.list_changes(tenant, segment, since=since, until=until, quiet=quiet, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        print_json({"tenant": tenant, "changes": [asdict(one) for one in shown], "more": len(found) > limit})
        return
    columns = ["computation", "at", "segment", "version", "mode", "entered", "exited", "members"]
    rows = [
        (one.computation_id, one.at, one.slug, one.version, one.mode, one.entered, one.exited, one.members)
        for one in shown
    ]
    if rows:
        print_table(columns, rows)
    else:
        note("No change is recorded." if quiet else "Nobody entered or left; --all lists computations all the same.")
    if len(found) > limit:
        note(f"There are older ones: --limit N, or --until {shown[-1].at.isoformat()}.")


def _print_users(opened: OpenTenant, segment: str | None, computation: int, limit: int, as_json: bool) -> None:
    from segops_orchestration.compute.history import iter_changed_users

    parts = opened.catalog.list_changes(opened.slug, segment, computation=computation, limit=_MOST_SEGMENTS)
    if not parts:
        of = f"segment {segment!r} of tenant {opened.slug!r}" if segment else f"tenant {opened.slug!r}"
        raise NotFound(f"no computation {computation} of {of} was committed; segops changes lists those that were")
    slugs = {part.segment_id: part.slug for part in parts}
    users = list(iter_changed_users(opened.database, list(slugs), computation, limit=limit + 1))
    shown = users[:limit]
    if as_json:
        rows = [_document(user, slugs) for user in shown]
        print_json({"tenant": opened.slug, "computation_id": computation, "users": rows, "more": len(users) > limit})
        return
    for user in shown:
        click.echo(f"{slugs[user.segment_id]}\t{user.change}\t{one_line(user.user_id)}")
    if not shown:
        note(f"Computation {computation} moved nobody" + (f" in or out of {segment}." if segment else "."))
    elif len(users) > limit:
        note(f"There are more than {limit:,}: --limit N.")


def _document(user: ChangedUser, slugs: dict[int, str]) -> dict[str, object]:
    return {
        "segment_id": user.segment_id,
        "slug": slugs[user.segment_id],
        "user_id": user.user_id,
        "change": user.change,
    }
