"""``segops team``: who is in a tenant, in what role."""

from __future__ import annotations

from typing import Any

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.cli.people_output import open_catalog, operator, say_invitation, shown_member
from segops_orchestration.cli.users import ROLES
from segops_orchestration.errors import Conflict


@click.group()
def command() -> None:
    """Say who may do what in a tenant.

    The owner may do everything, and there is one. An admin manages people and keys, a member segments, computations and
    connectors; a viewer reads.

    \b
    Example:
      segops team list acme
      segops team add acme bob@example.com --role viewer
      segops team role acme bob@example.com admin
      segops team transfer acme bob@example.com
      segops team remove acme ada@example.com
    """


@command.command(name="list")
@click.argument("tenant")
@json_option
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's people, by email.

    \b
    Example:
      segops team list acme --json
    """
    with open_catalog() as catalog:
        members = [shown_member(member) for member in catalog.people.team(tenant)]
    if as_json:
        print_json(members)
        return
    if not members:
        click.echo(f"{tenant} has no people yet. Add somebody: segops team add {tenant} EMAIL --role owner")
        return
    columns = ["email", "name", "role", "status", "last login"]
    print_table(
        columns, [(one["email"], one["name"], one["role"], one["status"], one["last_login_at"]) for one in members]
    )


@command.command()
@click.argument("tenant")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), default="member", show_default=True, help="What they may do.")
@click.option("--name", default="", help="Of a person who is new. Default: the email.")
@click.option("--if-not-exists", is_flag=True, help="Be content with somebody who is in the team in that role.")
@json_option
def add(tenant: str, email: str, role: Any, name: str, if_not_exists: bool, as_json: bool) -> None:
    """Put a person into a tenant. Who is new is created, and chooses a password with the token that is printed.

    \b
    Example:
      segops team add acme bob@example.com --role viewer
    """
    with open_catalog() as catalog:
        try:
            added = catalog.people.add_member(tenant, email, name, role, operator())
        except Conflict:
            wanted = email.strip().lower()
            found = [one for one in catalog.people.team(tenant) if one.person.email == wanted and one.role == role]
            if not if_not_exists or not found:
                raise
            _report(shown_member(found[0]), f"{wanted} is {role} of tenant {tenant} already.", as_json, added=False)
            return
    shown = shown_member(added.member)
    if as_json:
        invitation = {"invitation": added.invitation, "invitation_expires_at": added.invitation_expires_at}
        print_json({**shown, "added": True, **(invitation if added.invitation else {})})
        return
    click.echo(f"{shown['email']} is {role} of tenant {tenant}.")
    if added.invitation is not None and added.invitation_expires_at is not None:
        say_invitation(shown["email"], added.invitation, added.invitation_expires_at)


@command.command()
@click.argument("tenant")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES[1:]))
@json_option
def role(tenant: str, email: str, role: Any, as_json: bool) -> None:
    """Change what a member may do. The owner's role is transferred: segops team transfer.

    \b
    Example:
      segops team role acme bob@example.com admin
    """
    with open_catalog() as catalog:
        changed = catalog.people.change_role(tenant, email, role, operator())
    _report(shown_member(changed), f"{changed.person.email} is {role} of tenant {tenant}.", as_json)


@command.command()
@click.argument("tenant")
@click.argument("email")
@json_option
def remove(tenant: str, email: str, as_json: bool) -> None:
    """Take a person out of a tenant, at once. The person stays, and so do their other tenants.

    \b
    Example:
      segops team remove acme bob@example.com
    """
    with open_catalog() as catalog:
        gone = catalog.people.remove_member(tenant, email, operator())
    _report(shown_member(gone), f"{gone.person.email} is no longer in the team of tenant {tenant}.", as_json)


@command.command()
@click.argument("tenant")
@click.argument("email")
@json_option
def transfer(tenant: str, email: str, as_json: bool) -> None:
    """Make a member the owner. The owner so far becomes an admin.

    \b
    Example:
      segops team transfer acme bob@example.com
    """
    with open_catalog() as catalog:
        owner = catalog.people.transfer_ownership(tenant, email, operator())
    _report(shown_member(owner), f"{owner.person.email} is the owner of tenant {tenant}.", as_json)


def _report(shown: dict[str, Any], sentence: str, as_json: bool, **more: Any) -> None:
    if as_json:
        print_json({**shown, **more})
        return
    click.echo(sentence)
