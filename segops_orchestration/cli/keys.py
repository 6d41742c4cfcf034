"""``segops keys``: what programs and web pages authenticate with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from segops_orchestration.cli.output import json_option, note, print_json, print_table
from segops_orchestration.cli.people_output import open_catalog, operator


@click.group()
def command() -> None:
    """Create, list and revoke the API keys of a tenant.

    A secret key (sk_) is for your servers: it does what its role may. A public key (pk_) is for web pages and apps: it
    only begins sessions, each of which sends the events of one user. Both are stored hashed.

    \b
    Example:
      segops keys create acme importer
      segops keys create acme web --public --origin https://shop.example
      segops keys list acme
      segops keys revoke acme 3
    """


@command.command()
@click.argument("tenant")
@click.argument("name")
@click.option("--public", is_flag=True, help="A public key, for web pages and apps.")
@click.option(
    "--role",
    type=click.Choice(["admin", "member", "viewer"]),
    default="member",
    show_default=True,
    help="What a secret key may do.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A page that may use the public key, as in https://shop.example; * for all. Repeatable; without, no page may.",
)
@json_option
def create(tenant: str, name: str, public: bool, role: Any, origins: tuple[str, ...], as_json: bool) -> None:
    """Create a key and show it, this once. Store it at once: it cannot be shown again.

    A public key comes with an hmac secret. Keep that on your server and sign the ids of users with it.

    \b
    Example:
      segops keys create acme importer --role member
      segops keys create acme web --public --origin https://shop.example
    """
    if public and role != "member":
        raise click.UsageError("--role is for secret keys: a public key only begins sessions")
    with open_catalog() as catalog:
        made = catalog.people.create_key(tenant, name, "public" if public else "secret", role, origins, operator())
    shown = {"key": made.key, "hmac_secret": made.hmac_secret}
    if as_json:
        print_json({**asdict(made.record), **shown})
        return
    click.echo(f"Key {made.record.id} ({name}) of tenant {tenant} is created. It is shown this once:")
    click.echo(f"  {made.key}")
    if made.hmac_secret is not None:
        click.echo("Its hmac secret, for your server alone, shown this once:")
        click.echo(f"  {made.hmac_secret}")
    if public and not origins:
        note("No web page may use it: it has no --origin. Apps and servers may.")


@command.command(name="list")
@click.argument("tenant")
@click.option("--all", "include_revoked", is_flag=True, help="Revoked keys, too.")
@json_option
def list_(tenant: str, include_revoked: bool, as_json: bool) -> None:
    """List a tenant's keys, oldest first, without the keys themselves.

    \b
    Example:
      segops keys list acme --all
    """
    with open_catalog() as catalog:
        keys = catalog.people.keys(tenant, include_revoked=include_revoked)
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    if not keys:
        click.echo(f"{tenant} has no keys yet. Create one: segops keys create {tenant} NAME")
        return
    columns = ["key", "name", "begins", "kind", "role", "origins", "created by", "last used", "revoked"]
    rows = [
        (
            str(key.id),
            key.name,
            key.hint,
            key.kind,
            key.role,
            " ".join(key.allowed_origins),
            key.created_by,
            key.last_used_at,
            key.revoked_at,
        )
        for key in keys
    ]
    print_table(columns, rows)


@command.command()
@click.argument("tenant")
@click.argument("key", type=click.IntRange(1, 2**31 - 1))
@json_option
def revoke(tenant: str, key: int, as_json: bool) -> None:
    """Revoke a key, by its number: from now on it opens nothing, nor do the sessions that it began.

    To revoke it again changes nothing.

    \b
    Example:
      segops keys revoke acme 3
    """
    with open_catalog() as catalog:
        revoked = [one for one in catalog.people.keys(tenant, include_revoked=True) if one.id == key and one.revoked_at]
        record = revoked[0] if revoked else catalog.people.revoke_key(tenant, key, operator())
    if as_json:
        print_json(asdict(record))
        return
    click.echo(f"Key {record.id} ({record.name}) of tenant {tenant} is revoked.")
