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
Metric = Literal["sum", "avg", "max"]
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
Value = Scalar | tuple[Scalar, ...]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A field at its default says nothing; only ``type`` is always written."""
        fields = type(self).model_fields
        document: dict[str, Any] = dump(self)
        return {
            name: value
            for name, value in document.items()
            if name == "type" or fields[name].is_required() or value != fields[name].default
        }


class EventCount(_Model):
    """How many events of a type a user has, in the last ``window_days`` or ever."""

    type: Literal["event_count"] = "event_count"
    event_type: str
    operator: CountOperator
    value: StrictInt = Field(ge=0)
    window_days: Number | None = None


class Recency(_Model):
    """How long ago the latest event of a type was, against ``window_days``."""

    type: Literal["recency"] = "recency"
    event_type: str
    operator: RecencyOperator
    window_days: Number


class Monetary(_Model):
    """An aggregate of a numeric property over all events of a type."""

    type: Literal["monetary"] = "monetary"
    event_type: str
    property: str
    metric: Metric
    operator: CountOperator
    value: Number


class EventProperty(_Model):
    """A property of the user's latest event of a type. ``value2`` is the upper bound of a range."""

    type: Literal["event_property"] = "event_property"
    event_type: str
    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None


class UserProperty(_Model):
    """A property of the user, as last identified. ``value2`` is the upper bound of a range."""

    type: Literal["user_property"] = "user_property"
    property: str
    operator: PropertyOperator
    value: Value | None = None
    value2: Scalar | None = None


class EventSequence(_Model):
    """Events of these types, one strictly after the other; ``strict``: nothing else in between."""

    type: Literal["event_sequence"] = "event_sequence"
    events: tuple[str, ...]
    window_days: Number | None = None
    strict: StrictBool = False


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
    EventCount | Recency | Monetary | EventProperty | UserProperty | EventSequence | SegmentMembership | Group | Not,
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
        Group,
        Not,
    )
}

for _model in (Group, Not, Definition):
    _model.model_rebuild()
