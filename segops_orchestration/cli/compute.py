"""``segops compute``: bring memberships up to date."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.instants import instant
from segops_orchestration.cli.opened import open_tenant, refuse_archived
from segops_orchestration.cli.output import format_instant, json_option, note, print_json, print_table

if TYPE_CHECKING:
    from segops_orchestration.catalog.records import Mode
    from segops_orchestration.compute.result import ComputationResult, SegmentResult


@click.command()
@click.argument("tenant")
@click.argument("segments", metavar="[SEGMENT]...", nargs=-1)
@click.option(
    "--mode",
    type=click.Choice(["delta", "full"]),
    default="delta",
    show_default=True,
    help="delta evaluates only users whose answer can have changed, full evaluates everyone.",
)
@click.option("--at", callback=instant, metavar="INSTANT", help="Compute as of this instant. Default: now.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long while another computation of the tenant runs. Default: refuse at once.",
)
@json_option
def command(
    tenant: str, segments: tuple[str, ...], mode: Mode, at: datetime | None, wait: float, as_json: bool
) -> None:
    """Compute who is in the segments of a tenant: all of them, or the ones named and what they refer to.

    Both modes leave the same members. A segment that has no usable earlier computation is computed in full even by
    a delta; the table says why. One computation of a tenant runs at a time: while another does, the exit code is 1,
    and the message names the Dagster run, or host and process, that computes; --wait waits for it.

    \b
    Example:
      segops compute acme
      segops compute acme vip --mode full --at 2026-01-31T10:00:00Z
    """
    with open_tenant(tenant, segments) as opened:
        if not opened.catalog.list_segments(tenant):
            _nothing_to_do(tenant, as_json)
            return
        refuse_archived(opened, segments)
        from segops_orchestration.compute.compute import compute

        result = compute(
            opened.catalog,
            opened.warehouse,
            tenant,
            segments or None,
            mode=mode,
            at=at,
            progress=None if as_json else _tell,
            wait_seconds=wait,
        )
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)


def _nothing_to_do(tenant: str, as_json: bool) -> None:
    if as_json:
        print_json({"computation_id": None, "tenant": tenant, "segments": []})
        return
    click.echo(f"Tenant {tenant} has no segments, so there is nothing to compute.")
    click.echo(f"Next: segops segments apply {tenant} DIR_OR_FILE")


def _tell(result: SegmentResult) -> None:
    note(f"{result.slug}: {result.members:,} members, {result.entered:,} entered, {result.exited:,} exited")


def _print(result: ComputationResult) -> None:
    columns = ["segment", "mode", "members", "entered", "exited", "candidates", "ms", "reason"]
    rows = [
        (one.slug, one.mode, one.members, one.entered, one.exited, one.candidates, one.milliseconds, one.reason)
        for one in result.segments
    ]
    print_table(columns, rows)
    click.echo(
        f"Tenant {result.tenant} is computed as of {format_instant(result.at)}, in {result.milliseconds:,} ms "
        f"(computation {result.computation_id})."
    )
