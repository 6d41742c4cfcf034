"""People log in, stay logged in, and choose passwords."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.gate import Somebody, address_of
from segops_orchestration.api.services import Services, services_of
from segops_orchestration.api.tokens import ACCESS_LIFETIME
from segops_orchestration.catalog.passwords import SHORTEST_PASSWORD
from segops_orchestration.catalog.session_catalog import LoggedIn

router = APIRouter(prefix="/auth", tags=["auth"])

_LONGEST = 1000
_Password = Annotated[
    str,
    Field(
        max_length=_LONGEST, description=f"At least {SHORTEST_PASSWORD} characters.", examples=["correct horse battery"]
    ),
]
_Secret = Annotated[str, Field(max_length=_LONGEST)]


class Credentials(BaseModel):
    """Who somebody says they are, and their password."""

    email: Annotated[str, Field(max_length=_LONGEST, examples=["ada@example.com"])]
    password: Annotated[str, Field(max_length=_LONGEST, examples=["correct horse battery"])]


class Tokens(BaseModel):
    """``access`` goes into ``Authorization: Bearer``, for 60 minutes; ``refresh`` gets the next two, once."""

    access: str
    refresh: str


class Refresh(BaseModel):
    """A refresh token that was not used yet."""

    refresh: Annotated[str, Field(max_length=_LONGEST, examples=["rt_..."])]


class ChosenPassword(BaseModel):
    """The token of an invitation, and the password that its holder chooses."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(max_length=_LONGEST, examples=["pt_..."])]
    password: _Password


class ChangedPassword(BaseModel):
    """One's password, and the one that takes its place."""

    model_config = ConfigDict(extra="forbid")

    current_password: _Secret
    password: _Password


class Membership(BaseModel):
    """A tenant that somebody is in."""

    tenant: str
    role: str


class Me(BaseModel):
    """Whose access token it is, and what it opens."""

    email: str
    name: str
    tenants: list[Membership]


@router.post("/token/", responses=errors(401, 429))
def log_in(request: Request, body: Credentials) -> Tokens:
    """Log in with email and password.

    Ten attempts for an address at once, then one in 30 seconds; those that succeed do not count.
    """
    services = services_of(request)
    address = address_of(request)
    with services.logins.slot():
        services.logins.attempt(body.email, address)
        entered = services.catalog.sessions.log_in(body.email, body.password)
    if entered is None:
        raise ApiError(401, "the email or the password is wrong")
    services.logins.succeeded(body.email, address)
    return _tokens(services, entered)


@router.post("/token/refresh/", responses=errors(401, 429))
def refresh(request: Request, body: Refresh) -> Tokens:
    """Exchange a refresh token for new tokens. It works once: one that comes again ends the session for all holders."""
    services = services_of(request)
    services.limits.spend(address_of(request))
    entered = services.catalog.sessions.refresh(body.refresh)
    if entered is None:
        raise ApiError(401, "the refresh token opens nothing: expired, used already, or ended; log in again")
    return _tokens(services, entered)


@router.post("/password/", responses=errors(401, 429))
def choose_password(request: Request, body: ChosenPassword) -> Tokens:
    """Choose a password with the token of an invitation, which works once, and be logged in."""
    services = services_of(request)
    services.limits.spend(address_of(request))
    with services.logins.slot():
        entered = services.catalog.sessions.choose_password(body.token, body.password)
    if entered is None:
        raise ApiError(401, "the token opens nothing: expired, used already, or replaced by a newer one")
    return _tokens(services, entered)


@router.post("/password/change/", responses=errors(401, 403, 429), openapi_extra={"security": [{"Bearer": []}]})
def change_password(person: Somebody, request: Request, body: ChangedPassword) -> Tokens:
    """Change one's own password. All sessions end, this one too: go on with the tokens of the answer."""
    services = services_of(request)
    address = address_of(request)
    with services.logins.slot():
        services.logins.attempt(person.email, address)
        entered = services.catalog.sessions.change_password(person.id, body.current_password, body.password)
    if entered is None:
        raise FieldErrors({"current_password": ["is wrong"]})
    services.logins.succeeded(person.email, address)
    return _tokens(services, entered)


@router.get("/me/", responses=errors(401, 403, 429), openapi_extra={"security": [{"Bearer": []}]})
def me(person: Somebody, request: Request) -> Me:
    """Who the access token belongs to, and the tenants that it opens."""
    teams = services_of(request).catalog.people.teams_of(person.id)
    tenants = [Membership(tenant=team.tenant, role=team.role) for team in teams]
    return Me(email=person.email, name=person.name, tenants=tenants)


def _tokens(services: Services, entered: LoggedIn) -> Tokens:
    claims = {"sub": str(entered.person.id), "ver": entered.token_version}
    access, _ = services.tokens.sign("access", claims, ACCESS_LIFETIME)
    return Tokens(access=access, refresh=entered.refresh_token)
