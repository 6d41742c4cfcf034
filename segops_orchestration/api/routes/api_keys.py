"""API keys: made, listed and revoked by people who are Admin or Owner."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.gate import Administrator
from segops_orchestration.api.ids import Id
from segops_orchestration.api.texts import Line

router = APIRouter(prefix="/auth/api-keys", tags=["auth"])


class NewKey(BaseModel):
    """What kind of key is wanted."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    tenant_slug: str | None = None
    kind: Literal["secret", "public"] = "secret"
    role: Literal["admin", "member", "viewer"] = "member"
    allowed_origins: Annotated[list[Annotated[Line, Field(max_length=300)]], Field(max_length=50)] = []


class Key(BaseModel):
    """A key, without the key itself."""

    id: int
    name: str
    kind: str
    role: str
    hint: str
    allowed_origins: list[str]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None


class MadeKey(Key):
    """A key that was just made. ``key``, and for public ones ``hmac_secret``, are shown this once."""

    key: str
    hmac_secret: str | None


@router.post("/", status_code=201)
def create(scope: Administrator, body: NewKey) -> MadeKey:
    """Make a key for the tenant. Store it at once: it cannot be shown again."""
    if body.tenant_slug not in (None, scope.tenant):
        raise ApiError(404, "no such tenant among yours")
    made = scope.catalog.create_key(body.name, body.kind, body.role, body.allowed_origins, scope.caller.actor)
    shown = Key.model_validate(made.record, from_attributes=True)
    return MadeKey(**shown.model_dump(), key=made.key, hmac_secret=made.hmac_secret)


@router.get("/")
def every(scope: Administrator) -> list[Key]:
    """The tenant's keys, oldest first."""
    return [Key.model_validate(key, from_attributes=True) for key in scope.catalog.api_keys()]


@router.delete("/{key_id}/", status_code=204)
def revoke(scope: Administrator, key_id: Id) -> None:
    """Revoke a key, at once."""
    scope.catalog.revoke_key(key_id, scope.caller.actor)
