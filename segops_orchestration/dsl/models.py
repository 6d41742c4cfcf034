"""A segment definition as typed, immutable models.

``parse.parse_definition`` is the way in for a document: it reports every fault at its path. The models refuse
a wrong shape too (type, unknown field, unknown operator), so code that builds one directly cannot get far
with a mistake; the rules between fields (which operator takes which value) are the parser's.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_serializer,
)

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

Logic = Literal["AND", "OR"]
CountOperator = Literal["eq", "neq", "gt", "gte", "lt", "lte"]
RecencyOperator = Literal["gt", "lt", "eq"]
MembershipOperator = Literal["in", "not_in"]
Metric = Literal["sum", "avg", "max", "min", "median", "count_distinct"]
Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]
PropertyOperator = Literal[
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "not_between",
    "in",
    "not_in",
    "contains",
    "does_not_contain",
    "starts_with",
    "ends_with",
    "matches_regex",
    "is_set",
    "is_not_set",
    "is_true",
    "is_false",
    "has_element",
    "in_last",
    "in_next",
    "before_last",
]


def _shortest(value: float) -> int | float:
    """500.0 becomes 500, so that equal numbers are one number however they were written."""
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    # By way of the decimal that is written: 1e23 is 10^23, although its float lies a little below.
    return int(Decimal(repr(value))) if value.is_integer() else value


_Float = Annotated[StrictFloat, AfterValidator(_shortest)]
Number = StrictInt | _Float
Scalar = StrictBool | StrictInt | _Float | StrictStr


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A field at its default says nothing; only ``type`` is always written."""
        fields = {info.alias or name: info for name, info in type(self).model_fields.items()}
        document: dict[str, Any] = dump(self)
        return {
            name: value
            for name, value in document.items()
            if name == "type" or fields[name].is_required() or value != fields[name].default
        }


class Duration(_Model):
    """A span of time, such as the last 7 days: exact multiples up to a week, months and years by the UTC calendar."""

    last: StrictInt = Field(ge=1)
    unit: Unit


class FixedWindow(_Model):
    """Between two instants as ISO dates or times, ``from`` included and ``to`` excluded; one of them may be absent."""

    from_: str | None = Field(default=None, alias="from")
    to: str | None = None


class AgoWindow(_Model):
    """Between two ages: ``T - from_ago < occurred_at <= T - to_ago``; one of them may be absent."""

    from_ago: StrictInt | None = Field(default=None, ge=1)
    to_ago: StrictInt | None = Field(default=None, ge=0)
    unit: Unit


Window = Duration | FixedWindow | AgoWindow
Value = Scalar | tuple[Scalar, ...] | Duration


class Filter(_Model):
    """A test of one property of an event, or of an element of an array. ``where`` belongs to ``has_element``."""

    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None
    where: tuple[Filter, ...] | None = None


Filters = tuple[Filter, ...]


class Step(_Model):
    """An event of a sequence; all of ``where`` is true of it."""

    event_type: str
    where: Filters | None = None


def _plainly(step: str | Step) -> str | Step:
    """A step without filters is its event type, however it was written."""
    return step.event_type if isinstance(step, Step) and step.where is None else step


class EventCount(_Model):
    """How many events of a type a user has, in a window or ever; ``where``: only events of which all of it is true."""

    type: Literal["event_count"] = "event_count"
    event_type: str
    operator: CountOperator
    value: StrictInt = Field(ge=0)
    window_days: Number | None = None
    window: Window | None = None
    where: Filters | None = None


class Recency(_Model):
    """How long ago the latest event of a type was, against ``window_days``."""

    type: Literal["recency"] = "recency"
    event_type: str
    operator: RecencyOperator
    window_days: Number
    where: Filters | None = None


class Monetary(_Model):
    """An aggregate of a numeric property over the events of a type, in a window or ever."""

    type: Literal["monetary"] = "monetary"
    event_type: str
    property: str
    metric: Metric
    operator: CountOperator
    value: Number
    window_days: Number | None = None
    window: Window | None = None
    where: Filters | None = None


class EventProperty(_Model):
    """A property of the user's latest event of a type. ``value2`` is the upper bound of a range.

    ``where`` narrows which events are looked at; with ``has_element`` it is about the elements instead.
    """

    type: Literal["event_property"] = "event_property"
    event_type: str
    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None
    window: Window | None = None
    where: Filters | None = None


class UserProperty(_Model):
    """A property of the user, as last identified. ``value2`` is the upper bound of a range.

    ``where`` belongs to ``has_element``.
    """

    type: Literal["user_property"] = "user_property"
    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None
    where: Filters | None = None


class EventSequence(_Model):
    """Events of these types, one strictly after the other; ``strict``: nothing else in between.

    ``within`` bounds the time from the first step to the last.
    """

    type: Literal["event_sequence"] = "event_sequence"
    events: tuple[Annotated[StrictStr | Step, AfterValidator(_plainly)], ...]
    window_days: Number | None = None
    window: Window | None = None
    within: Duration | None = None
    strict: StrictBool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """The events, each as a step."""
        return tuple(Step(event_type=event) if isinstance(event, str) else event for event in self.events)


class FirstEvent(_Model):
    """The first event of a type that a user ever had lies in the window, which one of two fields gives."""

    type: Literal["first_event"] = "first_event"
    event_type: str
    window_days: Number | None = None
    window: Window | None = None
    where: Filters | None = None


class Regularity(_Model):
    """In at least ``min_periods`` of the last ``periods`` periods, the number of events compares so with ``value``.

    The periods are back to back, the newest ending at T.
    """

    type: Literal["regularity"] = "regularity"
    event_type: str
    period: Duration
    periods: StrictInt = Field(ge=2, le=60)
    min_periods: StrictInt = Field(ge=1)
    operator: CountOperator
    value: StrictInt = Field(ge=0)
    where: Filters | None = None


class PropertyHeld(_Model):
    """A property of the user has satisfied the operator without a break, for ``at_least`` or ``less_than`` a time.

    One of the two is given. ``where`` belongs to ``has_element``.
    """

    type: Literal["property_held"] = "property_held"
    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None
    where: Filters | None = None
    at_least: Duration | None = None
    less_than: Duration | None = None


class SegmentMembership(_Model):
    """Membership in another segment of the tenant, named by id or slug, at the same instant."""

    type: Literal["segment_membership"] = "segment_membership"
    segment_id: StrictInt | StrictStr
    operator: MembershipOperator


class Group(_Model):
    """Conditions within a condition."""

    type: Literal["group"] = "group"
    logic: Logic
    conditions: tuple[Condition, ...]


class Not(_Model):
    """The complement of a condition."""

    type: Literal["not"] = "not"
    condition: Condition


Condition = Annotated[
    EventCount
    | Recency
    | Monetary
    | EventProperty
    | UserProperty
    | EventSequence
    | SegmentMembership
    | FirstEvent
    | Regularity
    | PropertyHeld
    | Group
    | Not,
    Field(discriminator="type"),
]


class Definition(_Model):
    """A whole segment definition."""

    logic: Logic
    conditions: tuple[Condition, ...]


CONDITION_MODELS: dict[str, type[_Model]] = {
    str(model.model_fields["type"].default): model
    for model in (
        EventCount,
        Recency,
        Monetary,
        EventProperty,
        UserProperty,
        EventSequence,
        SegmentMembership,
        FirstEvent,
        Regularity,
        PropertyHeld,
        Group,
        Not,
    )
}

for _model in (Filter, Group, Not, Definition):
    _model.model_rebuild()
