"""``segops segments``: segments written as files, and what the catalogue holds of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.event_type_notes import tell_unknown_event_types
from segops_orchestration.cli.output import format_instant, json_option, print_json, print_table
from segops_orchestration.cli.segment_files import paths_argument, read_segment_files, require_directories
from segops_orchestration.cli.segment_sql import sql
from segops_orchestration.cli.segment_tests import test
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.catalog.connector_records import Connector
    from segops_orchestration.catalog.records import Computation, Segment


@click.group()
def command() -> None:
    """Validate, test, apply, list, show, compile and archive segments.

    A segment is a YAML or JSON file with slug, name, description, definition and tests. Keep them in version control;
    `segops plan` shows what they would change, `apply` makes the catalogue hold what they say.

    \b
    Example, vip.yaml:
      slug: vip
      name: Big spenders
      definition:
        logic: AND
        conditions:
          - {type: monetary, event_type: order_placed, property: total, metric: sum, operator: gte, value: 500}
    \b
      segops segments apply acme vip.yaml
    """


command.add_command(sql)
command.add_command(test)


@command.command()
@paths_argument
@click.option("--tenant", metavar="TENANT", help="Also note event types that this tenant has no event of.")
@json_option
def validate(paths: Sequence[Path], tenant: str | None, as_json: bool) -> None:
    """Check segment files alone, without a tenant: exit 1 with every problem, or list the segments.

    Whether the segments that they refer to exist is for `segops plan` and `apply` to say.

    \b
    Example:
      segops segments validate segments/
      segops segments validate segments/ --tenant acme
    """
    files = read_segment_files(paths)
    if tenant is not None:
        from segops_orchestration.catalog.catalog import Catalog

        settings = Settings.from_env()
        with Catalog.open(settings) as catalog:
            catalog.get_tenant(tenant)
        tell_unknown_event_types(settings, tenant, files)
    if as_json:
        print_json([{"file": file.path, "slug": file.document.slug, "name": file.document.name} for file in files])
        return
    print_table(["segment", "name", "file"], [(file.document.slug, file.document.name, file.path) for file in files])
    click.echo(f"{_count(len(files), 'segment')} valid.")


@command.command()
@click.argument("tenant")
@paths_argument
@click.option("--prune", is_flag=True, help="Archive the active segments that the directories do not have.")
@json_option
def apply(tenant: str, paths: Sequence[Path], prune: bool, as_json: bool) -> None:
    """Create or change a tenant's segments as files say. All of them, or with any problem none.

    A changed definition becomes a new version; earlier ones are kept. Members change with the next computation;
    `segops plan` shows beforehand how. Segments that no file speaks of stay as they are, or are archived with --prune,
    which is refused when a file refers to one of them. Event types that the tenant has no event of are noted.

    \b
    Example:
      segops segments apply acme segments/
    """
    from segops_orchestration.catalog.catalog import Catalog

    if prune:
        require_directories(paths)
    files = read_segment_files(paths)
    sources = {file.document.slug: str(file.path) for file in files}
    settings = Settings.from_env()
    with Catalog.open(settings) as catalog:
        results = catalog.save_segments(tenant, [file.document for file in files], sources=sources, prune=prune)
        archived = [one.segment.slug for one in results if one.outcome == "archived"]
        connectors = [one for one in catalog.connectors.every(tenant) if one.segment in archived]
    rows = [
        {
            "segment_id": one.segment.id,
            "slug": one.segment.slug,
            "outcome": one.outcome,
            "version": one.segment.version,
            "file": sources.get(one.segment.slug),
        }
        for one in results
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ("slug", "outcome", "version", "file")
        print_table(["segment", *columns[1:]], [[row[column] for column in columns] for row in rows])
    tell_unknown_event_types(settings, tenant, files)
    if not as_json:
        outcomes = Counter(one.outcome for one in results)
        click.echo(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) + ".")
        _tell_audiences(tenant, connectors)
        if outcomes["created"] or outcomes["versioned"] or outcomes["restored"]:
            click.echo(f"Next: segops compute {tenant}")


@command.command(name="list")
@click.argument("tenant")
@click.option("--all", "include_archived", is_flag=True, help="Archived segments too.")
@json_option
def list_(tenant: str, include_archived: bool, as_json: bool) -> None:
    """List a tenant's segments, with what their last computation found.

    "pending" says that the definition as it stands has not been computed yet.

    \b
    Example:
      segops segments list acme
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        segments = catalog.segment_status(tenant, include_archived)
    if as_json:
        print_json([asdict(segment) for segment in segments])
        return
    if not segments:
        click.echo(f"Tenant {tenant} has no segments yet. Write some: segops segments apply {tenant} DIR_OR_FILE")
        return
    columns = ["id", "segment", "name", "status", "version", "members", "computed at", "pending"]
    rows = [
        (one.segment_id, one.slug, one.name, one.status, one.version, one.members, one.computed_at, one.pending)
        for one in segments
    ]
    print_table(columns, rows)


@command.command()
@click.argument("tenant")
@click.argument("segment")
@json_option
def show(tenant: str, segment: str, as_json: bool) -> None:
    """Show a segment's definition, its versions and its last computation.

    \b
    Example:
      segops segments show acme vip
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        found = catalog.get_segment(tenant, segment)
        versions = catalog.versions(tenant, segment)
        computations = catalog.list_computations(tenant, segment, limit=1)
    last = _computation(computations[0]) if computations else None
    if as_json:
        print_json({**_document(found), "versions": [asdict(one) for one in versions], "last_computation": last})
        return
    _print_segment(found)
    print_table(["version", "saved"], [(one.version, one.created_at) for one in versions])
    click.echo()
    if last is None:
        click.echo(f"Never computed. Next: segops compute {tenant} {segment}")
    else:
        _print_fields("last computation", {key.replace("_", " "): value for key, value in last.items()})


@command.command()
@click.argument("tenant")
@click.argument("segment")
@json_option
def archive(tenant: str, segment: str, as_json: bool) -> None:
    """Take a segment out of use. Its versions are kept; applying its file again takes it back.

    A segment that others refer to is refused. What becomes of the audiences that its connectors have filled is each
    connector's --when-archived: the next sync empties an audience, or leaves it as it is.

    \b
    Example:
      segops segments archive acme vip
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        archived = catalog.archive_segment(tenant, segment)
        connectors = catalog.connectors.every(tenant, segment=segment)
    if as_json:
        choices = {one.slug: one.when_archived for one in connectors}
        print_json({**_document(archived), "connectors": choices})
        return
    click.echo(f"Segment {segment} of tenant {tenant} is archived.")
    _tell_audiences(tenant, connectors)


def _tell_audiences(tenant: str, connectors: Sequence[Connector]) -> None:
    """What becomes of the audiences of archived segments."""
    for one in connectors:
        if one.when_archived == "empty":
            click.echo(f"{one.slug}: the next sync empties its audience: segops connectors sync {tenant} {one.slug}")
        else:
            click.echo(
                f"{one.slug}: its audience stays as it is; segops connectors delete {tenant} {one.slug} --empty empties"
                " it"
            )


def _document(segment: Segment) -> dict[str, Any]:
    """Its fields, with the id by the name that it has in the output of every command."""
    fields = asdict(segment)
    return {"segment_id": fields.pop("id"), **fields}


def _print_segment(segment: Segment) -> None:
    import yaml

    fields = {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "status": segment.status,
        "version": segment.version,
        "created": segment.created_at,
        "changed": segment.updated_at,
    }
    _print_fields(f"{segment.tenant}/{segment.slug}", fields)
    # As in a segment file, so that it can be copied into one.
    definition = {"definition": _in_reading_order(segment.definition)}
    click.echo(yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=1_000))


def _in_reading_order(value: Any) -> Any:
    """The same JSON value, what a condition is before its details."""
    if isinstance(value, list):
        return [_in_reading_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    first = [key for key in ("logic", "type") if key in value]
    return {key: _in_reading_order(value[key]) for key in [*first, *(key for key in value if key not in first)]}


def _print_fields(title: str, fields: Mapping[str, object]) -> None:
    """Names and values, one a line; those that say nothing are left out."""
    rows = []
    for name, value in fields.items():
        if isinstance(value, datetime):
            rows.append((name, format_instant(value)))
        elif value is not None and value != "":
            rows.append((name, f"{value:,}" if isinstance(value, int) else str(value)))
    print_table([title, ""], rows)
    click.echo()


def _computation(computation: Computation) -> dict[str, Any]:
    """What one computation did to the one segment that it is asked about."""
    [part] = computation.segments
    return {
        "computation_id": computation.id,
        "run_id": computation.run_id,
        "at": computation.at,
        "status": part.status,
        "mode": part.mode,
        "reason": part.reason,
        "version": part.segment_version,
        "candidates": part.candidates,
        "members": part.members,
        "entered": part.entered,
        "exited": part.exited,
        "rows_read": part.rows_read,
        "milliseconds": part.milliseconds,
        "error": computation.error,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
