"""Who is in the tenant, in what role."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Administrator, Owner, PersonOnly, Reader, Scope
from segops_orchestration.api.ids import LARGEST_ID, Id
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.api.texts import Line
from segops_orchestration.catalog.people_records import Role, TeamMember

router = APIRouter(prefix="/team", tags=["team"])

_Role = Annotated[
    Literal["admin", "member", "viewer"],
    Field(description="Not above your own; ownership is transferred.", examples=["member"]),
]


class Member(BaseModel):
    """A person in the tenant; ``id`` is of this membership. ``invited``: they have yet to choose a password."""

    id: int
    email: str
    name: str
    role: Role
    status: Literal["active", "invited", "disabled"]
    created_at: datetime
    last_login_at: datetime | None


class Invitation(BaseModel):
    """Shown this once: give it to the person, who chooses a password with it at ``POST /api/auth/password/``."""

    token: str
    expires_at: datetime


class AddedMember(Member):
    """Somebody who was added; ``invitation`` is null for people who have a password already."""

    invitation: Invitation | None


class NewMember(BaseModel):
    """Whom to add, in what role."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(max_length=254, examples=["ada@example.com"])]
    role: _Role
    name: Annotated[Line, Field(max_length=200, description="For a person who is new.", examples=["Ada"])] = ""


class RoleChange(BaseModel):
    """The role from now on."""

    model_config = ConfigDict(extra="forbid")

    role: _Role


class NewOwner(BaseModel):
    """Who becomes the owner."""

    model_config = ConfigDict(extra="forbid")

    member_id: Annotated[int, Field(ge=1, le=LARGEST_ID, description="The id of their membership.")]


@router.get("/")
def every(scope: Reader, paging: Paging) -> Page[Member]:
    """The tenant's people, by email."""
    return paging.of([_shown(member) for member in scope.catalog.team()])


@router.post("/", status_code=201, responses=errors(409))
def add(scope: Administrator, body: NewMember) -> AddedMember:
    """Add a person; who is new to the service gets an invitation, which is shown this once.

    There is no mail: give the token to the person yourself. To get another token, remove the person and add them again.
    """
    added = scope.catalog.add_member(body.email, body.name, body.role, scope.caller.actor, by=_by(scope))
    invitation = None
    if added.invitation is not None and added.invitation_expires_at is not None:
        invitation = Invitation(token=added.invitation, expires_at=added.invitation_expires_at)
    return AddedMember(**_shown(added.member).model_dump(), invitation=invitation)


@router.patch("/{member_id}/", responses=errors(409))
def change(scope: Administrator, member_id: Id, body: RoleChange) -> Member:
    """Change a member's role. The owner's changes by transfer alone."""
    changed = scope.catalog.change_role(member_id, body.role, scope.caller.actor, by=_by(scope))
    return _shown(changed)


@router.delete("/{member_id}/", status_code=204, responses=errors(409))
def remove(scope: PersonOnly, member_id: Id) -> None:
    """Take a member out of the tenant, at once. Everybody may leave, but for the owner."""
    scope.catalog.remove_member(member_id, scope.caller.actor, by=_by(scope))


@router.post("/transfer-ownership/", responses=errors(409))
def transfer(scope: Owner, body: NewOwner) -> Member:
    """Make a member the owner. The owner so far becomes an admin."""
    owner = scope.catalog.transfer_ownership(body.member_id, scope.caller.actor, by=_by(scope))
    return _shown(owner)


def _by(scope: Scope) -> int:
    assert scope.caller.person is not None, "keys do not come here"
    return scope.caller.person.id


def _shown(member: TeamMember) -> Member:
    person = member.person
    return Member(
        id=member.id,
        email=person.email,
        name=person.name,
        role=member.role,
        status="disabled" if person.status == "disabled" else "active" if person.has_password else "invited",
        created_at=member.created_at,
        last_login_at=person.last_login_at,
    )
