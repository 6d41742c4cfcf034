"""Which segments a user is in: what programs ask for while a person waits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from segops_orchestration.api.direct_route import direct_route
from segops_orchestration.api.gate import Scope, at_least
from segops_orchestration.api.ids import LARGEST_ID
from segops_orchestration.api.known_keys import known_scope
from segops_orchestration.api.membership_checks import Check, Checked, checks_lifespan, checks_of
from segops_orchestration.errors import NotFound

LONGEST_USER_ID = 512


class MemberSegment(BaseModel):
    """A segment that the user is in, since the computation of this instant."""

    id: int
    name: str
    slug: str
    computed_at: datetime


class Membership(BaseModel):
    """The active segments that a user is in, by slug. Asked about one of them, also whether the user is in that."""

    user_id: str
    segments: list[MemberSegment]
    is_member: bool | None = Field(default=None, description="Null unless `segment_id` was asked about.")
    is_computed: bool | None = Field(
        default=None, description="Whether that segment was computed at all; if not, nobody is known to be in it."
    )


class Question(BaseModel):
    """The parameters of the query."""

    user_id: str = Field(min_length=1, max_length=LONGEST_USER_ID, description="Whose segments.")
    segment_id: int | None = Field(default=None, ge=1, le=LARGEST_ID, description="A segment to ask about.")


def _question(request: Request) -> Question:
    try:
        return Question.model_validate(dict(request.query_params))
    except ValidationError as error:
        places = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(places) from None


router = APIRouter(
    prefix="/segments",
    tags=["members"],
    lifespan=checks_lifespan,
    route_class=direct_route(known_scope, _question),
)


@router.get("/membership/", response_model=Membership)
async def membership(
    request: Request, scope: Annotated[Scope, Depends(known_scope)], question: Annotated[Question, Query()]
) -> Response:
    """The segments that a user is in, by the last computation of each. A user never heard of is in none."""
    key = at_least(scope, "viewer").caller.key
    check = Check(question.user_id, question.segment_id, None if key is None else key.id)
    checked = await checks_of(request).together.ask(scope.tenant, check)
    return Response(_answer(scope, question, checked).model_dump_json(), media_type="application/json")


def _answer(scope: Scope, question: Question, checked: Checked) -> Membership:
    entered, wanted = checked.entered, question.segment_id
    listed = [
        MemberSegment(id=one.id, name=one.name, slug=one.slug, computed_at=entered[one.id])
        for one in checked.segments
        if one.computation_id is not None and one.id in entered
    ]
    if wanted is None:
        return Membership(user_id=question.user_id, segments=listed)
    asked = next((one for one in checked.segments if one.id == wanted), None)
    if asked is None:
        raise NotFound(f"no active segment {wanted} in tenant {scope.tenant!r}")
    computed = asked.computation_id is not None
    is_member = computed and wanted in entered
    return Membership(user_id=question.user_id, segments=listed, is_member=is_member, is_computed=computed)
