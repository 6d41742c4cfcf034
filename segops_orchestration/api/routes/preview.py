"""Previews and estimates: how many users a definition matches now, before it is saved or computed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Reader
from segops_orchestration.api.ids import Id
from segops_orchestration.api.segment_bodies import DefinitionBody, checked_definition
from segops_orchestration.api.slots import Slots
from segops_orchestration.proposals.preview import estimate, preview

router = APIRouter(prefix="/segments", tags=["segments"])

_MOST_SHOWN = 100
_slots = Slots("previews", per_tenant=2)


class PreviewRequest(BaseModel):
    """A definition that need not be saved."""

    model_config = ConfigDict(extra="forbid")

    definition: DefinitionBody
    limit: Annotated[int, Field(ge=0, le=_MOST_SHOWN, description="How many user ids to show.")] = 10


class PreviewAnswer(BaseModel):
    """Who matches now, and the SQL that finds them."""

    matched_users: int
    sample_user_ids: list[str] = Field(description="The first by id.")
    sql: str = Field(description="To be read: values stand in the places of the parameters that they are bound to.")


class EstimateAnswer(BaseModel):
    """How many match now."""

    matched_users: int
    sampled: bool = Field(description="Only a part of the users was looked at, and the number scaled up.")


@router.post("/preview/", responses=errors(409))
def preview_definition(scope: Reader, body: PreviewRequest) -> PreviewAnswer:
    """Evaluate a definition for all users, now, and store nothing. Segments that it refers to are evaluated too."""
    definition = checked_definition(body.definition)
    with _slots.taken(scope.tenant):
        found = preview(scope.catalog.whole, scope.database, definition, body.limit)
    return PreviewAnswer(matched_users=found.matched_users, sample_user_ids=list(found.sample), sql=found.sql)


@router.post("/{segment_id}/estimate/", responses=errors(409))
def estimate_segment(scope: Reader, segment_id: Id) -> EstimateAnswer:
    """About how many users the segment's current definition matches now. Of many users only a part is looked at."""
    segment = scope.catalog.get_segment(segment_id)
    with _slots.taken(scope.tenant):
        found = estimate(scope.catalog.whole, scope.database, segment)
    return EstimateAnswer(matched_users=found.matched_users, sampled=found.sampled)
