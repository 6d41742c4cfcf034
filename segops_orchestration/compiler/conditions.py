"""One condition -> one set of users, and whether the condition holds inside or outside of it.

A condition such as "at most 2 orders" is true of users who have no order at all, so it is compiled as the
complement of "at least 3 orders": each set then is found by reading matching events only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.operators import COMPARISONS, property_predicate, split_complement
from segops_orchestration.compiler.parameters import AT, EXACT, ScopedParameters
from segops_orchestration.compiler.sequences import sequence_members
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import interval, select, window_start
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, days_to_milliseconds
from segops_orchestration.dsl.models import (
    Condition,
    EventCount,
    EventProperty,
    EventSequence,
    Monetary,
    Recency,
    SegmentMembership,
    UserProperty,
)
from segops_orchestration.dsl.property_path import split_path
from segops_orchestration.dsl.values import parse_number

ResolveSegment = Callable[[int | str], int]


@dataclass(frozen=True)
class UserSet:
    """``members`` is a SELECT of user ids; the condition is true of users in it, or of the others if ``negated``.

    ``members`` None stands for nobody, so that a condition which is always true is "not nobody".
    """

    members: str | None
    negated: bool = False


@dataclass(frozen=True)
class Context:
    """What a condition is compiled with."""

    source: Source
    parameters: ScopedParameters
    resolve: ResolveSegment


def user_set(condition: Condition, context: Context) -> UserSet:
    """Compile one condition that is not a group or ``not``."""
    match condition:
        case EventCount():
            return _event_count(condition, context)
        case Recency():
            return _recency(condition, context)
        case Monetary():
            return _monetary(condition, context)
        case EventProperty():
            return _event_property(condition, context)
        case UserProperty():
            return _user_property(condition, context)
        case EventSequence():
            members = sequence_members(condition, context.source, context.parameters)
            return UserSet(members)
        case SegmentMembership():
            return _segment_membership(condition, context)
    raise TypeError(f"{type(condition).__name__} is not a leaf")


def _events_of(event_type: str, context: Context) -> list[str]:
    return [f"event_type = {context.parameters.text('event_type', event_type)}", *context.source.filters]


def _event_count(condition: EventCount, context: Context) -> UserSet:
    sign, value, negated = _counted(condition.operator, condition.value)
    if (sign, value) == (">=", 0):
        return UserSet(None, negated=not negated)
    where = _events_of(condition.event_type, context)
    if condition.window_days is not None:
        where.append(window_start(condition.window_days, context.parameters))
    having = f"count() {sign} {context.parameters.unsigned('value', value)}"
    return UserSet(select("user_id", context.source.events, where, group_by="user_id", having=having), negated)


def _counted(operator: str, value: int) -> tuple[str, int, bool]:
    """The comparison as one that only users with at least one event can satisfy, and whether to negate it."""
    match operator:
        case "eq":
            return (">=", 1, True) if value == 0 else ("=", value, False)
        case "neq":
            return (">=", 1, False) if value == 0 else ("=", value, True)
        case "gt":
            return (">", value, False)
        case "gte":
            return (">=", value, False)
        case "lt":
            return (">=", value, True)
        case "lte":
            return (">", value, True)
    raise ValueError(f"unknown operator {operator}")


def _recency(condition: Recency, context: Context) -> UserSet:
    limit = days_to_milliseconds(condition.window_days)
    edge = f"{AT} - {interval('window_ms', limit, context.parameters)}"
    match condition.operator:
        case "gt":
            having = f"max(occurred_at) < {edge}"
        case "lt":
            having = f"max(occurred_at) > {edge}"
        case "eq":
            next_day = interval("next_day_ms", limit + MILLISECONDS_PER_DAY, context.parameters)
            having = f"max(occurred_at) <= {edge} AND max(occurred_at) > {AT} - {next_day}"
    where = _events_of(condition.event_type, context)
    return UserSet(select("user_id", context.source.events, where, group_by="user_id", having=having))


def _monetary(condition: Monetary, context: Context) -> UserSet:
    parameters = context.parameters
    keys = [parameters.text(f"key{index}", key) for index, key in enumerate(split_path(condition.property))]
    amounts = select(
        ["user_id", f"{JsonValue('payload', keys).number} AS amount"],
        context.source.events,
        _events_of(condition.event_type, context),
    )
    threshold = parse_number(condition.value)
    if threshold is None:
        raise ValueError(f"{condition.value} is too large to compare with")
    if condition.metric != "max":
        threshold = threshold.quantize(Decimal("0.000001"), ROUND_HALF_UP, EXACT)
    value = parameters.number("value", threshold)
    having = f"{_AGGREGATES[condition.metric]} {COMPARISONS[condition.operator]} {value}"
    return UserSet(select("user_id", amounts, ["amount IS NOT NULL"], group_by="user_id", having=having))


# Exact in any order of addition, and compared at 6 decimal places, rounded half away from zero. The quotient is
# divideDecimal because avg() of decimals computes in floating point.
_AGGREGATES = {
    "sum": "round(sum(amount), 6)",
    "avg": "round(divideDecimal(sum(amount), toDecimal256(count(), 0), 9), 6)",
    "max": "max(amount)",
}


def _event_property(condition: EventProperty, context: Context) -> UserSet:
    latest = _latest(context.source.events, _events_of(condition.event_type, context))
    predicate = property_predicate(condition, context.parameters)
    _, is_complement = split_complement(condition.operator)
    if is_complement:
        predicate = f"NOT {predicate}"
    return UserSet(select("user_id", latest, [predicate]))


def _user_property(condition: UserProperty, context: Context) -> UserSet:
    latest = _latest(context.source.identifications, list(context.source.filters))
    predicate = property_predicate(condition, context.parameters)
    _, is_complement = split_complement(condition.operator)
    return UserSet(select("user_id", latest, [predicate]), negated=is_complement)


def _latest(relation: str, where: list[str]) -> str:
    """Each user's latest payload. UUIDToNum because ClickHouse orders a UUID by its second half first."""
    order = "(occurred_at, ingested_at, UUIDToNum(event_id))"
    return select(["user_id", f"argMax(payload, {order}) AS payload"], relation, where, group_by="user_id")


def _segment_membership(condition: SegmentMembership, context: Context) -> UserSet:
    segment_id = context.parameters.unsigned("segment_id", context.resolve(condition.segment_id))
    where = [f"segment_id = {segment_id}", *context.source.user_filters]
    members = select("user_id", "segment_memberships FINAL", where)
    return UserSet(members, negated=condition.operator == "not_in")
