"""Who is in a segment, and who came and went."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from segops_orchestration.api.cursors import cursor_after, read_cursor
from segops_orchestration.api.gate import Reader
from segops_orchestration.api.ids import Id
from segops_orchestration.api.instants import Moment
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.api.routes.membership import LONGEST_USER_ID
from segops_orchestration.compute.members import iter_members

router = APIRouter(prefix="/segments", tags=["members"])

_MOST = 1_000
_LONGEST_CURSOR = 8 * LONGEST_USER_ID


class Member(BaseModel):
    """A user who is in, since the computation of this instant."""

    user_id: str = Field(examples=["ada"])
    computed_at: datetime


class Members(BaseModel):
    """A part of the members, by user id. `next_cursor` asks for the part after it; null at the end."""

    results: list[Member]
    next_cursor: str | None


class Change(BaseModel):
    """What one computation did to the segment: how many users entered and left, and how many it left in it."""

    computation_id: int
    run_id: str | None
    at: datetime = Field(description="The instant that the computation is about.")
    committed_at: datetime
    version: int = Field(description="The definition's version.")
    mode: str = Field(examples=["delta"])
    entered: int
    exited: int
    members: int


@router.get("/{segment_id}/members/")
def members(
    scope: Reader,
    segment_id: Id,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many at most.")] = 100,
    cursor: Annotated[str | None, Query(max_length=_LONGEST_CURSOR, description="`next_cursor` of before.")] = None,
) -> Members:
    """The members by the last computation, by user id. Nobody is in a segment that was never computed."""
    segment = scope.catalog.get_segment(segment_id)
    listed = f"members {segment.id}"
    after = read_cursor(scope.services, scope.tenant, listed, cursor) if cursor else None
    found = list(islice(iter_members(scope.database, segment.id, limit=limit + 1, after=after), limit + 1))
    shown = [Member(user_id=one.user_id, computed_at=one.computed_at) for one in found[:limit]]
    more = len(found) > limit
    return Members(
        results=shown,
        next_cursor=cursor_after(scope.services, scope.tenant, listed, shown[-1].user_id) if more else None,
    )


@router.get("/{segment_id}/changes/")
def changes(
    scope: Reader,
    segment_id: Id,
    paging: Paging,
    since: Annotated[Moment | None, Query(description="Only computations of this instant and later ones.")] = None,
) -> Page[Change]:
    """The computations by which anybody entered or left, the newest first."""
    found, count = scope.catalog.segment_changes(segment_id, since=since, offset=paging.offset, limit=paging.size)
    return paging.answer([Change.model_validate(one, from_attributes=True) for one in found], count)
