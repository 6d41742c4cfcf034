"""``segops connectors create|apply|update|rotate-secrets``: what a connector is to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.connector_files import ConnectorFile, read_connector_files
from segops_orchestration.cli.connector_output import connector_document, count
from segops_orchestration.cli.connector_secrets import read_secrets, references
from segops_orchestration.cli.document_files import paths_argument
from segops_orchestration.cli.output import json_option, note, print_json, print_table
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option: Decorator = click.option(
    "--config", "config", multiple=True, metavar="NAME=VALUE", help="A field of the type, as `types` shows it."
)
secret_option: Decorator = click.option(
    "--secret", "secret", multiple=True, metavar="NAME=env:VARIABLE", help="The environment variable that has a secret."
)
hold_share_option: Decorator = click.option(
    "--hold-share",
    type=click.FloatRange(0, 1),
    help="Hold a sync that would add or remove more than this share of the audience. Default 0.3.",
)
hold_users_option: Decorator = click.option(
    "--hold-users", type=click.IntRange(min=0), help="... and at least so many users. Default 100."
)
archived_option: Decorator = click.option(
    "--when-archived",
    type=click.Choice(["empty", "leave"]),
    help="What becomes of the audience when the segment is archived. Default leave.",
)


@click.command()
@click.argument("tenant")
@click.option("--segment", required=True, metavar="SEGMENT", help="Whose members are sent.")
@click.option("--type", "type_", required=True, metavar="TYPE", help="Where to: see `segops connectors types`.")
@click.option("--slug", metavar="CONNECTOR", help="What it is called. Default: SEGMENT-TYPE.")
@config_option
@secret_option
@hold_share_option
@hold_users_option
@archived_option
@json_option
def create(
    tenant: str,
    segment: str,
    type_: str,
    slug: str | None,
    config: Sequence[str],
    secret: Sequence[str],
    hold_share: float | None,
    hold_users: int | None,
    when_archived: str | None,
    as_json: bool,
) -> None:
    """Create a connector; nothing is sent yet.

    The members of a segment go to an audience of a platform, and whoever leaves the segment is taken out there. Secrets
    come from environment variables, or you are asked for them; they are stored encrypted and never shown.

    \b
    Example:
      segops connectors create acme --segment vip --type klaviyo --config list_id=Y6nRLr \\
          --secret api_key=env:KLAVIYO_KEY
    """
    from segops_orchestration.activation.fields import checked_config, type_problem
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.connector_records import ConnectorSpec

    if (problem := type_problem(type_)) is not None:
        raise click.BadParameter(problem, param_hint="--type")
    variables = references(secret)
    with Catalog.open(Settings.from_env()) as catalog:
        name = slug or f"{segment}-{type_}".replace("_", "-")
        spec = ConnectorSpec(slug=name, segment=segment, type=type_, config=checked_config(type_, _pairs(config)))
        spec = _with_options(spec, hold_share, hold_users, when_archived)
        # Before anybody is asked for a secret in vain.
        catalog.connectors.require_free(tenant, spec)
        created = catalog.connectors.create(tenant, spec, read_secrets(type_, variables, ()))
    if as_json:
        print_json(connector_document(created))
        return
    click.echo(f"Connector {created.slug} of tenant {tenant} is created; nothing is sent yet.")
    click.echo(f"Next: segops connectors test {tenant} {created.slug}")


@click.command()
@click.argument("tenant")
@click.argument("connector")
@config_option
@secret_option
@click.option("--ask", "ask", multiple=True, metavar="NAME", help="Ask for this secret, unseen.")
@hold_share_option
@hold_users_option
@archived_option
@json_option
def update(
    tenant: str,
    connector: str,
    config: Sequence[str],
    secret: Sequence[str],
    ask: Sequence[str],
    hold_share: float | None,
    hold_users: int | None,
    when_archived: str | None,
    as_json: bool,
) -> None:
    """Change a connector's config, secrets or limits.

    What is not named stays as it is; `--config NAME=` takes a field back to its default. The connector's segment and
    type stay, and so does the audience that it fills, once users were delivered.

    \b
    Example:
      segops connectors update acme vip-klaviyo --secret api_key=env:NEW_KLAVIYO_KEY
      segops connectors update acme vip-klaviyo --hold-share 0.5
    """
    from segops_orchestration.activation.fields import changed_config
    from segops_orchestration.activation.opening import require_type
    from segops_orchestration.activation.saving import save_connectors
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.connectors import spec_of

    variables = references(secret)
    with Catalog.open(Settings.from_env()) as catalog:
        before = catalog.connectors.get(tenant, connector)
        require_type(before)
        spec = _with_options(spec_of(before), hold_share, hold_users, when_archived)
        spec = replace(spec, config=changed_config(before.type, before.config, _pairs(config)))
        secrets = read_secrets(before.type, variables, before.secrets, ask=ask)
        [saved] = save_connectors(catalog, tenant, [(spec, secrets)])
    for name in sorted(set(variables) - set(secrets)):
        note(f"The variable {variables[name]} is not set: the stored {name} stays.")
    if as_json:
        print_json({**connector_document(saved.connector), "outcome": saved.outcome})
        return
    click.echo(f"Connector {connector} of tenant {tenant} is {saved.outcome}.")
    if saved.connector.status == "error":
        click.echo(f"It stopped with an error. Next: segops connectors test {tenant} {connector}, then resume")


@click.command()
@click.argument("tenant")
@paths_argument
@json_option
def apply(tenant: str, paths: Sequence[Path], as_json: bool) -> None:
    """Create or change connectors as files say.

    All of them, or with any problem none. The *.connector.yaml files lie beside those of the segments, in version
    control. They name the secrets' environment variables and never hold a secret; a variable that is not set leaves a
    stored secret as it is. Connectors that no file speaks of stay as they are. Applying the same files again changes
    nothing.

    \b
    Example, vip.connector.yaml:
      slug: vip-klaviyo
      segment: vip
      type: klaviyo
      config: {list_id: Y6nRLr}
      secrets: {api_key: env:KLAVIYO_KEY}
      hold: {share: 0.3, users: 100}
      when_archived: empty
    \b
      segops connectors apply acme segments/
    """
    from segops_orchestration.activation.saving import save_connectors
    from segops_orchestration.catalog.catalog import Catalog

    files = read_connector_files(paths)
    with Catalog.open(Settings.from_env()) as catalog:
        known = {one.slug: one for one in catalog.connectors.every(tenant)}
        wanted = [(file.document.spec, _secrets_of(file, known.get(file.document.spec.slug))) for file in files]
        results = save_connectors(catalog, tenant, wanted)
    rows = [
        {
            "connector_id": one.connector.id,
            "slug": one.connector.slug,
            "segment": one.connector.segment,
            "type": one.connector.type,
            "outcome": one.outcome,
            "file": file.path,
        }
        for one, file in zip(results, files, strict=True)
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("slug", "segment", "type", "outcome", "file")
    print_table(["connector", *columns[1:]], [[row[column] for column in columns] for row in rows])
    outcomes = Counter(one.outcome for one in results)
    click.echo(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) + ".")
    for one in results:
        if one.outcome == "created":
            click.echo(f"Next: segops connectors test {tenant} {one.connector.slug}")


def _secrets_of(file: ConnectorFile, before: Connector | None) -> dict[str, str]:
    stored = () if before is None else before.secrets
    document = file.document
    secrets = read_secrets(document.spec.type, document.variables, stored, source=str(file.path))
    for name in sorted(set(document.variables) - set(secrets)):
        note(f"{file.path}: the variable {document.variables[name]} is not set: the stored {name} stays.")
    return secrets


@click.command(name="rotate-secrets")
@json_option
def rotate_secrets(as_json: bool) -> None:
    """Encrypt all secrets with the newest key.

    That is the first of SEGOPS_SECRET_KEY, or of the file secret.key under SEGOPS_HOME. Put a new key before the old
    one, a comma between them; rotate; then take the old key away. In the file, keys stand one a line, the newest first.

    \b
    Example:
      export SEGOPS_SECRET_KEY="$NEW_KEY,$OLD_KEY"
      segops connectors rotate-secrets
      export SEGOPS_SECRET_KEY="$NEW_KEY"
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        number = catalog.connectors.rotate_secrets()
    if as_json:
        print_json({"secrets": number})
        return
    click.echo(f"{count(number, 'secret')} encrypted with the newest key; older keys are no longer needed.")


def _pairs(values: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` options."""
    result: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--config takes NAME=VALUE; found {value!r}")
        result[name] = text
    return result


def _with_options(
    spec: ConnectorSpec, hold_share: float | None, hold_users: int | None, when_archived: str | None
) -> ConnectorSpec:
    changes: dict[str, Any] = {"hold_share": hold_share, "hold_users": hold_users, "when_archived": when_archived}
    return replace(spec, **{name: value for name, value in changes.items() if value is not None})
