"""Web pages and apps exchange a public key for a session that sends the events of one user."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.gate import address_of, credentials, unauthorized
from segops_orchestration.api.origins import check_origin, refuse_pages
from segops_orchestration.api.services import Services, services_of
from segops_orchestration.api.texts import Line
from segops_orchestration.catalog.api_keys import PREFIXES
from segops_orchestration.catalog.people_records import ApiKey

router = APIRouter(prefix="/auth", tags=["auth"])

SESSION_LIFETIME = timedelta(minutes=15)
_SIGNED_WITHIN_SECONDS = 300
_UserId = Annotated[Line, Field(min_length=1, max_length=512)]


class Visitor(BaseModel):
    """Who is there: a user whose id your server signed, or somebody anonymous."""

    user_id: _UserId | None = Field(
        None, description="The user, with `user_id_sig` and `user_id_ts`.", examples=["u-1"]
    )
    anonymous_id: _UserId | None = Field(None, description="Somebody unknown; a random id.", examples=["a-5f0c1b7e"])
    user_id_sig: str | None = Field(
        None, max_length=200, description="Hex HMAC-SHA256 of `user_id|user_id_ts`; the key is the hex-decoded secret."
    )
    user_id_ts: int | None = Field(
        None, ge=0, le=2**53, description="When it was signed, in Unix seconds; five minutes at most."
    )


class SessionToken(BaseModel):
    """``token`` goes into ``Authorization: Bearer`` of ingestion; every event is of the user ``uid``."""

    token: str
    expires_at: datetime
    uid: str


@router.post("/session/", responses=errors(401, 403, 429), openapi_extra={"security": [{"ApiKey": []}]})
def mint(request: Request, body: Visitor) -> SessionToken:
    """Begin a session of 15 minutes with `Authorization: ApiKey pk_...`. Requests of browsers need an allowed origin.

    Any page that has the key can name any `anonymous_id`; only ids that your server signs are proven.
    """
    services = services_of(request)
    key, secret = _public_key(services, request)
    services.limits.spend(f"key {key.id} from {address_of(request)}")
    services.key_use.note(key.id)
    check_origin(request, key)
    uid = _proven(body, secret)
    token, expires = services.tokens.sign("session", {"key": key.id, "uid": uid}, SESSION_LIFETIME)
    return SessionToken(token=token, expires_at=expires, uid=uid)


def _public_key(services: Services, request: Request) -> tuple[ApiKey, str]:
    scheme, text = credentials(request)
    if scheme != "apikey" or not text.startswith(PREFIXES["public"]):
        refuse_pages(request)
        raise ApiError(403, "sessions are for public keys: send Authorization: ApiKey pk_...")
    found = services.catalog.people.session_key(text)
    if found is None:
        raise unauthorized("the API key is not valid: mistyped, or revoked")
    return found


def _proven(body: Visitor, secret: str) -> str:
    """The user that the session is for."""
    if body.user_id is None:
        if body.anonymous_id is None:
            raise FieldErrors({"user_id": ["missing; send user_id with its signature, or anonymous_id"]})
        return body.anonymous_id
    missing = [name for name in ("user_id_sig", "user_id_ts") if getattr(body, name) is None]
    if missing or body.user_id_sig is None or body.user_id_ts is None:
        raise FieldErrors({name: ["missing; a user_id must be signed by your server"] for name in missing})
    signed = f"{body.user_id}|{body.user_id_ts}".encode()
    expected = hmac.new(bytes.fromhex(secret), signed, hashlib.sha256).hexdigest()
    # As bytes: texts beyond ASCII cannot be compared in constant time.
    if not hmac.compare_digest(expected.encode(), body.user_id_sig.encode(errors="replace")):
        raise unauthorized("user_id_sig is not the signature of user_id|user_id_ts with this key's hmac_secret")
    if abs(time.time() - body.user_id_ts) > _SIGNED_WITHIN_SECONDS:
        raise unauthorized("user_id_ts is more than 5 minutes away from now; sign anew")
    return body.user_id
