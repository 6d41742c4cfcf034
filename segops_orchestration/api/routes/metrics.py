"""Figures for Prometheus, which belong to whoever runs the service and to no tenant."""

from __future__ import annotations

import hmac
import ipaddress

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.metrics import Metrics
from segops_orchestration.api.services import services_of
from segops_orchestration.settings import METRICS_TOKEN_VARIABLE

router = APIRouter(tags=["health"])

_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip")


@router.get("/metrics/", response_class=PlainTextResponse, responses=errors(401, 403))
def metrics(request: Request) -> Response:
    """Requests, their times, events and what waits, for Prometheus.

    Open to this machine; or to whoever sends `Authorization: Bearer` with the token of SEGOPS_METRICS_TOKEN.
    """
    _check(request, services_of(request).settings.metrics_token)
    figures: Metrics = request.app.state.metrics
    return Response(figures.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _check(request: Request, token: str | None) -> None:
    if token is None:
        if _is_from_here(request):
            return
        raise ApiError(403, f"metrics are for the service's own machine; {METRICS_TOKEN_VARIABLE} opens them to others")
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode(), token.encode()):
        detail = f"send Authorization: Bearer <token>, with the token of {METRICS_TOKEN_VARIABLE}"
        raise ApiError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="segops metrics"'})


def _is_from_here(request: Request) -> bool:
    """Whether a program on this machine asks, and no proxy on behalf of somebody else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
