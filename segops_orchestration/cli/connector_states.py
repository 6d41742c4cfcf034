"""``segops connectors pause|resume|approve|delete``: what a person decides about a connector."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.connector_output import connector_document, count, hold_document
from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import fail, json_option, print_json
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.activation.result import SyncResult


@click.command()
@click.argument("tenant")
@click.argument("connector")
@click.option("--reason", default="", help="Why, for whoever looks at it later.")
@json_option
def pause(tenant: str, connector: str, reason: str, as_json: bool) -> None:
    """Send nothing until it is resumed.

    Changes of the segment stay pending. A sync that is running stops before its next batches.

    \b
    Example:
      segops connectors pause acme vip-klaviyo --reason "the list is being cleaned up"
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        paused = catalog.connectors.pause(tenant, connector, reason)
    if as_json:
        print_json(connector_document(paused))
        return
    click.echo(f"Connector {connector} of tenant {tenant} is paused; changes stay pending.")
    click.echo(f"Next: segops connectors resume {tenant} {connector}")


@click.command()
@click.argument("tenant")
@click.argument("connector")
@json_option
def resume(tenant: str, connector: str, as_json: bool) -> None:
    """Take up a paused or stopped connector.

    It was paused, or it stopped with an error. The next sync sends the net difference. What was held back before the
    pause is held again; only `approve` lets that go.

    \b
    Example:
      segops connectors resume acme vip-klaviyo
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        resumed = catalog.connectors.resume(tenant, connector)
    if as_json:
        print_json(connector_document(resumed))
        return
    click.echo(f"Connector {connector} of tenant {tenant} is {resumed.status}.")
    step = "approve" if resumed.status == "held" else "sync"
    click.echo(f"Next: segops connectors {step} {tenant} {connector}")


@click.command()
@click.argument("tenant")
@click.argument("connector")
@click.option("--adds-only", is_flag=True, help="Only those to add; the removals are held again by the next sync.")
@json_option
def approve(tenant: str, connector: str, adds_only: bool, as_json: bool) -> None:
    """Let a held change go with the next sync.

    A change of very many users is held and nothing of it sent. Exactly the users of the held difference are approved,
    so far as it still holds for them; whatever has come about since is judged anew.

    \b
    Example:
      segops connectors approve acme vip-klaviyo
      segops connectors approve acme vip-klaviyo --adds-only
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        hold = catalog.connectors.approve_hold(tenant, connector, adds_only=adds_only, by=_who())
        status = catalog.connectors.get(tenant, connector).status
    if as_json:
        print_json({**(hold_document(hold) or {}), "connector": connector, "connector_status": status})
        return
    removes = "" if adds_only else f" and {hold.removes:,} to remove"
    click.echo(f"Approved: {hold.adds:,} to add{removes}.")
    step = "resume" if status == "paused" else "sync"
    click.echo(f"Next: segops connectors {step} {tenant} {connector}")


@click.command()
@click.argument("tenant")
@click.argument("connector")
@click.option("--empty", "choice", flag_value="empty", help="Take everybody out of the audience first whom it added.")
@click.option("--leave", "choice", flag_value="leave", help="Leave the audience as it is.")
@json_option
def delete(tenant: str, connector: str, choice: str | None, as_json: bool) -> None:
    """Delete a connector; its audience is emptied or left.

    Its secrets and its log go too. An emptying that does not come to its end leaves the connector, deleting; the same
    command goes on with it.

    \b
    Example:
      segops connectors delete acme vip-klaviyo --empty
      segops connectors delete acme vip-klaviyo --leave
    """
    from segops_orchestration.activation.emptying import delete_connector

    if choice is None:
        raise click.UsageError(
            "say what becomes of the audience: --empty takes out everybody whom the connector added, --leave leaves it"
            " as it is"
        )
    with open_tenant(tenant, connectors=[connector]) as opened:
        last, emptied = delete_connector(
            opened.catalog, opened.warehouse, tenant, connector, empty_first=choice == "empty"
        )
    deleted = emptied is None or (emptied.outcome == "succeeded" and not emptied.backlog.audience)
    if as_json:
        removed = 0 if emptied is None else emptied.removed
        left = None if emptied is None else emptied.backlog.audience
        document = {**connector_document(last), "deleted": deleted, "removed": removed, "left_in_audience": left}
        print_json(document)
    if not deleted:
        assert emptied is not None
        fail(_not_yet(tenant, connector, emptied), as_json=as_json)
        sys.exit(1)
    if not as_json:
        what = "left as it is" if emptied is None else f"emptied ({count(emptied.removed, 'user')} removed)"
        click.echo(f"Connector {connector} of tenant {tenant} is deleted; its audience was {what}.")


def _not_yet(tenant: str, connector: str, emptied: SyncResult) -> SegOpsError:
    why = f": {emptied.error}" if emptied.error else ""
    return SegOpsError(
        f"connector {connector!r} of tenant {tenant!r} is not deleted yet: "
        f"{count(emptied.backlog.audience, 'user')} may still be in its audience{why}. The same command goes on; "
        "--leave deletes it with the audience as it is"
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
