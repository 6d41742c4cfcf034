"""``segops demo``: the whole job on real purchases."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from segops_orchestration.cli.demo_activation import ActivationOutcome, SyncOutcome
from segops_orchestration.cli.demo_run import DemoOutcome, SegmentOutcome, run_demo
from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.settings import Settings


@click.command()
@click.option("--tenant", default="demo", show_default=True, help="The tenant to make. An earlier demo's is made anew.")
@json_option
def command(tenant: str, as_json: bool) -> None:
    """Run the whole job on real purchases, in less than a minute.

    69,659 purchases of 23,570 customers of the web shop CDNOW are loaded for a tenant, ten segments are computed in
    full by launching the Dagster assets, the latest 30 days of purchases then arrive and a delta follows. The members
    are written as CSV and Parquet, and one segment is sent to a stand-in for Klaviyo on this machine: all of it after
    the full computation, then only who entered and who left.

    The purchases are from 1997 and 1998. Every date is moved by the same number of days, so that the last one is
    today: windows such as "the last 30 days" then have something in them, here and later in the UI.

    Everything lands under SEGOPS_HOME (default .segops). Run it again as often as you like.

    \b
    Example:
      segops demo
      segops demo --json > result.json
    """
    started = time.monotonic()
    settings = Settings.from_env()
    outcome = run_demo(settings, tenant, _Steps())
    if as_json:
        print_json({**asdict(outcome), "seconds": round(time.monotonic() - started, 1)})
        return
    _print(outcome, time.monotonic() - started)


class _Steps:
    """Says on stderr what happens, and how long the step before took."""

    def __init__(self) -> None:
        self._started: float | None = None

    def __call__(self, message: str) -> None:
        self.done()
        self._started = time.monotonic()
        click.echo(f"- {message} ... ", err=True, nl=False)

    def done(self) -> None:
        if self._started is not None:
            click.echo(f"{time.monotonic() - self._started:.1f} s", err=True)
        self._started = None


def _print(outcome: DemoOutcome, seconds: float) -> None:
    columns = (
        "segment", "members", "entered", "ms", "│ members", "candidates", "entered", "exited", "ms",
    )  # fmt: skip
    rows = [_row(segment) for segment in outcome.segments]
    click.echo()
    title = "full computation of the history  │  delta after the latest purchases"
    print_table(columns, rows, title=title)
    click.echo(f"\n{len(outcome.exports)} files in {_short(outcome.exports[0].path.parent)}:")
    print_table(("file", "rows", "bytes"), [(file.path.name, file.rows, file.bytes) for file in outcome.exports])
    _print_activation(outcome.activation)
    click.echo(
        f"\nDone in {seconds:.0f} s. Every date was moved by {outcome.shift_days:,} days, so that the last is today."
    )
    click.echo("\nNext:")
    program = _program()
    for command_line, says in (
        ("dev", "the Dagster UI, on this tenant"),
        (f"members {outcome.tenant} vip --limit 5", "who is in a segment"),
        (f"connectors log {outcome.tenant}", "what was sent"),
    ):
        click.echo(f"  {program} {command_line:<{len(outcome.tenant) + 24}} {says}")
    click.echo("\nThe segments are files to copy and change:")
    click.echo(f"  {_short(outcome.segment_files)}")


def _print_activation(activation: ActivationOutcome) -> None:
    """What the stand-in was sent, by either run."""
    columns = ("", "added", "removed", "rejected", "requests", "ms", "audience")
    rows = [("first sync", *_sync_row(activation.first)), ("after the delta", *_sync_row(activation.delta))]
    click.echo()
    print_table(columns, rows, title=f"{activation.segment} in a stand-in for Klaviyo: {activation.connector}")


def _sync_row(sync: SyncOutcome) -> Sequence[object]:
    return (sync.added, sync.removed, sync.rejected, sync.requests, sync.milliseconds, sync.audience)


def _row(segment: SegmentOutcome) -> Sequence[object]:
    full, delta = segment.full, segment.delta
    return (
        segment.slug, full.members, full.entered, full.milliseconds,
        delta.members, delta.candidates, delta.entered, delta.exited, delta.milliseconds,
    )  # fmt: skip


def _short(path: Path) -> str:
    """Relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _program() -> str:
    return "segops" if shutil.which("segops") else _short(Path(sys.argv[0]).absolute())
