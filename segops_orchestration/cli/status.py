"""``segops status``: how a tenant's segments stand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import format_instant, json_option, print_json, print_table

if TYPE_CHECKING:
    from segops_orchestration.catalog.records import Computation
    from segops_orchestration.compute.status import SegmentState, TenantStatus


@click.command()
@click.argument("tenant")
@json_option
def command(tenant: str, as_json: bool) -> None:
    """Show what each segment of a tenant holds, when that was computed, and whether it is still so.

    State is "ok", "never computed", "definition edited" (since the last computation) or "archived". "New events
    since" is when the first event came in that the segment was not computed with; empty when there is none. A
    computation that is running now is named with whoever runs it.

    \b
    Example:
      segops status acme
    """
    from segops_orchestration.compute.status import tenant_status

    with open_tenant(tenant) as opened:
        found = tenant_status(opened.catalog, opened.warehouse, tenant)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)


def _document(status: TenantStatus) -> dict[str, Any]:
    holder = status.holder
    return {
        "tenant": status.tenant,
        "segments": [_segment(one) for one in status.segments],
        "computing": holder
        and {"owner": holder.owner, "run_id": holder.run_id, "since": holder.acquired_at, "until": holder.expires_at},
        "last_computation": status.last and _computation(status.last),
    }


def _segment(segment: SegmentState) -> dict[str, Any]:
    stored = segment.stored
    return {
        "segment_id": stored.segment_id,
        "slug": stored.slug,
        "version": stored.version,
        "members": stored.members,
        "computed_at": stored.computed_at,
        "mode": stored.mode,
        "state": segment.state,
        "waiting_since": segment.waiting_since,
    }


def _computation(computation: Computation) -> dict[str, Any]:
    return {
        "computation_id": computation.id,
        "run_id": computation.run_id,
        "at": computation.at,
        "mode": computation.mode,
        "status": computation.status,
        "started_at": computation.started_at,
        "finished_at": computation.finished_at,
        "error": computation.error,
    }


def _print(status: TenantStatus) -> None:
    if status.segments:
        columns = ["segment", "version", "members", "last computed", "mode", "state", "new events since"]
        rows = []
        for one in status.segments:
            stored = one.stored
            row = (stored.slug, stored.version, stored.members, stored.computed_at, stored.mode, one.state)
            rows.append((*row, one.waiting_since))
        print_table(columns, rows)
    else:
        click.echo(f"Tenant {status.tenant} has no segments yet.")
        click.echo(f"Next: segops segments apply {status.tenant} DIR_OR_FILE")
    if status.holder is not None:
        click.echo(f"Being computed by {status.holder.owner} since {format_instant(status.holder.acquired_at)}.")
    elif status.last is not None and status.last.error:
        click.echo(f"The last computation ({status.last.id}) failed: {status.last.error}")
    elif any(one.state in ("never computed", "definition edited") or one.waiting_since for one in status.segments):
        click.echo(f"Next: segops compute {status.tenant}")
    else:
        _hint(status)


def _hint(status: TenantStatus) -> None:
    """Nothing waits: what a person may want to see now. Not for pipes, whose readers know."""
    active = [one.stored.slug for one in status.segments if one.state == "ok"]
    if active and sys.stdout.isatty():
        click.echo(f"Next: segops members {status.tenant} {active[0]}, or segops export {status.tenant} --to DIR")
