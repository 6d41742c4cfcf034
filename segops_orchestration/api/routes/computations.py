"""Computations of a segment: asked for, and how they went."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.gate import Reader, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import Id
from segops_orchestration.api.paging import Page, Paging

router = APIRouter(prefix="/segments", tags=["computations"])


class ComputeOptions(BaseModel):
    """How to compute; both leave the same members."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["delta", "full"] = Field(
        default="delta", description="delta evaluates only users whose answer can have changed, full evaluates all."
    )


class Queued(BaseModel):
    """The computation begins as soon as the tenant is free. `segments/<id>/computations/` shows how it goes."""

    status: Literal["queued"]
    run_id: str


class Computation(BaseModel):
    """A computation of the segment. What is not known (yet) is null."""

    run_id: str | None
    computation_id: int | None
    status: Literal["queued", "running", "succeeded", "failed"]
    requested_by: str | None = Field(description="Who asked for it; null for those that nobody asked for over the API.")
    mode: str | None = Field(examples=["delta"])
    reason: str | None = Field(description="Why it went full although a delta was asked for.")
    version: int | None = Field(description="The definition's version.")
    at: datetime | None = Field(description="The instant that it is about.")
    members: int | None
    entered: int | None
    exited: int | None
    candidates: int | None = Field(description="How many users a delta evaluated.")
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@router.post("/{segment_id}/compute/", status_code=202, responses=errors(409))
def compute(scope: Writer, segment_id: Id, once: Once, body: ComputeOptions | None = None) -> Queued:
    """Have the segment computed, with the segments that it refers to.

    While a computation that somebody asked for has not ended, the answer is 409 with its `run_id`.
    """

    def work() -> Queued:
        segment = scope.catalog.get_segment(segment_id)
        mode = (body or ComputeOptions()).mode
        run_id = scope.services.runs.begin(scope.tenant, segment, mode, scope.caller.actor)
        return Queued(status="queued", run_id=run_id)

    return once.answer(scope, body, lambda attempt: work(), status=202)


@router.get("/{segment_id}/computations/")
def computations(
    scope: Reader,
    segment_id: Id,
    paging: Paging,
    run_id: Annotated[str | None, Query(pattern="^[A-Za-z0-9-]{1,64}$", description="Only that of this run.")] = None,
) -> Page[Computation]:
    """The segment's computations, whoever began them, the newest first."""
    found, count = scope.catalog.segment_runs(segment_id, run_id=run_id, offset=paging.offset, limit=paging.size)
    return paging.answer([Computation.model_validate(one, from_attributes=True) for one in found], count)
