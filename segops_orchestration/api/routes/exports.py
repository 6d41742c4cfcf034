"""Members as files: asked for, looked after, downloaded by a signed link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.gate import Reader, Scope
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import LARGEST_ID, Id
from segops_orchestration.api.services import Services, services_of
from segops_orchestration.api.tokens import InvalidToken
from segops_orchestration.catalog.service_records import SegmentExport
from segops_orchestration.errors import NotFound

router = APIRouter(prefix="/segments", tags=["exports"])

_MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
_NO_LINK = (
    "the link is not valid, or has expired: segments/<id>/export/?export_id= gives a new one while the file is there"
)


class ExportOptions(BaseModel):
    """The file's format."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "parquet"] = "csv"


class AskedExport(BaseModel):
    """The file is written beside. `segments/<id>/export/?export_id=` shows when it is ready."""

    export_id: int
    status: Literal["pending"]


class Export(BaseModel):
    """A file of members. The link is there while it is ready, until it expires an hour later."""

    id: int
    status: Literal["pending", "running", "ready", "failed", "expired"]
    format: Literal["csv", "parquet"]
    download_url: str | None = Field(description="Needs no other credentials than itself.")
    expires_at: datetime | None = Field(description="Until when the link and the file are good.")
    rows: int | None
    bytes: int | None
    created_at: datetime
    finished_at: datetime | None
    error: str | None


@router.get(
    "/exports/{export_id}/download/",
    response_class=FileResponse,
    responses={
        200: {
            "description": "Columns `user_id` and `computed_at`, by user id: CSV in UTF-8 with a header, or Parquet.",
            "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()},
        },
        **errors(403, 404),
    },
)
def download(
    request: Request,
    export_id: Id,
    token: Annotated[str, Query(min_length=1, max_length=2000, description="Part of the link.")],
) -> FileResponse:
    """The file, by the link of an export that is ready. No authentication but the link."""
    services = services_of(request)
    export = _linked(services, export_id, token)
    path = services.exports.path(export)
    if path is None:
        raise NotFound("the file is not there any more; ask for a new export")
    return FileResponse(path, media_type=_MEDIA[export.format], filename=path.name)


@router.post("/{segment_id}/export/", status_code=202, responses=errors(409))
def export(scope: Reader, segment_id: Id, once: Once, body: ExportOptions | None = None) -> AskedExport:
    """Have the segment's members written to a file, by the last computation."""

    def work() -> AskedExport:
        segment = scope.catalog.get_segment(segment_id)
        wanted = (body or ExportOptions()).format
        asked = scope.services.exports.ask(scope.tenant, segment.id, wanted, scope.caller.actor)
        return AskedExport(export_id=asked.id, status="pending")

    return once.answer(scope, body, lambda attempt: work(), status=202)


@router.get("/{segment_id}/export/")
def shown(
    scope: Reader,
    request: Request,
    segment_id: Id,
    export_id: Annotated[int, Query(ge=1, le=LARGEST_ID, description="Which one.")],
) -> Export:
    """How an export stands."""
    segment = scope.catalog.get_segment(segment_id)
    found = scope.catalog.whole.service.exports.get(scope.tenant, export_id, segment.id)
    ready = found.status == "ready" and found.expires_at > datetime.now(UTC)
    return Export(
        id=found.id,
        status="expired" if found.status == "ready" and not ready else found.status,
        format=found.format,
        download_url=_link(scope, request, found) if ready else None,
        expires_at=found.expires_at if ready else None,
        rows=found.rows,
        bytes=found.bytes,
        created_at=found.created_at,
        finished_at=found.finished_at,
        error=found.error,
    )


def _link(scope: Scope, request: Request, export: SegmentExport) -> str:
    """An address that opens this file alone, for as long as it is kept."""
    claims = {"tenant": scope.tenant, "export": export.id}
    token, _ = scope.services.tokens.sign("download", claims, export.expires_at - datetime.now(UTC))
    return str(request.url_for("download", export_id=export.id).include_query_params(token=token))


def _linked(services: Services, export_id: int, token: str) -> SegmentExport:
    """The export that a link is good for."""
    try:
        claims = services.tokens.read("download", token)
    except InvalidToken:
        raise ApiError(403, _NO_LINK) from None
    if claims.get("export") != export_id:
        raise ApiError(403, _NO_LINK)
    tenant = str(claims.get("tenant"))
    if services.catalog.get_tenant(tenant).status != "active":
        raise NotFound(f"no export {export_id}")
    return services.catalog.service.exports.get(tenant, export_id)
