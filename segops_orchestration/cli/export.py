"""``segops export``: members as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import format_instant, json_option, note, print_json, print_table
from segops_orchestration.errors import Conflict

if TYPE_CHECKING:
    from segops_orchestration.catalog.records import Segment
    from segops_orchestration.exports.export import ExportedFile, Format


@click.command()
@click.argument("tenant")
@click.argument("segments", metavar="[SEGMENT]...", nargs=-1)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["csv", "parquet"]),
    multiple=True,
    default=["csv"],
    show_default=True,
    help="May be given more than once.",
)
@click.option(
    "--to",
    "directory",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files go; it is made if it does not exist.",
)
@json_option
def command(
    tenant: str, segments: tuple[str, ...], formats: tuple[Format, ...], directory: Path, as_json: bool
) -> None:
    """Write the members of segments to DIR/SEGMENT.csv or DIR/SEGMENT.parquet: all active segments, or the ones named.

    Columns: user_id and computed_at, the instant of the computation in which the user entered; by user id. A file
    appears under its name when it is whole, in place of an earlier one.

    \b
    Example:
      segops export acme --to exports/
      segops export acme vip --format csv --format parquet --to exports/
    """
    with open_tenant(tenant, segments) as opened:
        files = _export(opened, _computed(opened, segments), formats, directory)
    if as_json:
        rows = [
            {
                "segment_id": segment.id,
                "slug": segment.slug,
                "status": segment.status,
                "format": file.format,
                "path": file.path,
                "rows": file.rows,
                "bytes": file.bytes,
            }
            for segment, file in files
        ]
        print_json({"tenant": tenant, "files": rows})
    elif files:
        columns = ["segment", "format", "rows", "bytes", "file"]
        print_table(columns, [(one.slug, file.format, file.rows, file.bytes, file.path) for one, file in files])
    else:
        click.echo(f"Tenant {tenant} has no computed segment, so nothing is exported.")
        click.echo(f"Next: segops compute {tenant}")


def _computed(opened: OpenTenant, slugs: Sequence[str]) -> list[Segment]:
    """The segments to export. One that was never computed has no members to speak of, which is not the same as none."""
    committed = opened.catalog.committed_state(opened.slug)
    if not slugs:
        active = opened.catalog.list_segments(opened.slug)
        left_out = [segment.slug for segment in active if segment.id not in committed]
        if left_out:
            note(f"Never computed, so left out: {', '.join(left_out)}.")
        return [segment for segment in active if segment.id in committed]
    named = [opened.catalog.get_segment(opened.slug, slug) for slug in dict.fromkeys(slugs)]
    for segment in named:
        if segment.id not in committed:
            raise Conflict(
                f"segment {segment.slug!r} was never computed, so it has no members to export; "
                f"first: segops compute {opened.slug} {segment.slug}"
            )
        if segment.status == "archived":
            at = format_instant(committed[segment.id].at)
            note(f"Segment {segment.slug} is archived: its members are those of its last computation, {at}.")
    return named


def _export(
    opened: OpenTenant, segments: Sequence[Segment], formats: Sequence[Format], directory: Path
) -> list[tuple[Segment, ExportedFile]]:
    from segops_orchestration.exports.export import export_segment

    return [
        (segment, export_segment(opened.database, segment.id, segment.slug, fmt=fmt, directory=directory))
        for segment in segments
        for fmt in dict.fromkeys(formats)
    ]
