"""Errors as responses: ``{"detail": ...}``, or ``{path: [messages]}`` where fields of the request are wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from segops_orchestration.catalog.secret_box import SecretKeyError
from segops_orchestration.errors import (
    CatalogueError,
    Conflict,
    ConnectorBusy,
    Forbidden,
    InvalidDocument,
    NotFound,
    QueryMemoryExceeded,
    SegOpsError,
    TenantBusy,
    WarehouseError,
)

_log = logging.getLogger("segops.api")

_RETRY_SECONDS = 5


class ApiError(Exception):
    """A response other than success. ``extra`` goes beside ``detail`` in the body."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


class FieldErrors(Exception):
    """Fields of the request that are wrong: messages by path (``definition.conditions[2].operator``). Answers 400."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(fields))
        self.fields = {path: list(messages) for path, messages in fields.items()}


def handle_errors(app: FastAPI) -> None:
    """Give every error its response. What nobody foresaw is logged with its traceback and answered without."""

    @app.exception_handler(ApiError)
    def api_error(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse({"detail": error.detail, **error.extra}, error.status, error.headers)

    @app.exception_handler(FieldErrors)
    def field_errors(request: Request, error: FieldErrors) -> JSONResponse:
        return JSONResponse(error.fields, 400)

    @app.exception_handler(RequestValidationError)
    def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(_fields(error), 400)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)

    @app.exception_handler(SegOpsError)
    def segops_error(request: Request, error: SegOpsError) -> JSONResponse:
        if isinstance(error, WarehouseError) and not isinstance(error, QueryMemoryExceeded):
            request.app.state.services.warehouse.find_again()
        return _segops_error(error)

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        _log.error("unforeseen error", exc_info=error)
        return JSONResponse({"detail": "something went wrong here; the server's log says what"}, 500)


def _segops_error(error: SegOpsError) -> JSONResponse:
    if isinstance(error, InvalidDocument):
        fields: dict[str, list[str]] = {}
        for problem in error.problems:
            fields.setdefault(problem.path or "detail", []).append(problem.message)
        return JSONResponse(fields, 400)
    if isinstance(error, NotFound):
        return JSONResponse({"detail": str(error)}, 404)
    if isinstance(error, Forbidden):
        return JSONResponse({"detail": str(error)}, 403)
    if isinstance(error, TenantBusy | ConnectorBusy):
        return JSONResponse({"detail": str(error), "run_id": error.holder}, 409)
    if isinstance(error, Conflict):
        return JSONResponse({"detail": str(error)}, 409)
    if isinstance(error, QueryMemoryExceeded):
        return JSONResponse({"detail": str(error)}, 400)
    if isinstance(error, WarehouseError):
        # Its text speaks of hosts and statements: for the log, not for callers.
        _log.error("warehouse: %s", error)
        detail = "the warehouse did not answer; try again shortly"
        return JSONResponse({"detail": detail}, 503, {"Retry-After": str(_RETRY_SECONDS)})
    if isinstance(error, CatalogueError | SecretKeyError):
        # Their texts speak of hosts and files.
        _log.error("catalogue: %s", error)
        detail = "the catalogue cannot be used just now; the server's log says why"
        return JSONResponse({"detail": detail}, 503, {"Retry-After": str(_RETRY_SECONDS)})
    return JSONResponse({"detail": str(error)}, 400)


def _fields(error: RequestValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for found in error.errors():
        fields.setdefault(_path(found["loc"]), []).append(_message(found))
    return fields


def _path(location: Sequence[str | int]) -> str:
    """``("body", "events", 3, "user_id")`` as ``events[3].user_id``; parameters by their name."""
    path = ""
    for part in location[1:]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "detail"


def _message(found: Mapping[str, Any]) -> str:
    if found["type"] == "json_invalid":
        return f"the body is not JSON: {found['ctx']['error']}"
    return str(found["msg"]).removeprefix("Value error, ")
