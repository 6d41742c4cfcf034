"""``segops segments sql``: the ClickHouse SQL of a definition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from segops_orchestration.cli.output import json_option, note, print_json
from segops_orchestration.cli.segment_files import read_segment_files
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.compiler.conditions import ResolveSegment
    from segops_orchestration.compiler.segment import CompiledQuery
    from segops_orchestration.dsl.models import Definition

Which = Literal["full", "delta", "moved"]

_PLACEHOLDER = re.compile(r"\{(\w+):")


@click.command()
@click.argument("tenant", required=False)
@click.argument("segment", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="Take a segment file instead.")
@click.option("--delta", "which", flag_value="delta", help="The query that a delta runs, on its candidates alone.")
@click.option("--moved", "which", flag_value="moved", help="The query that finds users whom time alone can move.")
@click.option("--params", is_flag=True, help="Print the parameters too, as JSON after the SQL.")
@json_option
def sql(
    tenant: str | None, segment: str | None, file: Path | None, which: Which | None, params: bool, as_json: bool
) -> None:
    """Print the ClickHouse SQL that a definition compiles to: that of a full computation, unless told otherwise.

    Values are never part of the SQL; they travel as parameters. What a computation binds when it runs, such as the
    instant, is named on stderr. With --file no tenant is needed; segments that the file refers to then stay as
    written.

    \b
    Example:
      segops segments sql acme vip --params
      segops segments sql --file vip.yaml --json
    """
    source = _from_file(file) if file is not None and tenant is None else _from_catalog(tenant, segment, file)
    query = _compile(source, which or "full")
    at_run = [name for name in dict.fromkeys(_PLACEHOLDER.findall(query.sql)) if name not in query.parameters]
    if as_json:
        print_json({"sql": query.sql, "parameters": query.parameters, "bound_when_run": at_run})
        return
    click.echo(query.sql)
    if params:
        click.echo()
        print_json(query.parameters)
    note(f"Bound when it runs: {', '.join(at_run)}.")


@dataclass(frozen=True)
class _Source:
    definition: Definition
    resolve: ResolveSegment


def _from_file(file: Path) -> _Source:
    files = read_segment_files([file])
    if len(files) > 1:
        raise SegOpsError(f"{file}: holds {len(files)} segment files; name one of them")
    # No tenant, no ids: a reference is bound as the document has it.
    return _Source(files[0].document.definition, lambda key: cast(int, key))


def _from_catalog(tenant: str | None, segment: str | None, file: Path | None) -> _Source:
    if file is not None or tenant is None or segment is None:
        raise click.UsageError("Name a tenant and a segment, or --file FILE alone.")
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.dsl.parse import parse_definition

    with Catalog.open(Settings.from_env()) as catalog:
        found = catalog.get_segment(tenant, segment)
        segments = catalog.list_segments(tenant, include_archived=True)
    from segops_orchestration.compute.plan import Resolver

    return _Source(parse_definition(found.definition), Resolver(tenant, segments).id)


def _compile(source: _Source, which: Which) -> CompiledQuery:
    from segops_orchestration.compiler.moved import compile_moved
    from segops_orchestration.compiler.segment import compile_members
    from segops_orchestration.compiler.source import CANDIDATES, EVERYONE

    if which == "moved":
        return compile_moved(source.definition)
    return compile_members(source.definition, CANDIDATES if which == "delta" else EVERYONE, source.resolve)
