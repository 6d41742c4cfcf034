"""``segops schema``: the segment language as JSON Schema."""

from __future__ import annotations

import click

from segops_orchestration.cli.output import print_json


@click.command()
@click.option("--definition", is_flag=True, help="The schema of a definition alone, without slug and name.")
@click.option("--json", "as_json", is_flag=True, help="The same: a schema is JSON anyway.")
def command(definition: bool, as_json: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of segment files, from which editors complete and check them.

    A schema sees most mistakes, `segops segments validate` all of them.

    \b
    Example:
      segops schema > segment.schema.json
    and as the first line of a segment file:
      # yaml-language-server: $schema=segment.schema.json
    """
    from segops_orchestration.dsl.schema import definition_schema, segment_schema

    print_json(definition_schema() if definition else segment_schema())
