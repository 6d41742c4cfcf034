"""The versions of a segment's definition."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Reader, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import LARGEST_ID, Id
from segops_orchestration.api.segment_bodies import DefinitionBody, Segment

router = APIRouter(prefix="/segments", tags=["segments"])

_MOST = 200


class Version(BaseModel):
    """A definition that a segment has had; it never changes."""

    version: int
    definition: DefinitionBody
    created_at: datetime
    created_by: str | None = Field(description="Who saved it; null for those saved from files.")


@router.get("/{segment_id}/versions/")
def versions(
    scope: Reader,
    segment_id: Id,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many at most.")] = _MOST,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only versions older than this one.")] = None,
) -> list[Version]:
    """The newest versions, the newest first."""
    found = scope.catalog.segment_versions(segment_id, before=before, limit=limit)
    return [Version.model_validate(one, from_attributes=True) for one in found]


@router.post("/{segment_id}/versions/{version}/restore/", responses=errors(409))
def restore(scope: Writer, segment_id: Id, version: Id, once: Once) -> Segment:
    """Make an earlier definition the current one, as a new version. Nothing is computed yet."""

    def work() -> Segment:
        scope.catalog.restore_segment_version(segment_id, version, scope.caller.actor)
        return Segment.of(scope.catalog.segment_view(segment_id))

    return once.answer(scope, None, lambda attempt: work())
