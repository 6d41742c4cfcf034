"""``segops ingest``: events from files into a tenant's warehouse."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.ingest_progress import listening
from segops_orchestration.cli.output import json_option, note, print_json, print_table
from segops_orchestration.errors import Conflict, SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.ingest.time_format import check_time_format

if TYPE_CHECKING:
    from segops_orchestration.warehouse.ingest import ColumnMapping, IngestReport

_FORMATS = ("csv", "jsonl", "parquet")


def _delimiter(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    char = "\t" if value in ("tab", "\\t") else value
    if len(char) != 1 or not char.isascii() or char in '"\r\n':
        raise click.BadParameter(r"one character, or tab; for instance ';' or '\t'")
    return char


def _time_format(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        check_time_format(value)
    except SegOpsError as error:
        raise click.BadParameter(str(error)) from None
    return value


@click.command()
@click.argument("tenant")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--user-id", metavar="COL", help="Column holding the user's id. Default: user_id.")
@click.option("--occurred-at", metavar="COL", help="Column holding the time. Default: occurred_at.")
@click.option(
    "--event-type",
    metavar="COL_OR_TYPE",
    help="Column holding the event type; if the file has none of that name, the type of every row."
    " Default: event_type.",
)
@click.option("--event-id", metavar="COL", help="Column holding the event's id. Default: event_id, if there is one.")
@click.option("--payload", metavar="COL", help="Column holding the payload. Default: payload, if there is one.")
@click.option(
    "--occurred-at-format",
    metavar="FORMAT",
    callback=_time_format,
    help="epoch_seconds, epoch_milliseconds or a strptime format such as %Y%m%d. Default: ISO dates and times.",
)
@click.option("--drop", multiple=True, metavar="COL", help="Column to leave out. May be repeated.")
@click.option(
    "--delimiter", callback=_delimiter, help=r"Of CSV: one character or tab. Default: a comma; a tab for .tsv."
)
@click.option("--format", type=click.Choice(_FORMATS), help="Default: by the file's extension.")
@click.option("--strict", is_flag=True, help="Load nothing if any row of any file is bad.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, write nothing.")
@json_option
def command(
    tenant: str,
    files: tuple[str, ...],
    user_id: str | None,
    occurred_at: str | None,
    event_type: str | None,
    event_id: str | None,
    payload: str | None,
    occurred_at_format: str | None,
    drop: tuple[str, ...],
    delimiter: str | None,
    format: str | None,
    strict: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Load events from CSV, Parquet or JSON lines files (CSV and JSON lines also as .gz) of any size.

    \b
    Examples:
      segops ingest acme events.parquet
      segops ingest acme orders.csv.gz --user-id customer_id \\
          --occurred-at date --event-type order_placed

    Columns named user_id, event_type, occurred_at, payload and event_id are taken as such; options name others. All
    remaining columns become payload properties: in CSV, what reads as a JSON number is one (1.10 stays 1.10; 007 is
    text), true and false are booleans, an empty field is no property. With a payload column (a JSON object) nothing
    may remain: leave columns out with --drop.

    A time is 2026-01-31 or 2026-01-31T10:00:00, with Z, an offset such as +01:00, or nothing, which means UTC. An
    event_id is a UUID; other text becomes one (UUID version 5). Without event_id it comes from the file's content
    and the row: loading a file again adds nothing, and two equal rows are two events.

    Bad rows are told by row and kept in the table dead_letters; the good ones are loaded and the exit code is 1. Rows
    count as a spreadsheet does: a CSV's header is row 1. In JSON lines it is the line, in Parquet the first row is 1.
    """
    from segops_orchestration.warehouse.ingest import ColumnMapping

    mapping = ColumnMapping(
        user_id=user_id,
        occurred_at=occurred_at,
        event_type=event_type,
        event_id=event_id,
        payload=payload,
        occurred_at_format=occurred_at_format,
        drop=drop,
    )
    settings = Settings.from_env()
    has_segments = _require_tenant(settings, tenant)
    if dry_run:
        reports = _check(files, mapping, format, delimiter, quiet=as_json)
    else:
        reports = _load(settings, tenant, files, mapping, format, delimiter, strict=strict, quiet=as_json)
    if as_json:
        print_json({"tenant": tenant, "files": [report.as_document() for report in reports]})
    else:
        _print(tenant, reports, strict=strict, dry_run=dry_run, has_segments=has_segments)
    if any(report.bad for report in reports):
        sys.exit(1)


def _require_tenant(settings: Settings, slug: str) -> bool:
    """Refuse a tenant that takes no events; whether it has segments."""
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(settings) as catalog:
        if catalog.get_tenant(slug).status != "active":
            raise Conflict(f"tenant {slug!r} is archived; segops tenants restore {slug} takes it back")
        return bool(catalog.list_segments(slug))


def _check(
    files: Sequence[str], mapping: ColumnMapping, format: str | None, delimiter: str | None, *, quiet: bool
) -> list[IngestReport]:
    from segops_orchestration.warehouse.ingest import check_files

    with listening(quiet) as progress:
        return check_files(files, mapping, format=format, delimiter=delimiter, progress=progress)


def _load(
    settings: Settings,
    tenant: str,
    files: Sequence[str],
    mapping: ColumnMapping,
    format: str | None,
    delimiter: str | None,
    *,
    strict: bool,
    quiet: bool,
) -> list[IngestReport]:
    from segops_orchestration.warehouse.client import Warehouse
    from segops_orchestration.warehouse.ingest import ingest_files

    with closing(Warehouse.connect(settings)) as warehouse:
        target = warehouse.tenant(tenant)
        target.migrate()
        with listening(quiet) as progress:
            return ingest_files(
                target, files, mapping, strict=strict, format=format, delimiter=delimiter, progress=progress
            )


def _print(tenant: str, reports: Sequence[IngestReport], *, strict: bool, dry_run: bool, has_segments: bool) -> None:
    print_table(
        ["file", "rows", "loaded", "already there", "bad", "seconds", "rows/s"],
        [
            (
                each.file,
                each.rows,
                each.loaded,
                each.already_present,
                each.bad,
                each.seconds,
                round(each.rows_per_second),
            )
            for each in reports
        ],
    )
    for each in reports:
        if each.event_type_constant is not None:
            note(f"{each.file}: every row is an event of type {each.event_type_constant!r}.")
        if not each.rows:
            note(f"{each.file}: no rows below the header.")
    bad = sum(each.bad for each in reports)
    if bad:
        click.echo()
        print_table(["file", "field", "bad rows", "why", "first rows"], _problems(reports))
    note(_outcome(tenant, bad, strict=strict, dry_run=dry_run, has_segments=has_segments))
    # With bad rows the outcome says so; a person at a terminal is told how to go on all the same.
    if bad and not strict and not dry_run and sys.stderr.isatty():
        note(_next(tenant, has_segments))


def _problems(reports: Sequence[IngestReport]) -> list[tuple[object, ...]]:
    return [
        (
            report.file,
            group.field,
            group.count,
            group.reason,
            "; ".join(f"row {each.row}: {each.value!r}" for each in group.examples),
        )
        for report in reports
        for group in report.problems
    ]


def _next(tenant: str, has_segments: bool) -> str:
    if has_segments:
        return f"Next: segops compute {tenant}"
    return f"Next: segops segments apply {tenant} DIR_OR_FILE"


def _outcome(tenant: str, bad: int, *, strict: bool, dry_run: bool, has_segments: bool) -> str:
    rows = f"{bad:,} bad row{'s' * (bad != 1)}"
    if dry_run:
        return (
            f"Nothing was written (--dry-run): {rows}."
            if bad
            else "Nothing was written (--dry-run): all rows are good."
        )
    if not bad:
        return _next(tenant, has_segments)
    kept = f"kept in segops_{tenant}.dead_letters"
    return f"Nothing was loaded (--strict): {rows}, {kept}." if strict else f"{rows}, {kept}; the good rows are loaded."
