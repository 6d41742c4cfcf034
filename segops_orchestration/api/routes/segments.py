"""Segments: made, listed, changed, archived."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Reader, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import Id
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.api.segment_bodies import NewSegment, Segment, SegmentChanges, WholeSegment
from segops_orchestration.catalog.segment_edits import SegmentEdit

router = APIRouter(prefix="/segments", tags=["segments"])

_SHOWN = {"true": True, "false": False, "all": None}


@router.get("/")
def every(
    scope: Reader,
    paging: Paging,
    is_active: Annotated[
        Literal["true", "false", "all"],
        # Clients in Python write True.
        BeforeValidator(str.lower),
        Query(description="`false`: those archived; `all`: both."),
    ] = "true",
) -> Page[Segment]:
    """The tenant's segments, by id."""
    views, count = scope.catalog.segment_views(active=_SHOWN[is_active], offset=paging.offset, limit=paging.size)
    return paging.answer([Segment.of(view) for view in views], count)


@router.post("/", status_code=201, responses=errors(409))
def create(scope: Writer, body: NewSegment, once: Once) -> Segment:
    """Make a segment. Nothing is computed yet.

    A slug that the name gave and that is taken gets a number behind it; one that was sent and is taken is refused.
    """

    def work() -> Segment:
        made = scope.catalog.create_segment(
            body.document(), scope.caller.actor, free_slug=body.slug is None, active=body.is_active
        )
        return Segment.of(scope.catalog.segment_view(made.id))

    return once.answer(scope, body, lambda attempt: work(), status=201)


@router.get("/{segment_id}/")
def one(scope: Reader, segment_id: Id) -> Segment:
    """One segment, archived or not."""
    return Segment.of(scope.catalog.segment_view(segment_id))


@router.patch("/{segment_id}/", responses=errors(409))
def change(scope: Writer, segment_id: Id, body: SegmentChanges) -> Segment:
    """Change fields. A changed definition is a new version, and is not computed yet.

    `is_active` false archives the segment, true takes it back into use. An archived segment can be edited too.
    """
    scope.catalog.change_segment(segment_id, body.edit(), scope.caller.actor)
    return Segment.of(scope.catalog.segment_view(segment_id))


@router.put("/{segment_id}/", responses=errors(409))
def replace(scope: Writer, segment_id: Id, body: WholeSegment) -> Segment:
    """Change all fields. The slug stays; what is left out of the body gets its default."""
    scope.catalog.change_segment(segment_id, body.edit(), scope.caller.actor)
    return Segment.of(scope.catalog.segment_view(segment_id))


@router.delete("/{segment_id}/", status_code=204, responses=errors(409))
def archive(scope: Writer, segment_id: Id) -> None:
    """Archive a segment: it is computed no more; its versions and its history stay. 409 while others refer to it."""
    scope.catalog.change_segment(segment_id, SegmentEdit(active=False), scope.caller.actor)
