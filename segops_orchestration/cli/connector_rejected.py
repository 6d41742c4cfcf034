"""``segops connectors rejected``: whom a platform refused, why, and once more."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.connector_output import count
from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import format_instant, json_option, note, print_json

if TYPE_CHECKING:
    from segops_orchestration.activation.rejections import RejectedUser


@click.command()
@click.argument("tenant")
@click.argument("connector")
@click.option(
    "--requeue", "again", is_flag=True, help="Let them be tried again by the next sync, as for the first time."
)
@click.option("--user", "users", multiple=True, metavar="USER", help="With --requeue: only this user. Repeatable.")
@json_option
def rejected(tenant: str, connector: str, again: bool, users: Sequence[str], as_json: bool) -> None:
    """List whom the platform refused, and why.

    A line per user, the newest first: "add" or "remove", the user id, refusals so far, when the user is tried again or
    "parked", and the platform's reason, with tabs between. A refused user is tried again after 10 minutes, 1, 6 and 24
    hours, then parked. --requeue tries all of them, or those named, with the next sync.

    \b
    Example:
      segops connectors rejected acme vip-klaviyo
      segops connectors rejected acme vip-klaviyo | cut -f5 | sort | uniq -c
      segops connectors rejected acme vip-klaviyo --requeue
    """
    from segops_orchestration.activation.rejections import rejected as listed
    from segops_orchestration.activation.rejections import requeue

    if users and not again:
        raise click.UsageError("--user goes with --requeue.")
    with open_tenant(tenant, connectors=[connector]) as opened:
        if again:
            number = requeue(opened.catalog, opened.warehouse, tenant, connector, list(users) or None)
            _tell_requeued(tenant, connector, number, as_json)
            return
        found = listed(opened.catalog, opened.warehouse, tenant, connector)
        shown = _print_json(found) if as_json else _print(found)
    if not shown and not as_json:
        note("Nobody is refused.")


def _tell_requeued(tenant: str, connector: str, number: int, as_json: bool) -> None:
    if as_json:
        print_json({"connector": connector, "requeued": number})
        return
    click.echo(f"{count(number, 'user')} requeued.")
    if number:
        click.echo(f"Next: segops connectors sync {tenant} {connector}")


def _print(found: Iterator[RejectedUser]) -> int:
    return _each(found, lambda one: f"{_line(one)}\n")


def _line(one: RejectedUser) -> str:
    when = "parked" if one.parked else format_instant(one.retry_at)
    return "\t".join((one.action, one_line(one.user_id), str(one.attempts), when, one_line(one.reason)))


def _print_json(found: Iterator[RejectedUser]) -> int:
    """One array, written as the users come: there may be more of them than memory holds."""
    sys.stdout.write("[")
    separator = iter(["\n  "])
    shown = _each(found, lambda one: next(separator, ",\n  ") + json.dumps(_document(one), ensure_ascii=False))
    sys.stdout.write("\n]\n" if shown else "]\n")
    return shown


def _document(one: RejectedUser) -> dict[str, object]:
    times = {"retry_at": format_instant(one.retry_at) or None, "rejected_at": format_instant(one.rejected_at)}
    return {**asdict(one), **times}


def _each(found: Iterator[RejectedUser], text: Callable[[RejectedUser], str]) -> int:
    shown = 0
    for one in found:
        sys.stdout.write(text(one))
        shown += 1
    return shown
