"""Activations: segments kept in platforms. Each is one of the catalogue's connectors."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from segops_orchestration.activation.emptying import delete_connector
from segops_orchestration.activation.saving import save_connectors
from segops_orchestration.api.activation_config import shown_config, shown_type, split_change, split_new, stored_type
from segops_orchestration.api.activation_work import begin, create_with_free_slug, set_status
from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Reader, Scope, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import LARGEST_ID, Id
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.catalog.connector_records import Connector, Sync
from segops_orchestration.catalog.connectors import ChangedMeanwhile, spec_of
from segops_orchestration.catalog.sync_summary import SyncSummary

router = APIRouter(prefix="/activations", tags=["activations"])

_LONGEST_CONFIG = 64 * 1024
_TRIES = 5
_NEVER = SyncSummary(None, ())

Share = Annotated[float, Field(ge=0, le=1)]
Users = Annotated[int, Field(ge=0, le=2**53)]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("config", check_fields=False)
    @classmethod
    def _can_be_stored(cls, config: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            text = json.dumps(config, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds half a surrogate pair, which is no character") from None
        if len(text) > _LONGEST_CONFIG:
            raise ValueError(f"longer than {_LONGEST_CONFIG // 1024} KiB")
        return config


class NewActivation(_Config):
    """A segment, and where its members are to go.

    Types and their config: klaviyo `{list_id, api_key}`, braze `{rest_endpoint, api_key, segment_id?}` (a subscription
    group; without it a boolean attribute), talonone `{base_url, api_key, audience_id}`, webhook `{url, secret?}`.
    """

    segment: Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)] | Annotated[str, Field(max_length=63)] = Field(
        description="Its id or slug.", examples=[1]
    )
    connector_type: Annotated[str, Field(max_length=32)] = Field(examples=["klaviyo"])
    config: dict[str, Any] = Field(examples=[{"list_id": "Y6nRLr", "api_key": "pk_..."}])
    hold_share: Share | None = Field(None, description="Hold a sync that would change more of the audience than this.")
    hold_users: Users | None = Field(None, description="... and at least so many users.")
    when_archived: Literal["empty", "leave"] | None = Field(
        None, description="What becomes of the audience when the segment is archived."
    )


class ActivationChange(_Config):
    """What is to change. A secret given as `***` stays; a config field given as null goes back to its default."""

    status: Literal["active", "inactive"] | None = None
    config: dict[str, Any] | None = None
    hold_share: Share | None = None
    hold_users: Users | None = None
    when_archived: Literal["empty", "leave"] | None = None


class Activation(BaseModel):
    """A segment in a platform. Secrets in `config` are always `***`."""

    id: int
    slug: str
    segment: int
    segment_slug: str
    segment_name: str
    connector_type: str
    config: dict[str, Any]
    status: Literal["inactive", "active", "error", "held", "deleting"] = Field(
        description="`held`: a change of unusual size waits for approval; `deleting`: its audience is being emptied."
    )
    status_reason: str
    last_synced_at: datetime | None = Field(description="When all that was to be sent was sent last.")
    last_error: str | None = Field(description="Why it stopped or the last sync failed; null when that went well.")
    hold_share: float
    hold_users: int
    when_archived: Literal["empty", "leave"]
    created_at: datetime
    updated_at: datetime


class MadeActivation(Activation):
    """An activation that was just made."""

    generated_secret: str | None = Field(
        None, description="Of a webhook for which no secret was given: a new one, shown this once."
    )


class Accepted(BaseModel):
    """It will be done; `GET` the activation or its `syncs/` for what came of it."""

    status: Literal["queued"] = "queued"


class ApproveHeld(BaseModel):
    """What is let go."""

    model_config = ConfigDict(extra="forbid")

    adds_only: bool = Field(False, description="Only the users to add; those to remove stay held back.")


class SyncLine(BaseModel):
    """One line of the sync log. Counts are of users."""

    id: int
    kind: str = Field(examples=["sync"])
    status: Literal["running", "succeeded", "failed", "held", "abandoned"]
    started_at: datetime
    finished_at: datetime | None
    added: int
    removed: int
    rejected: int
    pending: int
    audience: int | None
    requests: int
    error_message: str | None


@router.get("/")
def every(scope: Reader, paging: Paging) -> Page[Activation]:
    """The tenant's activations, by slug."""
    summaries = scope.catalog.sync_summaries(1)
    page = paging.of(scope.catalog.connectors())
    results = [_shown(one, summaries.get(one.id, _NEVER)) for one in page.results]
    return Page(count=page.count, next=page.next, previous=page.previous, results=results)


@router.post("/", status_code=201, responses=errors(404, 409))
def create(scope: Writer, body: NewActivation, once: Once) -> MadeActivation:
    """Send a segment's members to a platform. Inactive at first: the first sync, or `{"status": "active"}`, starts it.

    The slug is made of the segment's and the type.
    """
    made: list[str | None] = []

    def work(_: object) -> MadeActivation:
        type_ = stored_type(body.connector_type)
        config, secrets, secret = split_new(type_, body.config)
        connector = create_with_free_slug(
            scope,
            body.segment,
            type_,
            config,
            secrets,
            {name: getattr(body, name) for name in ("hold_share", "hold_users", "when_archived")},
        )
        made.append(secret)
        return MadeActivation(**_shown(connector, _NEVER).model_dump())

    answer = once.answer(scope, body, work, status=201)
    # Not by the answer that is kept for a retry.
    return answer.model_copy(update={"generated_secret": made[0]}) if made else answer


@router.get("/{activation_id}/")
def one(scope: Reader, activation_id: Id) -> Activation:
    """One activation."""
    return _current(scope, scope.catalog.connector(activation_id))


@router.patch("/{activation_id}/", responses=errors(409))
def change(scope: Writer, activation_id: Id, body: ActivationChange) -> Activation:
    """Change the config, the limits, or the status. Segment, type and, once users were delivered, the audience stay."""
    connector = _configured(scope, activation_id, body)
    if body.status is not None:
        set_status(scope, connector.slug, body.status)
    return _current(scope, scope.catalog.connector(activation_id))


def _configured(scope: Scope, activation_id: int, body: ActivationChange) -> Connector:
    """The activation with its fields changed. What somebody else changes at the same time stays."""
    changes = {
        name: value
        for name in ("hold_share", "hold_users", "when_archived")
        if (value := getattr(body, name)) is not None
    }
    for tries_left in reversed(range(_TRIES)):
        connector = scope.catalog.connector(activation_id)
        if body.config is None and not changes:
            break
        read = spec_of(connector)
        config, secrets = split_change(connector, body.config or {})
        wanted = [(replace(read, config=config, **changes), secrets)]
        try:
            save_connectors(scope.catalog.whole, scope.tenant, wanted, as_read=[read], actor=scope.caller.actor)
            break
        except ChangedMeanwhile:
            if not tries_left:
                raise
    return connector


@router.delete(
    "/{activation_id}/",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "It is deleted."},
        202: {"model": Accepted, "description": "Its audience is being emptied, then it is deleted."},
        **errors(409),
    },
)
def delete(
    scope: Writer,
    activation_id: Id,
    audience: Annotated[
        Literal["leave", "empty"], Query(description="`empty` takes everybody out first whom it added.")
    ] = "leave",
) -> Response:
    """Delete an activation. Its audience is left as it is, unless asked otherwise."""
    connector = scope.catalog.connector(activation_id)
    if audience == "empty":
        begin(scope, "delete", connector)
        return JSONResponse({"status": "queued"}, 202)
    delete_connector(
        scope.catalog.whole,
        scope.services.warehouse,
        scope.tenant,
        connector.slug,
        empty_first=False,
        actor=scope.caller.actor,
    )
    return Response(status_code=204)


@router.post("/{activation_id}/sync/", status_code=202, responses=errors(409, 429))
def sync(scope: Writer, activation_id: Id, once: Once) -> Accepted:
    """Send what has changed since the last sync, in the background. A new activation becomes active by it.

    While one runs: 409. So is an activation that is inactive or has an error; `detail` says what to do. What is held
    stays held, unless it has become smaller meanwhile.
    """

    def work(_: object) -> Accepted:
        begin(scope, "sync", scope.catalog.connector(activation_id))
        return Accepted()

    return once.answer(scope, None, work, status=202)


@router.post("/{activation_id}/approve/", responses=errors(409))
def approve(scope: Writer, activation_id: Id, body: ApproveHeld | None = None) -> Activation:
    """Let a held change go with the next sync."""
    connector = scope.catalog.connector(activation_id)
    scope.catalog.approve_hold(connector.slug, scope.caller.actor, adds_only=body is not None and body.adds_only)
    return _current(scope, scope.catalog.connector(activation_id))


@router.get("/{activation_id}/syncs/")
def syncs(scope: Reader, activation_id: Id, paging: Paging) -> Page[SyncLine]:
    """The sync log, the newest first."""
    connector = scope.catalog.connector(activation_id)
    count, found = scope.catalog.syncs_of(connector, paging.size, paging.offset)
    return paging.answer([_line(one) for one in found], count)


def _current(scope: Scope, connector: Connector) -> Activation:
    return _shown(connector, scope.catalog.sync_summaries(1).get(connector.id, _NEVER))


def _shown(connector: Connector, summary: SyncSummary) -> Activation:
    status = "inactive" if connector.status == "paused" else connector.status
    return Activation(
        id=connector.id,
        slug=connector.slug,
        segment=connector.segment_id,
        segment_slug=connector.segment,
        segment_name=connector.segment_name,
        connector_type=shown_type(connector.type),
        config=shown_config(connector),
        status=status,
        status_reason=connector.status_reason,
        last_synced_at=summary.last_synced_at,
        last_error=_last_error(connector, summary),
        hold_share=connector.hold_share,
        hold_users=connector.hold_users,
        when_archived=connector.when_archived,
        created_at=connector.created_at,
        updated_at=connector.updated_at,
    )


def _last_error(connector: Connector, summary: SyncSummary) -> str | None:
    if connector.status == "error":
        return connector.status_reason
    last = summary.newest[0] if summary.newest else None
    if last is None or last.status == "succeeded":
        return None
    return (
        last.error or (connector.status_reason if last.status == "held" else None) or f"the last sync was {last.status}"
    )


def _line(one: Sync) -> SyncLine:
    return SyncLine(
        id=one.id,
        kind=one.kind,
        status=one.status,
        started_at=one.started_at,
        finished_at=one.finished_at,
        added=one.counts.added,
        removed=one.counts.removed,
        rejected=one.counts.rejected,
        pending=one.counts.pending,
        audience=one.counts.audience,
        requests=one.counts.requests,
        error_message=one.error,
    )
