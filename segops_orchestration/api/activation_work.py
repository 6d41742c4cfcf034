"""What requests do to activations, beyond one call of the catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from segops_orchestration.activation.background import Job, TooManyWaiting
from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.gate import Scope
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec
from segops_orchestration.errors import Conflict, ConnectorBusy

# Why an activation that nobody has started yet is inactive: its first sync starts it, that of a stopped one does not.
NEW = "not started yet"
_LONGEST_SLUG = 63
_RETRY_SECONDS = 30
_TRIES = 5
_PATIENCE_SECONDS = 0.25


def create_with_free_slug(
    scope: Scope,
    segment: int | str,
    type_: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    limits: Mapping[str, Any],
) -> Connector:
    """Create a connector called SEGMENT-TYPE, with a number behind it where that is taken.

    Raises:
        NotFound, Conflict: no such segment, or it is archived.
    """
    found = scope.catalog.get_segment(segment)
    given = {name: value for name, value in limits.items() if value is not None}
    for attempt in range(_TRIES):
        taken = {one.slug for one in scope.catalog.connectors()}
        slug = _free(f"{found.slug}-{type_}".replace("_", "-"), taken)
        spec = ConnectorSpec(slug=slug, segment=found.slug, type=type_, config=dict(config), **given)
        try:
            return scope.catalog.create_connector(spec, secrets, scope.caller.actor, status="paused", reason=NEW)
        except Conflict:
            # Somebody else may have taken the slug a moment ago; an archived segment stays one.
            if attempt + 1 == _TRIES or slug not in {one.slug for one in scope.catalog.connectors()}:
                raise
    raise AssertionError("not reached")


def _free(base: str, taken: set[str]) -> str:
    slug, number = base[:_LONGEST_SLUG], 1
    while slug in taken:
        number += 1
        slug = f"{base[: _LONGEST_SLUG - len(str(number)) - 1]}-{number}"
    return slug


def set_status(scope: Scope, slug: str, status: Literal["active", "inactive"]) -> Connector:
    """Start or stop an activation. Raises Conflict for one that is held or being deleted."""
    if status == "active":
        return scope.catalog.resume_connector(slug, scope.caller.actor)
    return scope.catalog.pause_connector(slug, scope.caller.actor)


def begin(scope: Scope, job: Job, connector: Connector) -> None:
    """Let a sync, or an emptying and deletion, begin in the background.

    Raises:
        ConnectorBusy: one is under way, here or elsewhere.
        ApiError: the activation's status forbids it, or too many syncs wait.
    """
    if job == "sync":
        _require_started(scope, connector)
    # One that its log says has ended may be giving its lease back.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _begin(scope, job, connector.slug)
        except ConnectorBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PATIENCE_SECONDS / 5)


def _begin(scope: Scope, job: Job, slug: str) -> None:
    holder = scope.catalog.connector_holder(slug)
    if holder is not None:
        raise ConnectorBusy(scope.tenant, slug, holder)
    try:
        scope.services.syncs.begin(job, scope.tenant, slug)
    except TooManyWaiting as error:
        raise ApiError(429, str(error), headers={"Retry-After": str(_RETRY_SECONDS)}) from None


def _require_started(scope: Scope, connector: Connector) -> None:
    if connector.status == "paused" and connector.status_reason == NEW:
        set_status(scope, connector.slug, "active")
        return
    advice = {
        "paused": 'it is inactive; PATCH it with {"status": "active"} first',
        "error": f'it stopped: {connector.status_reason}; then PATCH it with {{"status": "active"}}',
        "deleting": "it is being deleted",
    }.get(connector.status)
    if advice is not None:
        raise ApiError(409, advice)
