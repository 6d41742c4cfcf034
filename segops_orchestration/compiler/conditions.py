"""One condition -> one set of users, and whether the condition holds inside or outside of it.

A condition such as "at most 2 orders" is true of users who have no order at all, so it is compiled as the
complement of "at least 3 orders": each set then is found by reading matching events only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segops_orchestration.compiler.amounts import monetary_members
from segops_orchestration.compiler.operators import filter_predicates, property_predicate, satisfies, split_complement
from segops_orchestration.compiler.parameters import AT, ScopedParameters
from segops_orchestration.compiler.periods import regularity_members
from segops_orchestration.compiler.sequences import sequence_members
from segops_orchestration.compiler.source import EVENT_ORDER, Source
from segops_orchestration.compiler.sql import earlier, select
from segops_orchestration.compiler.windows import ALWAYS, Window, window_of
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, Span, days_span, span_of
from segops_orchestration.dsl.models import (
    Condition,
    Definition,
    EventCount,
    EventProperty,
    EventSequence,
    Filter,
    FirstEvent,
    Monetary,
    PropertyHeld,
    Recency,
    Regularity,
    SegmentMembership,
    UserProperty,
)

ResolveSegment = Callable[[int | str], int | Definition]
"""What a segment reference means: the id of a segment whose members are stored, or a definition to evaluate here."""


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


def user_set(condition: Condition, context: Context) -> UserSet:
    """Compile one condition that is neither a group, a ``not`` nor about a segment."""
    source, parameters = context.source, context.parameters
    match condition:
        case EventCount():
            return _event_count(condition, context)
        case Recency():
            return _recency(condition, context)
        case Monetary():
            events = matching_events(condition.event_type, condition.where, window_of(condition), context)
            return UserSet(monetary_members(condition, source.events, events, parameters))
        case EventProperty():
            return _event_property(condition, context)
        case UserProperty():
            return _user_property(condition, context)
        case PropertyHeld():
            return _property_held(condition, context)
        case EventSequence():
            return UserSet(sequence_members(condition, source, parameters))
        case FirstEvent():
            return _first_event(condition, context)
        case Regularity():
            events = matching_events(condition.event_type, condition.where, ALWAYS, context)
            return UserSet(*regularity_members(condition, source.events, events, parameters))
    raise TypeError(f"{type(condition).__name__} is not a leaf")


def stored_members(segment_id: int, condition: SegmentMembership, context: Context) -> UserSet:
    """Compile a condition about a segment whose members are stored."""
    where = [f"segment_id = {context.parameters.unsigned('segment_id', segment_id)}", *context.source.user_filters]
    members = select("user_id", "segment_memberships FINAL", where)
    return UserSet(members, negated=condition.operator == "not_in")


def matching_events(event_type: str, where: Sequence[Filter] | None, window: Window, context: Context) -> list[str]:
    """That an event is one that a condition is about: of this type, in this window, ``where`` true of it."""
    return [
        f"event_type = {context.parameters.text('event_type', event_type)}",
        *context.source.filters,
        *window.predicates(context.parameters),
        *filter_predicates(where, context.parameters),
    ]


def _event_count(condition: EventCount, context: Context) -> UserSet:
    sign, value, negated = _counted(condition.operator, condition.value)
    if (sign, value) == (">=", 0):
        return UserSet(None, negated=not negated)
    events = matching_events(condition.event_type, condition.where, window_of(condition), context)
    having = f"count() {sign} {context.parameters.unsigned('value', value)}"
    return UserSet(select("user_id", context.source.events, events, group_by="user_id", having=having), negated)


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
    """An event that is older than the limits that matter is not read: it cannot be the latest one that does."""
    parameters = context.parameters
    limit = days_span(condition.window_days)
    edge = earlier(AT, limit, "window", parameters)
    events = matching_events(condition.event_type, condition.where, ALWAYS, context)
    having: str | None = None
    match condition.operator:
        case "gt":
            having = f"max(occurred_at) < {edge}"
        case "lt":
            events.append(f"occurred_at > {edge}")
        case "eq":
            next_day = Span(limit.milliseconds + MILLISECONDS_PER_DAY)
            events.append(f"occurred_at > {earlier(AT, next_day, 'next_day', parameters)}")
            having = f"max(occurred_at) <= {edge}"
    return UserSet(select("user_id", context.source.events, events, group_by="user_id", having=having))


def _first_event(condition: FirstEvent, context: Context) -> UserSet:
    first_in_window = window_of(condition).predicates(context.parameters, time="min(occurred_at)")
    events = matching_events(condition.event_type, condition.where, ALWAYS, context)
    having = " AND ".join(first_in_window) or None
    return UserSet(select("user_id", context.source.events, events, group_by="user_id", having=having))


def _event_property(condition: EventProperty, context: Context) -> UserSet:
    # With has_element, ``where`` is about the elements.
    where = None if condition.operator == "has_element" else condition.where
    events = matching_events(condition.event_type, where, window_of(condition), context)
    tested = satisfies(condition, context.parameters, "latest")
    return UserSet(select("user_id", _latest(context.source.events, events), [tested]))


def _user_property(condition: UserProperty, context: Context) -> UserSet:
    latest = _latest(context.source.identifications, list(context.source.filters))
    predicate = property_predicate(condition, context.parameters, "latest")
    _, is_complement = split_complement(condition.operator)
    return UserSet(select("user_id", latest, [predicate]), negated=is_complement)


def user_properties(logic: str, conditions: Sequence[UserProperty], context: Context) -> UserSet:
    """Several conditions on the latest identification at once, joined by ``logic``."""
    tests = [satisfies(one, context.parameters.of(f"p{index}"), "latest") for index, one in enumerate(conditions)]
    complements = [split_complement(one.operator)[1] for one in conditions]
    latest = _latest(context.source.identifications, list(context.source.filters))
    # Of a user who was never identified every complement is true and nothing else.
    if not (all(complements) if logic == "AND" else any(complements)):
        return UserSet(select("user_id", latest, tests if logic == "AND" else ["\n  OR ".join(tests)]))
    return UserSet(select("user_id", latest, [f"NOT ({f' {logic} '.join(tests)})"]), negated=True)


def _property_held(condition: PropertyHeld, context: Context) -> UserSet:
    """The identifications of a user in order; the run began with the one after the last that did not satisfy."""
    parameters = context.parameters
    duration = condition.at_least or condition.less_than
    if duration is None:
        raise ValueError("property_held needs at_least or less_than")
    tested = satisfies(condition, parameters)
    history = f"arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), {tested}))) AS history"
    broken = "arrayLastIndex(identification -> NOT identification.4, history) AS broken"
    per_user = select(
        ["user_id", history, broken], context.source.identifications, context.source.filters, group_by="user_id"
    )
    sign = "<=" if condition.at_least is not None else ">"
    began = f"history[broken + 1].1 {sign} {earlier(AT, span_of(duration), 'held', parameters)}"
    return UserSet(select("user_id", per_user, ["broken < length(history)", began]))


def _latest(relation: str, where: list[str]) -> str:
    """Each user's latest payload."""
    return select(["user_id", f"argMax(payload, {EVENT_ORDER}) AS latest"], relation, where, group_by="user_id")
