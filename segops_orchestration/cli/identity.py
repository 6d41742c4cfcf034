"""``segops identity``: which ids are one person's."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from segops_orchestration.compute.identities import Joining


@click.group()
def command() -> None:
    """Say which ids are one person's: before and after they logged in, or by mistake two users.

    Events of a joined id count as those of the person, also those of the past and those to come, from the next
    computation on. The joined id is no user any more.

    \b
    Example:
      segops identity alias acme anon-7f3a ada
      segops identity merge acme ada-old ada
      segops identity show acme anon-7f3a
    """


@command.command()
@click.argument("tenant")
@click.argument("anonymous_id")
@click.argument("user_id")
@json_option
def alias(tenant: str, anonymous_id: str, user_id: str, as_json: bool) -> None:
    """Say that ANONYMOUS_ID is USER_ID. The first one wins: exit 1 if it belongs to somebody else already.

    \b
    Example:
      segops identity alias acme anon-7f3a ada
    """
    from segops_orchestration.compute.identities import alias as join

    with open_tenant(tenant) as opened:
        joining = join(opened.catalog, opened.database, anonymous_id, user_id)
    _print(tenant, joining, as_json)
    if joining.outcome == "kept":
        raise SystemExit(1)


@command.command()
@click.argument("tenant")
@click.argument("from_user_id")
@click.argument("into_user_id")
@json_option
def merge(tenant: str, from_user_id: str, into_user_id: str, as_json: bool) -> None:
    """Make FROM_USER_ID a part of INTO_USER_ID, with the ids joined to it, whatever was said of it before.

    \b
    Example:
      segops identity merge acme ada-old ada
    """
    from segops_orchestration.compute.identities import merge as join

    with open_tenant(tenant) as opened:
        joining = join(opened.catalog, opened.database, from_user_id, into_user_id)
    _print(tenant, joining, as_json)


@command.command()
@click.argument("tenant")
@click.argument("user_id")
@json_option
def show(tenant: str, user_id: str, as_json: bool) -> None:
    """Show all ids of the person who has USER_ID, and which of them stands for the person in segments.

    \b
    Example:
      segops identity show acme anon-7f3a --json
    """
    with open_tenant(tenant) as opened:
        _show(opened, user_id, as_json)


def _show(opened: OpenTenant, user_id: str, as_json: bool) -> None:
    from segops_orchestration.compute.identities import canonical_id, identities_of

    root = canonical_id(opened.database, user_id)
    identities = identities_of(opened.database, user_id)
    if as_json:
        joined = [{"user_id": one.user_id, "is": one.parent, "said_by": one.kind, "at": one.at} for one in identities]
        print_json({"tenant": opened.slug, "user_id": root, "joined": joined})
        return
    if not identities:
        click.echo(f"No other id is known to be {user_id}.")
        return
    click.echo(f"{root} stands for the person in segments.")
    print_table(["id", "is", "said by", "at"], [(one.user_id, one.parent, one.kind, one.at) for one in identities])


def _print(tenant: str, joining: Joining, as_json: bool) -> None:
    if as_json:
        document = asdict(joining)
        print_json(
            {
                "tenant": tenant,
                "id": document["user_id"],
                "status": document["outcome"],
                "user_id": document["root"],
                "previous_user_id": document["before"],
            }
        )
        return
    one = joining
    said = {
        "joined": f"{one.user_id} is {one.root} from now on.",
        "already joined": f"{one.user_id} and {one.root} were one already.",
        "kept": f"{one.user_id} belongs to {one.before} already; the first one wins. See: segops identity merge -h",
        "moved": f"{one.user_id} was {one.before} and is {one.root} from now on.",
    }
    click.echo(said[one.outcome])
    if one.outcome in ("joined", "moved"):
        click.echo(f"Next: segops compute {tenant}")
