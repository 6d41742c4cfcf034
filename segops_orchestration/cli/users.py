"""``segops users``: the people who can log in."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.cli.people_output import open_catalog, operator, say_invitation
from segops_orchestration.cli.typed_passwords import read_password
from segops_orchestration.errors import Conflict, NotFound

if TYPE_CHECKING:
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.people_records import Person, PersonStatus

ROLES = ("owner", "admin", "member", "viewer")


@click.group()
def command() -> None:
    """Create people, let them in and lock them out.

    A person logs in with an email and a password and is in any number of tenants, with a role in each: owner, admin,
    member or viewer. Programs use keys instead: segops keys.

    \b
    Example:
      segops users create ada@example.com --tenant acme --role owner
      segops users list
      segops users password ada@example.com
      segops users disable bob@example.com
    """


@command.command()
@click.argument("email")
@click.option("--name", default="", help="What people call them. Default: the email.")
@click.option("--tenant", help="Put them into this tenant's team.")
@click.option("--role", type=click.Choice(ROLES), default="member", show_default=True, help="In that tenant.")
@click.option("--invite", is_flag=True, help="Set no password: print a token with which they choose one, once.")
@click.option("--if-not-exists", is_flag=True, help="Be content with a person who exists already.")
@json_option
def create(
    email: str, name: str, tenant: str | None, role: Any, invite: bool, if_not_exists: bool, as_json: bool
) -> None:
    """Create a person.

    The password is asked for; a script pipes one line into the command, or sets SEGOPS_PASSWORD. It is never an
    argument, which the shell's history and the list of processes would keep.

    \b
    Example:
      segops users create ada@example.com --tenant acme --role owner
      segops users create bob@example.com --name Bob --invite
    """
    from segops_orchestration.catalog.people import normal_email

    address = normal_email(email)
    with open_catalog() as catalog:
        present = _find(catalog, address)
        if present is not None and not if_not_exists:
            raise Conflict(f"there is a person with the email {address!r} already")
        if present is not None:
            _report_present(catalog, present, tenant, role, as_json)
            return
        if tenant is not None:
            catalog.get_tenant(tenant)
        password = None if invite else read_password(address)
        person = catalog.people.create(address, name, password, operator(), tenant=tenant, role=role)
        invitation = catalog.sessions.invite(address, operator()) if invite else None
    if as_json:
        print_json({**asdict(person), "created": True, **_invited(invitation)})
        return
    where = f", {role} of tenant {tenant}" if tenant else ""
    click.echo(f"{person.email} is created{where}.")
    if invitation is not None:
        say_invitation(person.email, *invitation)
    if tenant is None:
        click.echo(f"Next: segops team add TENANT {person.email}")


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List everybody, and the tenants that they are in.

    \b
    Example:
      segops users list --json
    """
    with open_catalog() as catalog:
        people = [
            (one, {member.tenant: member.role for member in catalog.people.teams_of(one.id)})
            for one in catalog.people.every()
        ]
    if as_json:
        print_json([{**asdict(person), "tenants": tenants} for person, tenants in people])
        return
    if not people:
        click.echo("There is nobody yet. Create somebody: segops users create EMAIL --tenant TENANT --role owner")
        return
    rows = [
        (
            one.email,
            one.name,
            one.status,
            one.has_password,
            ", ".join(f"{tenant}: {role}" for tenant, role in tenants.items()),
            one.last_login_at,
        )
        for one, tenants in people
    ]
    print_table(["email", "name", "status", "password", "tenants", "last login"], rows)


@command.command()
@click.argument("email")
@json_option
def password(email: str, as_json: bool) -> None:
    """Set a person's password, which ends all their sessions. It is asked for, as with create.

    \b
    Example:
      segops users password ada@example.com
      printenv NEW_PASSWORD | segops users password ada@example.com
    """
    with open_catalog() as catalog:
        address = catalog.people.get(email).email
        person = catalog.sessions.set_password(address, read_password(address), operator())
    if as_json:
        print_json(asdict(person))
        return
    click.echo(f"{person.email} has a new password; all their sessions have ended.")


@command.command()
@click.argument("email")
@json_option
def invite(email: str, as_json: bool) -> None:
    """Print a token with which a person chooses a password, once, within seven days. An earlier token is void.

    \b
    Example:
      segops users invite bob@example.com
    """
    with open_catalog() as catalog:
        person = catalog.people.get(email)
        invitation = catalog.sessions.invite(person.email, operator())
    if as_json:
        print_json({"email": person.email, **_invited(invitation)})
        return
    say_invitation(person.email, *invitation)


@command.command()
@click.argument("email")
@json_option
def disable(email: str, as_json: bool) -> None:
    """Lock a person out of every tenant, at once. Their place in teams stays.

    \b
    Example:
      segops users disable bob@example.com
    """
    _set_status(email, "disabled", as_json)


@command.command()
@click.argument("email")
@json_option
def enable(email: str, as_json: bool) -> None:
    """Let a person in again. They log in anew.

    \b
    Example:
      segops users enable bob@example.com
    """
    _set_status(email, "active", as_json)


def _set_status(email: str, status: PersonStatus, as_json: bool) -> None:
    with open_catalog() as catalog:
        person = catalog.people.set_status(email, status, operator())
    if as_json:
        print_json(asdict(person))
        return
    click.echo(f"{person.email} is {'locked out' if status == 'disabled' else 'let in'}.")


def _find(catalog: Catalog, email: str) -> Person | None:
    try:
        return catalog.people.get(email)
    except NotFound:
        return None


def _report_present(catalog: Catalog, person: Person, tenant: str | None, role: str, as_json: bool) -> None:
    if tenant is not None:
        found = {member.tenant: member.role for member in catalog.people.teams_of(person.id)}
        if found.get(tenant) != role:
            now = f"{found[tenant]} of" if tenant in found else "not in"
            raise Conflict(
                f"{person.email} exists, {now} tenant {tenant!r}; segops team add or segops team role changes that"
            )
    if as_json:
        print_json({**asdict(person), "created": False})
        return
    click.echo(f"{person.email} exists already.")


def _invited(invitation: tuple[str, Any] | None) -> dict[str, Any]:
    return {} if invitation is None else {"invitation": invitation[0], "invitation_expires_at": invitation[1]}
