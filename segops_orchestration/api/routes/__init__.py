"""The routes, one module a resource. Each has a ``router``; ROUTERS is the table of contents."""

from __future__ import annotations

from fastapi import APIRouter

from segops_orchestration.api.routes import (
    api_keys,
    explorer,
    health,
    ingestion,
    members,
    preview,
    sandbox,
    segments,
    versions,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    api_keys.router,
    # What has a name comes before what has an id: segments/membership/ before segments/{id}/.
    members.router,
    preview.router,
    segments.router,
    versions.router,
)
    team.router,
    audit.router,
    explorer.router,
    sandbox.router,
    ingestion.router,
