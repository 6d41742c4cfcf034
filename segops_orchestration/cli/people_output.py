"""How commands show people, and who they are themselves in the audit log."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.output import format_instant
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.people_records import Actor, TeamMember


def open_catalog() -> Catalog:
    """The catalogue of this installation."""
    from segops_orchestration.catalog.catalog import Catalog

    return Catalog.open(Settings.from_env())


def operator() -> Actor:
    """Whoever runs the command, by the name that the system knows them by."""
    from segops_orchestration.catalog.people_records import Actor

    try:
        return Actor("operator", getpass.getuser())
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return Actor("operator", "unknown")


def shown_member(member: TeamMember) -> dict[str, Any]:
    """A member as JSON."""
    person = member.person
    return {
        "id": member.id,
        "tenant": member.tenant,
        "email": person.email,
        "name": person.name,
        "role": member.role,
        "status": "invited" if person.status == "active" and not person.has_password else person.status,
        "created_at": member.created_at,
        "last_login_at": person.last_login_at,
    }


def say_invitation(email: str, token: str, expires_at: datetime) -> None:
    """Show an invitation, this once."""
    click.echo(f"{email} chooses a password with this token, shown this once, until {format_instant(expires_at)}:")
    click.echo(f"  {token}")
    click.echo('They send it: POST /api/auth/password/ {"token": "pt_...", "password": "..."}')
