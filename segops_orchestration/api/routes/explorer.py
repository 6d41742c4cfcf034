"""The explorer: users, what they did, which segments they are in and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.gate import Reader, Scope
from segops_orchestration.api.ids import Id
from segops_orchestration.api.slots import user_looks
from segops_orchestration.api.user_paths import UserId
from segops_orchestration.compute.check import user_segments
from segops_orchestration.explain.explain import explain
from segops_orchestration.explorer.explained import condition_rows
from segops_orchestration.explorer.users import UserProfile, count_users, find_users, user_events, user_profile

router = APIRouter(prefix="/explorer/users", tags=["explorer"])

_MOST = 200
_COUNT_KEPT = 30.0
Limit = Annotated[int, Query(ge=1, le=_MOST, description="How many at most.")]


class User(BaseModel):
    """A user. Times are those of the first and the last event."""

    user_id: str = Field(examples=["ada"])
    event_count: int
    first_seen: datetime
    last_seen: datetime


class Users(BaseModel):
    """``count`` users match; these come first."""

    count: int
    results: list[User]


class UserInFull(User):
    """One user. ``properties`` are those of the latest identification."""

    event_type_count: int = Field(description="How many different types of events the user has.")
    event_types: dict[str, int] = Field(description="Events by type.", examples=[{"order_placed": 2}])
    properties: dict[str, Any] = Field(examples=[{"country": "DE"}])


class Event(BaseModel):
    """An event of a user."""

    event_id: str
    event_type: str = Field(examples=["order_placed"])
    occurred_at: datetime
    ingested_at: datetime
    payload: dict[str, Any]


class Events(BaseModel):
    """``count`` events match; these are the newest, the newest first."""

    count: int
    results: list[Event]


class SegmentOfUser(BaseModel):
    """A segment that the user is in, and the instant of the computation in which the user entered."""

    segment_id: int
    segment_name: str
    segment_slug: str
    member_count: int
    computed_at: datetime


class DecidingEvent(BaseModel):
    """An event that a condition rests on."""

    event_id: str
    event_type: str
    occurred_at: datetime


class ExplainedCondition(BaseModel):
    """One condition. Groups, ``not`` and references to segments stand before the conditions inside them.

    ``actual_value`` is what was found, ``threshold`` what it is compared with; both null where conditions are combined.
    """

    index: int
    type: str = Field(examples=["event_count"])
    label: str = Field(description="What it asks, in words.", examples=["at least 2 order_placed in the last 30 days"])
    actual_value: Any = Field(examples=[3])
    threshold: Any = Field(examples=[2])
    matches: bool
    path: str = Field(description="Where it stands in the definition.", examples=["conditions[0]"])
    depth: int = Field(description="How many conditions it is inside of.")
    operator: str | None
    flips_at: datetime | None = Field(description="When the answer changes first if nothing more happens, if ever.")
    facts: dict[str, Any] | None = Field(description="All that was found.")
    thresholds: dict[str, Any] | None = Field(description="All that it is compared with.")
    decided_by: list[DecidingEvent]
    segment_slug: str | None = Field(description="The segment that is referred to.")
    unfolded_at: str | None = Field(description="Where the same segment's conditions are listed already.")


@router.get("/")
def search(
    scope: Reader,
    q: Annotated[
        str, Query(max_length=512, description="A part of the id, in any case; those beginning so first.")
    ] = "",
    limit: Limit = 50,
) -> Users:
    """Find users by a part of their id. Without `q`: all of them, by id."""
    database = scope.database
    with user_looks.taken(scope.tenant):
        # Counting all is a pass over them, for a figure that hardly changes.
        count = (
            count_users(database, q)
            if q
            else scope.services.looks.get((scope.tenant, "users"), _COUNT_KEPT, lambda: count_users(database))
        )
        found = find_users(database, q, limit)
    return Users(
        count=max(count, len(found)), results=[User.model_validate(one, from_attributes=True) for one in found]
    )


# In this order: what stands behind the id is told from the id by the first pattern that fits.
@router.get("/{user_id:path}/segments/{segment_id}/explain/", responses=errors(404))
def explained(scope: Reader, user_id: UserId, segment_id: Id) -> list[ExplainedCondition]:
    """Why the user is in the segment, or is not: every condition of the definition in document order.

    Evaluated now, by the current definition and all events that have arrived.
    """
    segment = scope.catalog.get_segment(segment_id)
    _profile(scope, user_id)
    with user_looks.taken(scope.tenant):
        found = explain(scope.catalog.whole, scope.services.warehouse, scope.tenant, segment.slug, user_id)
    return [ExplainedCondition(**row) for row in condition_rows(found)]


@router.get("/{user_id:path}/segments/", responses=errors(404))
def segments(scope: Reader, user_id: UserId) -> list[SegmentOfUser]:
    """The active segments that the user is in, by the last computation of each."""
    _profile(scope, user_id)
    known = {one.slug: one for one in scope.catalog.segment_status()}
    found = user_segments(scope.catalog.whole, scope.database, user_id).segments
    return [
        SegmentOfUser(
            segment_id=known[one.segment].segment_id,
            segment_name=known[one.segment].name,
            segment_slug=one.segment,
            member_count=known[one.segment].members or 0,
            computed_at=one.computed_at,
        )
        for one in found
        if one.segment in known and one.computed_at is not None
    ]


@router.get("/{user_id:path}/events/", responses=errors(404))
def events(
    scope: Reader,
    user_id: UserId,
    event_type: Annotated[str | None, Query(max_length=512, description="Only of this type.")] = None,
    since: Annotated[
        str | None, Query(max_length=64, description="Only what occurred then or later: an instant or a date, in UTC.")
    ] = None,
    limit: Limit = 50,
) -> Events:
    """The user's events, the newest first. Fewer than `limit` come back when their payloads are large."""
    count, found = user_events(
        scope.database, user_id, event_type=event_type, since=_instant("since", since), limit=limit
    )
    if not count:
        _profile(scope, user_id)
    return Events(count=count, results=[Event.model_validate(one, from_attributes=True) for one in found])


@router.get("/{user_id:path}/", responses=errors(404))
def one(scope: Reader, user_id: UserId) -> UserInFull:
    """One user, with properties."""
    found = _profile(scope, user_id)
    return UserInFull(
        user_id=found.user_id,
        event_count=found.event_count,
        first_seen=found.first_seen,
        last_seen=found.last_seen,
        event_type_count=len(found.event_types),
        event_types=dict(found.event_types),
        properties=dict(found.properties),
    )


def _profile(scope: Scope, user_id: str) -> UserProfile:
    found = user_profile(scope.database, user_id)
    if found is None:
        raise ApiError(404, "no such user: nobody of that id has had an event")
    return found


def _instant(field: str, text: str | None) -> datetime | None:
    """An instant or a date; without an offset it is UTC."""
    if text is None:
        return None
    try:
        # A + of an offset that was not quoted arrives as a blank.
        read = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        utc = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FieldErrors(
            {field: [f"found {text!r}; allowed: an instant such as 2026-01-31T12:00:00Z, or a date"]}
        ) from None
    # What the event table can hold; nothing is older or newer.
    return min(max(utc, datetime(1900, 1, 1, tzinfo=UTC)), datetime(2299, 12, 31, tzinfo=UTC))
