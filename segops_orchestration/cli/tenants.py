"""``segops tenants``: create, list, archive and restore tenants."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.errors import Conflict
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.records import Tenant
    from segops_orchestration.warehouse.client import Warehouse


@click.group()
def command() -> None:
    """Create, list and archive tenants.

    A tenant is one customer base, kept apart from every other: its own ClickHouse database, its own segments, its own
    partition in Dagster.

    \b
    Example:
      segops tenants create acme --name "Acme Inc."
      segops tenants list
      segops tenants archive acme
    """


@command.command()
@click.argument("slug")
@click.option("--name", help="What people call it. Default: the slug.")
@click.option("--if-not-exists", is_flag=True, help="Be content with a tenant that exists already.")
@json_option
def create(slug: str, name: str | None, if_not_exists: bool, as_json: bool) -> None:
    """Create a tenant and its ClickHouse database, segops_SLUG.

    SLUG has 2 to 39 characters: lower-case letters, digits and underscores, the first a letter.

    \b
    Example:
      segops tenants create acme --name "Acme Inc."
    """
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.warehouse.client import Warehouse

    settings = Settings.from_env()
    with Catalog.open(settings) as catalog:
        if not (if_not_exists and _is_active(catalog, slug)):
            catalog.require_free_slug(slug)
        with closing(Warehouse.connect(settings)) as warehouse:
            tenant, created = ensure_tenant(catalog, warehouse, slug, name)
    if not created and not if_not_exists:
        raise Conflict(f"tenant {slug!r} was created by somebody else just now")
    if as_json:
        print_json({**asdict(tenant), "database": f"segops_{slug}", "created": created})
        return
    done = "is created" if created else "exists already"
    click.echo(f"Tenant {slug} {done}; its events go to the database segops_{slug}.")
    click.echo(f"Next: segops ingest {slug} FILE")


def ensure_tenant(catalog: Catalog, warehouse: Warehouse, slug: str, name: str | None = None) -> tuple[Tenant, bool]:
    """The active tenant, with its database at the newest schema, and whether it was created now.

    Raises:
        InvalidDocument: the slug is not allowed.
        Conflict: the tenant is archived.
    """
    # The database comes first: dying in between leaves one that the next attempt takes up, never a tenant without.
    warehouse.tenant(slug).migrate()
    try:
        return catalog.create_tenant(slug, name), True
    except Conflict:
        if not _is_active(catalog, slug):
            raise
        return catalog.get_tenant(slug), False


def _is_active(catalog: Catalog, slug: str) -> bool:
    return any(tenant.slug == slug for tenant in catalog.list_tenants())


@command.command(name="list")
@click.option("--all", "include_archived", is_flag=True, help="Archived tenants too.")
@json_option
def list_(include_archived: bool, as_json: bool) -> None:
    """List tenants.

    \b
    Example:
      segops tenants list --all --json
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        tenants = catalog.list_tenants(include_archived)
    if as_json:
        print_json([asdict(tenant) for tenant in tenants])
        return
    if not tenants:
        click.echo("There are no tenants yet. Create one: segops tenants create SLUG")
        return
    rows = [(tenant.slug, tenant.name, tenant.status, tenant.created_at) for tenant in tenants]
    print_table(["tenant", "name", "status", "created"], rows)


@command.command()
@click.argument("slug")
@json_option
def archive(slug: str, as_json: bool) -> None:
    """Take a tenant out of use. Nothing is deleted; `segops tenants restore` takes it back.

    \b
    Example:
      segops tenants archive acme
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        tenant = catalog.archive_tenant(slug)
    if as_json:
        print_json(asdict(tenant))
        return
    click.echo(f"Tenant {slug} is archived. Its data stays; segops tenants restore {slug} takes it back.")


@command.command()
@click.argument("slug")
@json_option
def restore(slug: str, as_json: bool) -> None:
    """Take an archived tenant back into use.

    \b
    Example:
      segops tenants restore acme
    """
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        tenant = catalog.restore_tenant(slug)
    if as_json:
        print_json(asdict(tenant))
        return
    click.echo(f"Tenant {slug} is active.")
