"""``segops plan``: what segment files would change, before anything is saved."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.event_type_notes import messages
from segops_orchestration.cli.instants import instant
from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.output import format_instant, json_option, note, print_json, print_table
from segops_orchestration.cli.segment_files import SegmentFile, paths_argument, read_segment_files, require_directories
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.proposals.plan import Plan, SegmentPlan

_CHANGES_EXIST = 2
_BEYOND = 3
_DEFAULT_SAMPLE = 5
_LARGEST_SAMPLE = 1_000


def _percent(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    number = text.strip().removesuffix("%")
    if number == text.strip() or not number.replace(".", "", 1).isdigit():
        raise click.BadParameter(f"{text!r} is no percentage; write it with its sign, such as 20%")
    return float(number)


@click.command()
@click.argument("tenant")
@paths_argument
@click.option("--prune", is_flag=True, help="Plan to archive the active segments that the directories do not have.")
@click.option("--at", callback=instant, metavar="INSTANT", help="Evaluate as of this instant. Default: now.")
@click.option(
    "--sample",
    type=click.IntRange(0, _LARGEST_SAMPLE),
    default=_DEFAULT_SAMPLE,
    show_default=True,
    metavar="N",
    help="How many ids to show of those who enter, and of those who leave.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when applying would change anything.")
@click.option(
    "--fail-if-change",
    "limit",
    callback=_percent,
    metavar="PERCENT",
    help="Exit 3 when more than this share of any segment's members would move, such as 20%.",
)
@json_option
def command(
    tenant: str,
    paths: Sequence[Path],
    prune: bool,
    at: datetime | None,
    sample: int,
    detailed_exitcode: bool,
    limit: float | None,
    as_json: bool,
) -> None:
    """Show what applying segment files and computing would change: which segments, and who enters and leaves.

    Nothing is written, neither to the catalogue nor to ClickHouse. Every definition is evaluated at one instant, and
    what it refers to is evaluated as the files have it. "Now" is what the last computation found.

    A segment is new, changed, renamed (name or description only), restored (it is archived now), affected (unchanged
    itself, but it refers to one that changes), unchanged, or archived (with --prune: no file has it).

    The share of --fail-if-change is users who enter plus users who leave, over the members now; of nobody, any change
    is 100%. New segments have nothing that could change; an archived one loses everybody.

    \b
    Exit codes: 0 fine, 1 error, 2 there are changes (--detailed-exitcode)
    or the command was mistyped, 3 a segment changes too much.

    \b
    Example:
      segops plan acme segments/
      segops plan acme segments/ --prune --fail-if-change 20%
    """
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.proposals.plan import plan
    from segops_orchestration.warehouse.client import Warehouse

    if prune:
        require_directories(paths)
    files = read_segment_files(paths)
    settings = Settings.from_env()
    with Catalog.open(settings) as catalog:
        catalog.get_tenant(tenant)
        with closing(Warehouse.connect(settings)) as warehouse:
            found = plan(
                catalog,
                warehouse,
                tenant,
                [file.document for file in files],
                sources={file.document.slug: str(file.path) for file in files},
                prune=prune,
                at=at,
                sample=sample,
            )
    beyond = [] if limit is None else found.beyond(limit)
    if as_json:
        print_json(_document(found, files, beyond))
    else:
        _print(found, files, paths, prune)
    for segment in beyond:
        note(_too_much(segment, limit or 0.0))
    if beyond:
        sys.exit(_BEYOND)
    if detailed_exitcode and found.changes:
        sys.exit(_CHANGES_EXIST)


def _document(plan: Plan, files: Sequence[SegmentFile], beyond: Sequence[SegmentPlan]) -> dict[str, Any]:
    return {
        "tenant": plan.tenant,
        "at": plan.at,
        "changes": plan.changes,
        "segments": [_segment(segment) for segment in plan.segments],
        "notes": messages(plan.unknown_event_types, files),
        "has_events": plan.has_events,
        "outdated": plan.outdated,
        "beyond": [segment.slug for segment in beyond],
    }


def _segment(segment: SegmentPlan) -> dict[str, Any]:
    effect = asdict(segment.effect) if segment.effect is not None else {}
    return {
        "segment_id": segment.segment_id,
        "slug": segment.slug,
        "change": segment.change,
        "because": segment.because,
        "file": segment.source,
        "version": segment.version,
        "members": segment.members,
        "would_be": effect.get("would_be", segment.members),
        "entered": effect.get("entered", 0),
        "exited": effect.get("exited", 0),
        "entered_sample": effect.get("entered_sample", ()),
        "exited_sample": effect.get("exited_sample", ()),
        "changed_percent": round(segment.changed_percent, 3),
    }


def _print(plan: Plan, files: Sequence[SegmentFile], paths: Sequence[Path], prune: bool) -> None:
    columns = ["segment", "change", "now", "would be", "enter", "leave", "file"]
    print_table(columns, [_row(segment) for segment in plan.segments])
    for line in _samples(plan):
        click.echo(line)
    for message in messages(plan.unknown_event_types, files):
        note(message)
    if not plan.has_events:
        note(f"Tenant {plan.tenant} has no events yet, so nobody would be in any segment.")
    if plan.outdated:
        note(
            f"Events have arrived since {', '.join(plan.outdated)} was computed, so not all is the files' doing."
            f" To see their effect alone, first: segops compute {plan.tenant}"
        )
    counts = Counter(_change(segment) for segment in plan.segments)
    told = ", ".join(f"{number} {change}" for change, number in counts.items()) or "no segments"
    click.echo(f"Tenant {plan.tenant} at {format_instant(plan.at)}: {told}. Nothing was written.")
    if plan.changes:
        named = " ".join(map(str, paths))
        click.echo(f"Next: segops segments apply {plan.tenant} {named}" + (" --prune" if prune else ""))


def _row(segment: SegmentPlan) -> tuple[object, ...]:
    effect = segment.effect
    change = f"{segment.change} by {', '.join(segment.because)}" if segment.change == "affected" else _change(segment)
    if effect is None:
        return (segment.slug, change, segment.members, segment.members, None, None, segment.source)
    return (segment.slug, change, segment.members, effect.would_be, effect.entered, effect.exited, segment.source)


def _change(segment: SegmentPlan) -> str:
    if segment.change == "unchanged" and segment.source is None:
        return "not in these files"
    return segment.change


def _samples(plan: Plan) -> Iterator[str]:
    for segment in plan.segments:
        effect = segment.effect
        if effect is None:
            continue
        for word, users, count in (
            ("enter", effect.entered_sample, effect.entered),
            ("leave", effect.exited_sample, effect.exited),
        ):
            if users:
                more = f" and {count - len(users):,} more" if count > len(users) else ""
                yield f"{segment.slug}: {word} {', '.join(map(one_line, users))}{more}"


def _too_much(segment: SegmentPlan, limit: float) -> str:
    assert segment.effect is not None
    entered, exited, members = segment.effect.entered, segment.effect.exited, segment.effect.members
    return (
        f"{segment.slug} would change by {segment.changed_percent:.1f}%, more than {limit:g}%: "
        f"{entered:,} enter and {exited:,} leave, of {members:,} members now."
    )
