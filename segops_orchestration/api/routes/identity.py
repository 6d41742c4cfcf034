"""Which ids are one person's: aliases, where the first one wins, and merges, where the last one does."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.api.gate import Writer
from segops_orchestration.compute.identities import LONGEST_USER_ID, Joining, Outcome, alias, merge

router = APIRouter(prefix="/identity", tags=["identity"])

UserId = Annotated[str, Field(min_length=1, max_length=LONGEST_USER_ID)]

_DETAILS: dict[Outcome, str] = {
    "joined": "its events count as those of user_id, also those of the past, from the next computation on",
    "already joined": "it was known before",
    "kept": "it belongs to another user already, and the first alias wins; a merge can change that",
    "moved": "it belonged to another user until now; its events follow with the next computation",
}


class Alias(BaseModel):
    """An id from before somebody was known, and the user who it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"anonymous_id": "anon-7f3a", "user_id": "ada"}]}
    )

    anonymous_id: UserId
    user_id: UserId


class Merge(BaseModel):
    """A user who is another one: all that is known of the first is the second's."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"from_user_id": "ada-old", "into_user_id": "ada"}]}
    )

    from_user_id: UserId
    into_user_id: UserId


class Joined(BaseModel):
    """Whose the id is now."""

    status: Literal["joined", "already joined", "kept", "moved"]
    conflict: bool = Field(description="Whether the id belongs to somebody else, and stays theirs.")
    user_id: str = Field(description="The id that stands for the person in segments.", examples=["ada"])
    previous_user_id: str | None = Field(None, description="The one that stood for the id before, if it was another.")
    detail: str


@router.post("/alias/")
def add_alias(scope: Writer, body: Alias) -> Joined:
    """Say that an anonymous id is a user. The first one wins: an id that belongs to somebody stays theirs (`kept`)."""
    return _joined(alias(scope.catalog.whole, scope.database, body.anonymous_id, body.user_id))


@router.post("/merge/")
def add_merge(scope: Writer, body: Merge) -> Joined:
    """Make one user a part of another, with the ids joined to it, whatever was said of it before."""
    return _joined(merge(scope.catalog.whole, scope.database, body.from_user_id, body.into_user_id))


def _joined(joining: Joining) -> Joined:
    return Joined(
        status=joining.outcome,
        conflict=joining.outcome == "kept",
        user_id=joining.root,
        previous_user_id=joining.before,
        detail=_DETAILS[joining.outcome],
    )
