"""The routes, one module a resource. Each has a ``router``; ROUTERS is the table of contents."""

from __future__ import annotations

from fastapi import APIRouter

from segops_orchestration.api.routes import (
    activations,
    analytics,
    api_keys,
    audit,
    auth,
    computations,
    explorer,
    exports,
    health,
    identity,
    ingestion,
    members,
    membership,
    metrics,
    preview,
    sandbox,
    schemas,
    segments,
    sessions,
    team,
    versions,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    # Looked through from the first on: what is asked most comes first.
    ingestion.router,
    membership.router,
    health.router,
    metrics.router,
    auth.router,
    sessions.router,
    api_keys.router,
    # What has a name comes before what has an id: segments/membership/ before segments/{id}/.
    members.router,
    computations.router,
    exports.router,
    preview.router,
    segments.router,
    versions.router,
    team.router,
    audit.router,
    explorer.router,
    sandbox.router,
    activations.router,
    webhooks.router,
    analytics.router,
    identity.router,
    schemas.router,
)
