"""Webhooks: who is told when a segment has been recomputed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.activation.hidden import query_fault, shown_url
from segops_orchestration.activation.safe_targets import TargetNotFound, TargetRefused, parse_target, resolve
from segops_orchestration.activation.safe_targets import private_targets_allowed as private_allowed
from segops_orchestration.activation.signing import check_secret, new_secret
from segops_orchestration.api.activation_config import MASK
from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import FieldErrors
from segops_orchestration.api.gate import Reader, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import Id
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.catalog.webhook_records import EVENT_TYPES, Endpoint

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

_LONGEST_SECRET = 512
EventType = Literal["segment.recomputed"]
Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://example.com/hooks/segops"])]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=10)]
Secret = Annotated[
    str,
    Field(max_length=_LONGEST_SECRET, description="What messages are signed with: 16 characters or more, or whsec_..."),
]


class NewWebhook(BaseModel):
    """An address to tell. Without a secret a new one is made."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    secret: Secret | None = None
    event_types: EventTypes = [*EVENT_TYPES]  # type: ignore[list-item]


class WebhookChange(BaseModel):
    """What is to change. A secret given as `***` stays as it is."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    secret: Secret | None = None
    event_types: EventTypes | None = None
    status: Literal["active", "disabled"] | None = None


class Webhook(BaseModel):
    """An address that is told what is committed, by messages signed with its secret.

    Each has `webhook-signature` (Standard Webhooks) and `X-SegOps-Signature: sha256=<hex HMAC of the raw body>`.
    """

    id: int
    url: str = Field(description="A query is shown as `***`.", examples=["https://example.com/hooks/segops"])
    secret: str = Field(description="Always `***`; in the answer to its creation the secret itself, this once.")
    event_types: list[str]
    status: Literal["active", "disabled"]
    status_reason: str
    pending: int = Field(description="Messages that are still to be sent.")
    dead: int = Field(description="Messages that were tried for 16 hours in vain.")
    delivered_at: datetime | None
    created_at: datetime
    updated_at: datetime


@router.get("/")
def every(scope: Reader, paging: Paging) -> Page[Webhook]:
    """The tenant's webhooks, oldest first."""
    page = paging.of(scope.catalog.webhooks())
    shown = [_shown(one) for one in page.results]
    return Page(count=page.count, next=page.next, previous=page.previous, results=shown)


@router.post("/", status_code=201, responses=errors(409))
def create(scope: Writer, body: NewWebhook, once: Once) -> Webhook:
    """Have an address told of each committed computation that changed a segment, from now on."""
    secret = new_secret() if body.secret is None else _checked_secret(body.secret)
    made: list[Endpoint] = []

    def work(_: object) -> Webhook:
        made.append(scope.catalog.create_webhook(_checked_url(body.url), secret, body.event_types, scope.caller.actor))
        return _shown(made[0])

    answer = once.answer(scope, body, work, status=201)
    # Not by the answer that is kept for a retry.
    return answer.model_copy(update={"secret": secret}) if made else answer


@router.get("/{webhook_id}/")
def one(scope: Reader, webhook_id: Id) -> Webhook:
    """One webhook."""
    return _shown(scope.catalog.webhook(webhook_id))


@router.patch("/{webhook_id}/", responses=errors(409))
def change(scope: Writer, webhook_id: Id, body: WebhookChange) -> Webhook:
    """Change a webhook. Enabled again, it is not told what was committed meanwhile."""
    stored = shown_url(scope.catalog.webhook(webhook_id).url)
    changed = scope.catalog.change_webhook(
        webhook_id,
        scope.caller.actor,
        # An echo of what is shown is no change.
        url=None if body.url in (None, stored) else _checked_url(body.url),
        secret=None if body.secret in (None, MASK) else _checked_secret(body.secret),
        event_types=body.event_types,
        status=body.status,
    )
    return _shown(changed)


@router.delete("/{webhook_id}/", status_code=204, response_class=Response)
def delete(scope: Writer, webhook_id: Id) -> Response:
    """Delete a webhook and its messages, those that wait too."""
    scope.catalog.delete_webhook(webhook_id, scope.caller.actor)
    return Response(status_code=204)


def _shown(endpoint: Endpoint) -> Webhook:
    return Webhook(
        id=endpoint.id,
        url=shown_url(endpoint.url),
        secret=MASK,
        event_types=list(endpoint.event_types),
        status=endpoint.status,
        status_reason=endpoint.status_reason,
        pending=endpoint.pending,
        dead=endpoint.dead,
        delivered_at=endpoint.delivered_at,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )


def _checked_url(url: str) -> str:
    if fault := query_fault(url):
        raise FieldErrors({"url": [fault]})
    try:
        url.encode()
        resolve(parse_target(url), allow_private=private_allowed())
    except UnicodeEncodeError:
        raise FieldErrors({"url": ["holds half a surrogate pair, which is no character"]}) from None
    except (ValueError, TargetRefused) as error:
        raise FieldErrors({"url": [str(error)]}) from None
    except TargetNotFound:
        # It may have an address when it is called; that one is checked then.
        return url
    return url


def _checked_secret(secret: str | None) -> str:
    try:
        return check_secret(secret)
    except ValueError as error:
        raise FieldErrors({"secret": [str(error)]}) from None
