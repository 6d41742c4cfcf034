"""``segops connectors types|list|show|log``: what there is, and what the catalogue holds of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.activation.hidden import HIDDEN
from segops_orchestration.cli.connector_output import (
    config_text,
    connector_document,
    count,
    hold_document,
    print_hold,
    print_syncs,
    sync_document,
)
from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.activation.difference import Backlog
    from segops_orchestration.catalog.connector_records import Connector, Hold, Sync, SyncKind

# Kinds of sync that change an audience or say how it stands.
_DELIVERIES: tuple[SyncKind, ...] = ("sync", "repair", "empty")


@click.command()
@click.argument("type_", metavar="[TYPE]", required=False)
@json_option
def types(type_: str | None, as_json: bool) -> None:
    """List the platforms and what a connector to each needs.

    Give what is no secret with --config NAME=VALUE, secrets with --secret NAME=env:VARIABLE.

    \b
    Example:
      segops connectors types
      segops connectors types klaviyo
    """
    from segops_orchestration.activation.fields import type_problem
    from segops_orchestration.activation.platforms import PLATFORMS

    if type_ is not None and (problem := type_problem(type_)) is not None:
        raise click.BadParameter(problem, param_hint="TYPE")
    chosen = [PLATFORMS[name] for name in PLATFORMS if type_ in (None, name)]
    if as_json:
        names = ("name", "help", "required", "secret", "default")
        print_json(
            [
                {
                    "type": one.type,
                    "title": one.title,
                    "fields": [{name: getattr(field, name) for name in names} for field in one.fields],
                }
                for one in chosen
            ]
        )
        return
    rows = [
        (one.type, field.name, "secret" if field.secret else "config", _need(field.required, field.default), field.help)
        for one in chosen
        for field in one.fields
    ]
    print_table(["type", "field", "kind", "needed", "what it is"], rows)


def _need(required: bool, default: object) -> str:
    if required:
        return "required"
    if default is None:
        return "optional"
    return f"default {str(default).lower() if isinstance(default, bool) else default}"


@click.command(name="list")
@click.argument("tenant")
@click.option("--segment", metavar="SEGMENT", help="Only the connectors of this segment.")
@json_option
def list_(tenant: str, segment: str | None, as_json: bool) -> None:
    """List a tenant's connectors and how each stands.

    Status: active, paused (by somebody), held (a change too large to send unasked; see approve), error (the platform
    refuses until somebody mends it; see resume), deleting.

    \b
    Example:
      segops connectors list acme
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        found = catalog.connectors.every(tenant, segment=segment)
        last = {
            one.id: next(iter(catalog.connectors.list_syncs(tenant, one.slug, kinds=_DELIVERIES, limit=1)), None)
            for one in found
        }
    if as_json:
        print_json([{**connector_document(one), "last_sync": _last_document(last[one.id])} for one in found])
        return
    if not found:
        click.echo(
            f"No connectors. Create one: segops connectors create {tenant} --segment {segment or 'SEGMENT'} --type TYPE"
        )
        return
    columns = ["connector", "segment", "type", "status", "audience", "pending", "last sync", "outcome", "reason"]
    print_table(columns, [_line(one, last[one.id]) for one in found])


def _line(connector: Connector, last: Sync | None) -> list[object]:
    line: list[object] = [connector.slug, connector.segment, connector.type, connector.status]
    if last is None:
        return [*line, None, None, None, "never synced", connector.status_reason]
    reason = connector.status_reason or last.error
    return [*line, last.counts.audience, last.counts.pending, last.started_at, last.status, reason]


def _last_document(last: Sync | None) -> dict[str, Any] | None:
    return None if last is None else sync_document(last)


@click.command()
@click.argument("tenant")
@click.argument("connector")
@json_option
def show(tenant: str, connector: str, as_json: bool) -> None:
    """Show one connector.

    That is its config, what is pending now, what is held back and why, and its last syncs. Secrets are never shown.

    \b
    Example:
      segops connectors show acme vip-klaviyo
    """
    from segops_orchestration.activation.pending import pending

    with open_tenant(tenant, connectors=[connector]) as opened:
        found = opened.catalog.connectors.get(tenant, connector)
        backlog = pending(opened.catalog, opened.warehouse, tenant, [connector])[connector]
        hold = opened.catalog.connectors.latest_hold(found)
        syncs = opened.catalog.connectors.list_syncs(tenant, connector, limit=5)
    if as_json:
        print_json(
            {
                **connector_document(found),
                "backlog": asdict(backlog),
                "hold": hold_document(hold),
                "last_syncs": [sync_document(sync) for sync in syncs],
            }
        )
        return
    _print_connector(found, backlog, hold, syncs)


def _print_connector(connector: Connector, backlog: Backlog, hold: Hold | None, syncs: list[Sync]) -> None:
    fields = {
        "id": str(connector.id),
        "segment": connector.segment + (" (archived)" if connector.segment_status == "archived" else ""),
        "type": connector.type,
        "config": config_text(connector.config),
        "secrets": ", ".join(f"{name}={HIDDEN}" for name in connector.secrets),
        "status": connector.status,
        "reason": connector.status_reason,
        "hold": f"from {count(connector.hold_users, 'user')} and above {connector.hold_share:.0%} of the audience",
        "when the segment is archived": f"{connector.when_archived} the audience",
        "audience": f"{backlog.audience:,}",
        "to add": f"{backlog.adds:,}",
        "to remove": f"{backlog.removes:,}",
        "rejected": f"{backlog.rejected:,}",
        "parked": f"{backlog.parked:,}",
        "in jobs of the platform": f"{backlog.in_jobs:,}",
    }
    rows = [(name, value) for name, value in fields.items() if value != ""]
    print_table([f"{connector.tenant}/{connector.slug}", ""], rows)
    click.echo()
    if hold is not None:
        print_hold(connector, hold)
        click.echo()
    if syncs:
        print_syncs(syncs, of_many=False)
    else:
        click.echo(f"Never synced. Next: segops connectors test {connector.tenant} {connector.slug}")


@click.command()
@click.argument("tenant")
@click.argument("connector", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="So many syncs at most.")
@json_option
def log(tenant: str, connector: str | None, limit: int, as_json: bool) -> None:
    """Show the sync log, the newest first.

    A sync's numbers are users added, removed and rejected by it, users left for a later one (pending), and users in the
    audience at its end.

    \b
    Example:
      segops connectors log acme
      segops connectors log acme vip-klaviyo --limit 100 --json
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        syncs = catalog.connectors.list_syncs(tenant, connector, limit=limit)
    if as_json:
        print_json([sync_document(sync) for sync in syncs])
        return
    if not syncs:
        click.echo(f"No sync yet. Next: segops connectors sync {tenant} {connector or 'CONNECTOR'}")
        return
    print_syncs(syncs, of_many=connector is None)
