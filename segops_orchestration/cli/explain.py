"""``segops explain``: why a user is in a segment, or is not."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.explained import lines
from segops_orchestration.cli.instants import instant
from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import json_option, print_json

if TYPE_CHECKING:
    from segops_orchestration.explain.explain import Explanation


@click.command()
@click.argument("tenant")
@click.argument("segment")
@click.argument("user")
@click.option("--at", callback=instant, metavar="INSTANT", help="Explain this instant. Default: now.")
@json_option
def command(tenant: str, segment: str, user: str, at: datetime | None, as_json: bool) -> None:
    """Say why a user is in a segment or is not, condition by condition.

    Each condition comes with what was found, the events that decided it, and when its answer changes by time alone if
    nothing more happens. Definitions are taken as they are now, events as they have arrived until now; if the stored
    membership is another one, the reason is given. Segments that the definition refers to are evaluated at the same
    instant. The exit code is 0 whether the user is in or not.

    \b
    Example:
      segops explain acme vip ada
      segops explain acme vip ada --at 2026-01-31T10:00:00Z --json
    """
    with open_tenant(tenant, [segment]) as opened:
        from segops_orchestration.compute.identities import canonical_id
        from segops_orchestration.explain.explain import explain

        person = canonical_id(opened.database, user)
        found = explain(opened.catalog, opened.warehouse, tenant, segment, person, at=at)
    if as_json:
        _print_document(found)
        return
    for line in lines(found, unicode=_prints("✓✗…")):
        click.echo(line)


def _print_document(found: Explanation) -> None:
    from segops_orchestration.explain.document import explanation_document

    print_json(explanation_document(found))


def _prints(characters: str) -> bool:
    """Whether the output can show these."""
    encoding: str = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
