"""The gate: a request resolves to a caller, a tenant and a role once, and what is behind holds that tenant's stores.

A route says who may pass by the type of its first parameter: ``Reader``, ``Writer``, ``Admin`` or ``Owner``, and
``PersonOnly`` and ``Administrator`` for what no key may do. It then has a ``Scope``; no route takes a tenant from a
path or a body. ``Events`` is for sending events, which sessions of public keys may do as well; ``Somebody`` for what
a person does in no tenant, such as changing their password.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.limits import network_of
from segops_orchestration.api.origins import check_origin, refuse_pages
from segops_orchestration.api.services import Services, services_of
from segops_orchestration.api.tokens import ExpiredToken, InvalidToken
from segops_orchestration.catalog.api_keys import PREFIXES
from segops_orchestration.catalog.people_records import Actor, ApiKey, Person, Role, role_at_least
from segops_orchestration.catalog.tenant_catalog import TenantCatalog
from segops_orchestration.warehouse.client import TenantWarehouse

TENANT_HEADER = "X-SegOps-Tenant"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="segops", ApiKey realm="segops"'}


@dataclass(frozen=True)
class Caller:
    """Who asks: a person with a role in the tenant, or one of the tenant's secret keys."""

    role: Role
    person: Person | None = None
    key: ApiKey | None = None

    @property
    def actor(self) -> Actor:
        """The caller for the audit log and for ``created_by``."""
        if self.person is not None:
            return Actor("person", self.person.email)
        assert self.key is not None
        return Actor("key", f"{self.key.name} ({self.key.hint}...)")


@dataclass(frozen=True)
class Scope:
    """What one request may touch: one tenant's part of the catalogue, and its database."""

    tenant: str
    caller: Caller
    catalog: TenantCatalog
    services: Services

    @property
    def database(self) -> TenantWarehouse:
        """The tenant's database; the first use in a process brings it to the newest schema."""
        return self.services.database(self.tenant)


def unauthorized(detail: str) -> ApiError:
    """401, with the ways to authenticate."""
    return ApiError(401, detail, headers=_CHALLENGE)


def key_refused() -> ApiError:
    """401 for a key that does not work."""
    return unauthorized("the API key is not valid: mistyped, or revoked")


def credentials(request: Request) -> tuple[str, str]:
    """The scheme (lower case) and the token of the request's Authorization."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise unauthorized("authentication is missing: send Authorization: Bearer <token> or ApiKey <key>")
    if scheme.lower() not in ("bearer", "apikey") or not token.strip():
        raise unauthorized("Authorization must be 'Bearer <token>' or 'ApiKey <key>'")
    return scheme.lower(), token.strip()


def person_of(request: Request) -> Person:
    """Whose access token the request has, in whatever tenants they are."""
    services = services_of(request)
    scheme, token = credentials(request)
    if scheme == "apikey":
        raise ApiError(403, "only people may do this, not API keys")
    return _person(services, token)


def _person(services: Services, token: str) -> Person:
    try:
        claims = services.tokens.read("access", token)
    except InvalidToken as error:
        raise unauthorized(str(error)) from None
    person = services.catalog.sessions.access(int(claims["sub"]), int(claims["ver"]))
    if person is None:
        raise unauthorized("the token has been ended: the person is locked out, or has a new password")
    services.limits.spend(f"person {person.id}")
    return person


def key_of(services: Services, text: str) -> ApiKey:
    """The record of an API key that works."""
    key = services.catalog.people.key(text)
    if key is None:
        raise key_refused()
    services.limits.spend(f"key {key.id}")
    services.key_use.note(key.id)
    return key


def resolve(request: Request) -> Scope:
    """The scope of a request."""
    services = services_of(request)
    scheme, token = credentials(request)
    if scheme == "apikey":
        if token.startswith(PREFIXES["public"]):
            raise ApiError(403, "a public key (pk_) only mints sessions at /api/auth/session/; use a secret key (sk_)")
        key = key_of(services, token)
        refuse_pages(request)
        if _asked_tenant(request) not in (None, key.tenant):
            raise ApiError(404, "the API key is of another tenant")
        return _scope(services, key.tenant, Caller(key.role, key=key))
    person = _person(services, token)
    refuse_pages(request)
    tenant, role = _team(services, person, _asked_tenant(request))
    return _scope(services, tenant, Caller(role, person=person))


@dataclass(frozen=True)
class Sender:
    """Whoever may send events. With ``uid``, a session of a public key, all of them are this user's."""

    scope: Scope
    uid: str | None


def resolve_sender(request: Request) -> Sender:
    """Who sends events: a secret key or a person of role member or more, or a session that a public key minted."""
    services = services_of(request)
    scheme, token = credentials(request)
    session = _session(services, request, token) if scheme == "bearer" else None
    if session is not None:
        return session
    return Sender(at_least(resolve(request), "member"), None)


def _session(services: Services, request: Request, token: str) -> Sender | None:
    try:
        claims = services.tokens.read("session", token)
    except ExpiredToken as error:
        raise unauthorized(str(error)) from None
    except InvalidToken:
        return None
    key = services.catalog.people.key_by_id(int(claims["key"]))
    if key is None:
        raise unauthorized("the session's API key is revoked")
    services.limits.spend(f"key {key.id} from {address_of(request)}")
    check_origin(request, key)
    return Sender(_scope(services, key.tenant, Caller("member", key=key)), str(claims["uid"]))


def address_of(request: Request) -> str:
    """Where the request comes from, as rates are counted."""
    return network_of(request.client.host if request.client else None)


def _asked_tenant(request: Request) -> str | None:
    return request.headers.get(TENANT_HEADER) or request.query_params.get("tenant")


def _team(services: Services, person: Person, asked: str | None) -> tuple[str, Role]:
    teams = {member.tenant: member.role for member in services.catalog.people.teams_of(person.id)}
    if asked is not None:
        if asked not in teams:
            raise ApiError(404, "no such tenant among yours")
        return asked, teams[asked]
    if not teams:
        raise ApiError(403, "you are in no tenant's team")
    if len(teams) > 1:
        raise ApiError(400, f"you are in {len(teams)} tenants: say which by the header {TENANT_HEADER} or ?tenant=")
    return next(iter(teams.items()))


def _scope(services: Services, tenant: str, caller: Caller) -> Scope:
    return Scope(tenant, caller, TenantCatalog(services.catalog, tenant), services)


def _role(role: Role) -> Callable[[Scope], Scope]:
    def check(scope: Annotated[Scope, Depends(resolve)]) -> Scope:
        return at_least(scope, role)

    return check


def at_least(scope: Scope, role: Role) -> Scope:
    """The scope, if its caller has the role or a higher one; ApiError 403 if not."""
    if not role_at_least(scope.caller.role, role):
        raise ApiError(403, f"this needs the role {role}; you are {scope.caller.role}")
    return scope


def _a_person(scope: Annotated[Scope, Depends(_role("viewer"))]) -> Scope:
    if scope.caller.person is None:
        raise ApiError(403, "only people may do this, not API keys")
    return scope


def _administrator(scope: Annotated[Scope, Depends(_role("admin"))]) -> Scope:
    return _a_person(scope)


Reader = Annotated[Scope, Depends(_role("viewer"))]
Writer = Annotated[Scope, Depends(_role("member"))]
Admin = Annotated[Scope, Depends(_role("admin"))]
Owner = Annotated[Scope, Depends(_role("owner"))]
PersonOnly = Annotated[Scope, Depends(_a_person)]
Administrator = Annotated[Scope, Depends(_administrator)]
Events = Annotated[Sender, Depends(resolve_sender)]
Somebody = Annotated[Person, Depends(person_of)]
