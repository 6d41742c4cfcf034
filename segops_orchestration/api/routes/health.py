"""Whether the service is alive, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from segops_orchestration.api.services import services_of
from segops_orchestration.errors import SegOpsError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """``ok``, or what does not answer."""

    status: str


@router.get("/health/")
def health() -> Health:
    """The process answers. Says nothing of the stores: use it to restart a process that hangs."""
    return Health(status="ok")


@router.get("/ready/", response_model=Health, responses={503: {"model": Health}})
def ready(request: Request) -> JSONResponse:
    """Both stores answer. Use it to route requests here or not."""
    services = services_of(request)
    try:
        services.catalog.list_tenants()
    except SegOpsError:
        return JSONResponse({"status": "the catalogue does not answer"}, 503)
    try:
        services.warehouse.ping()
    except SegOpsError:
        return JSONResponse({"status": "the warehouse does not answer"}, 503)
    return JSONResponse({"status": "ok"})
