"""The OpenAPI document made complete: what can go wrong with each operation, and how callers authenticate.

A route declares the errors of its own, ``responses=errors(409)``. Those of the gate, of the middleware and of
reading a request are added to every operation that passes through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.constants import REF_TEMPLATE
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field, RootModel

from segops_orchestration.api.gate import TENANT_HEADER, resolve, resolve_sender
from segops_orchestration.api.ingest.senders import known_sender
from segops_orchestration.api.known_keys import known_scope


class Problem(BaseModel):
    """An error. Some say more beside ``detail``: ``run_id`` where a computation is under way."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"detail": "no segment 7"}]})

    detail: str = Field(description="What is wrong, and what would be right.")


class FieldProblems(RootModel[dict[str, list[str]]]):
    """What is wrong with fields of the request, by their path."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"definition.conditions[2].operator": ["'is' is not an operator of event_count"]}]
        }
    )


class BusyProblem(BaseModel):
    """Something is under way already."""

    model_config = ConfigDict(extra="allow")

    detail: str = Field(description="What is under way.")
    run_id: str | None = Field(None, description="Which run it is.")


_MEANINGS = {
    400: "Something in the request is wrong.",
    401: "No credentials, or credentials that open nothing.",
    403: "The caller's role does not allow it.",
    404: "There is no such object in the caller's tenant.",
    409: "It does not fit the state of things.",
    410: "It was there, and is gone.",
    413: "The body is larger than allowed.",
    429: "Too much at once. `Retry-After` says in how many seconds to try again.",
    500: "A fault of the service.",
    503: "A store does not answer. `Retry-After` says in how many seconds to try again.",
}
_ANY = (413, 500, 503)
_GATE = (400, 401, 403, 404, 429)
_READING = (400,)
_GATES = (resolve, resolve_sender, known_sender, known_scope)

Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """The ``responses`` of a route that can answer these errors."""
    return {status: {"model": _model(status), "description": _MEANINGS[status]} for status in statuses}


def _model(status: int) -> Any:
    if status == 400:
        return Problem | FieldProblems
    return BusyProblem if status == 409 else Problem


def document(app: FastAPI) -> None:
    """Let the application's OpenAPI document say what its routes alone do not."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(app: FastAPI) -> dict[str, Any]:
    written = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = written.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (Problem, FieldProblems):
        schemas[model.__name__] = model.model_json_schema(ref_template=REF_TEMPLATE)
    components["securitySchemes"] = _SECURITY_SCHEMES
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute) or context.path_format not in written["paths"]:
            continue
        operations = written["paths"][context.path_format]
        for method in context.methods or ():
            if method.lower() in operations:
                _finish(operations[method.lower()], gated=_passes_gate(context.dependant))
    return written


def _finish(operation: dict[str, Any], *, gated: bool) -> None:
    responses = operation["responses"]
    # FastAPI's own, for what errors.py answers with 400.
    responses.pop("422", None)
    statuses = {*_ANY, *(_GATE if gated else ())}
    if operation.get("parameters") or "requestBody" in operation:
        statuses.update(_READING)
    for status in sorted(statuses):
        responses.setdefault(str(status), _response(status))
    operation["responses"] = dict(sorted(responses.items()))
    if not gated:
        return
    operation.setdefault("security", [{name: []} for name in _SECURITY_SCHEMES])
    operation.setdefault("parameters", []).append(_TENANT_PARAMETER)


def _response(status: int) -> dict[str, Any]:
    problem = {"$ref": REF_TEMPLATE.format(model="Problem")}
    fields = {"$ref": REF_TEMPLATE.format(model="FieldProblems")}
    schema = {"anyOf": [problem, fields]} if status == 400 else problem
    return {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}


def _passes_gate(dependant: Dependant) -> bool:
    return any(found.call in _GATES for found in _inside(dependant))


def _inside(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _inside(inner)


_SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`ApiKey sk_...`: a program of one tenant.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A person's access token, from `POST /api/auth/token/`.",
    },
}
_TENANT_PARAMETER = {
    "name": TENANT_HEADER,
    "in": "header",
    "required": False,
    "description": "Which tenant, for people who are in several. The query parameter `tenant` does the same.",
    "schema": {"type": "string"},
}
