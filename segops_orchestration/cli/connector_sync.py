"""``segops connectors sync``: bring platforms to the members of segments, or show what would be sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.connector_output import count, hold_document, print_hold
from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import fail, json_option, note, print_json, print_table
from segops_orchestration.errors import SegOpsError

if TYPE_CHECKING:
    from segops_orchestration.activation.result import PlannedUser, SyncResult

FAILED = 1
HELD = 3


@click.command()
@click.argument("tenant")
@click.argument("connectors", metavar="[CONNECTOR]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Send nothing: list each user who would be sent.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long while another sync of a connector runs. Default: refuse at once.",
)
@json_option
def sync(tenant: str, connectors: Sequence[str], dry_run: bool, wait: float, as_json: bool) -> None:
    """Send what has changed since the last sync.

    To all of a tenant's platforms, or by the connectors named. Members are those of the last computation. Whatever was
    not sent, or not confirmed, is sent by the next sync; users whom the platform refuses are tried again by later
    syncs. A change of more users than the connector's limit is held until `segops connectors approve`. One platform
    that fails keeps no other waiting.

    --dry-run takes one connector: a line per user, "add" or "remove", a tab, the user id, and after another tab what
    the user lacks for this platform, if anything. It says at the end whether a sync would be held for its size.

    \b
    Exit codes: 0 fine (a paused connector too), 1 a sync failed,
    2 mistyped, 3 a change is held and nothing failed.

    \b
    Example:
      segops connectors sync acme
      segops connectors sync acme vip-klaviyo --dry-run
    """
    if dry_run and len(connectors) != 1:
        raise click.UsageError("--dry-run shows one connector: name it.")
    with open_tenant(tenant, connectors=connectors) as opened:
        if dry_run:
            sys.exit(_show_plan(opened, connectors[0], wait, as_json))
        slugs = connectors or [one.slug for one in opened.catalog.connectors.every(tenant)]
        results, errors = _sync_all(opened, slugs, wait)
    if as_json:
        print_json([_document(slug, results.get(slug), errors.get(slug)) for slug in slugs])
    else:
        _print(tenant, results)
    for error in errors.values():
        fail(error, as_json=as_json)
    failed = errors or any(one.outcome in ("failed", "error") for one in results.values())
    held = any(one.outcome == "held" for one in results.values())
    sys.exit(FAILED if failed else HELD if held else 0)


def _sync_all(
    opened: OpenTenant, slugs: Sequence[str], wait: float
) -> tuple[dict[str, SyncResult], dict[str, SegOpsError]]:
    """One after the other; an error of one is kept and the next begun."""
    from segops_orchestration.activation.sync import sync as run
    from segops_orchestration.activation.work import Patience

    results: dict[str, SyncResult] = {}
    errors: dict[str, SegOpsError] = {}
    for slug in slugs:
        try:
            results[slug] = run(opened.catalog, opened.warehouse, opened.slug, slug, patience=Patience(wait=wait))
        except SegOpsError as error:
            errors[slug] = error
    return results, errors


def _document(slug: str, result: SyncResult | None, error: SegOpsError | None) -> dict[str, Any]:
    if result is None:
        return {"connector": slug, "outcome": "failed", "error": str(error)}
    return result_document(result)


def result_document(result: SyncResult) -> dict[str, Any]:
    """What a sync came to, as JSON says it."""
    return {
        "connector": result.connector.slug,
        "connector_status": result.connector.status,
        "kind": result.kind,
        "outcome": result.outcome,
        "sync_id": result.sync_id,
        "adds": result.adds,
        "removes": result.removes,
        "added": result.added,
        "removed": result.removed,
        "rejected": result.rejected,
        "pending": result.pending,
        "backlog": asdict(result.backlog),
        "requests": result.requests,
        "retries": result.retries,
        "milliseconds": result.milliseconds,
        "permanent": result.permanent,
        "error": result.error,
        "hold": hold_document(result.hold),
    }


def _print(tenant: str, results: dict[str, SyncResult]) -> None:
    if not results:
        click.echo(f"Nothing was synced. See: segops connectors list {tenant}")
        return
    print_results(list(results.values()))
    for result in results.values():
        slug = result.connector.slug
        if result.outcome == "held" and result.hold is not None:
            print_hold(result.connector, result.hold)
        elif result.outcome == "paused":
            click.echo(f"{slug} is {result.connector.status}: segops connectors show {tenant} {slug}")
        elif result.permanent:
            click.echo(f"{slug} stopped until somebody mends it: segops connectors test {tenant} {slug}, then resume")
        elif result.backlog.parked:
            click.echo(
                f"{count(result.backlog.parked, 'user')} of {slug} parked after several refusals: "
                f"segops connectors rejected {tenant} {slug}"
            )


def print_results(results: Sequence[SyncResult]) -> None:
    """What syncs came to, as a table."""
    columns = ["connector", "outcome", "added", "removed", "rejected", "pending", "audience"]
    rows = []
    for one in results:
        counts = (one.added, one.removed, one.rejected, one.pending, one.backlog.audience)
        rows.append((one.connector.slug, one.outcome, *counts, one.requests, one.retries, one.milliseconds, one.error))
    print_table([*columns, "requests", "retries", "ms", "error"], rows)


def _show_plan(opened: OpenTenant, slug: str, wait: float, as_json: bool) -> int:
    """Every row of a dry run as it comes: there may be more of them than memory holds."""
    from segops_orchestration.activation.sync import sync as run
    from segops_orchestration.activation.work import Patience

    show = _JsonRows() if as_json else _Lines()
    show.begin(opened.slug, slug)
    result = run(
        opened.catalog, opened.warehouse, opened.slug, slug, dry_run=True, patience=Patience(wait=wait), show=show.row
    )
    show.end(result)
    return FAILED if result.outcome in ("failed", "error") else 0


class _Lines:
    """A line a row, for people and for grep."""

    def begin(self, tenant: str, slug: str) -> None:
        self._slug = slug

    def row(self, row: PlannedUser) -> None:
        lacks = f"\t{one_line(row.lacks)}" if row.lacks else ""
        sys.stdout.write(f"{row.action}\t{one_line(row.user_id)}{lacks}\n")

    def end(self, result: SyncResult) -> None:
        if result.error:
            note(result.error)
        note(
            f"{result.adds:,} to add and {result.removes:,} to remove, of an audience of "
            f"{result.backlog.audience:,}; nothing was sent."
        )
        if result.would_hold:
            note("A sync would hold this back for its size until somebody approves it.")


class _JsonRows:
    """One document, written as the rows come."""

    def __init__(self) -> None:
        self._separator = "\n    "

    def begin(self, tenant: str, slug: str) -> None:
        sys.stdout.write(f'{{\n  "tenant": {json.dumps(tenant)},\n  "connector": {json.dumps(slug)},\n  "rows": [')

    def row(self, row: PlannedUser) -> None:
        sys.stdout.write(self._separator + json.dumps(asdict(row), ensure_ascii=False))
        self._separator = ",\n    "

    def end(self, result: SyncResult) -> None:
        tail = {
            "outcome": result.outcome,
            "adds": result.adds,
            "removes": result.removes,
            "would_hold": result.would_hold,
            "error": result.error,
        }
        fields = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in tail.items())
        close = "\n  " if self._separator.startswith(",") else ""
        sys.stdout.write(f"{close}],\n{fields}\n}}\n")
