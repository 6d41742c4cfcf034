"""Whose answer can have changed between T0 and T1 by time alone.

An event counts for a condition while it lies between the condition's time limits. As T moves, each limit sweeps
over a slice of the events; only users with a matching event in such a slice can change sides without a new
event. Every limit is ``T - L`` for a constant L: L = 0 is the present, which future-dated events reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segops_orchestration.compiler.parameters import AT, FROM_AT, Parameters, ScopedParameters
from segops_orchestration.compiler.segment import CompiledQuery
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compiler.sql import indent, interval, select
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, days_to_milliseconds
from segops_orchestration.dsl.models import (
    Condition,
    Definition,
    EventCount,
    EventProperty,
    EventSequence,
    Monetary,
    Recency,
    SegmentMembership,
    UserProperty,
)
from segops_orchestration.dsl.references import iter_conditions


@dataclass(frozen=True)
class TimeLimit:
    """Events of ``event_types`` (None: any) change sides when they are ``age`` ms old.

    ``inclusive``: an event of exactly that age is still on the younger side (``age <= L``). Then the slice swept
    from T0 to T1 is ``T0 - L <= occurred_at < T1 - L``; otherwise ``T0 - L < occurred_at <= T1 - L``.
    """

    event_types: tuple[str, ...] | None
    age: int
    inclusive: bool = False


def time_limits(condition: Condition) -> Iterator[TimeLimit]:
    """The limits of one condition that is not a group or ``not``."""
    match condition:
        case EventCount():
            yield TimeLimit((condition.event_type,), 0)
            if condition.window_days is not None:
                yield TimeLimit((condition.event_type,), days_to_milliseconds(condition.window_days))
        case Recency():
            yield from _recency_limits(condition)
        case Monetary() | EventProperty():
            yield TimeLimit((condition.event_type,), 0)
        case UserProperty():
            yield TimeLimit((IDENTIFICATION,), 0)
        case EventSequence():
            yield TimeLimit(None if condition.strict else condition.events, 0)
            if condition.window_days is not None:
                # What leaves the window is older than all that stays, so it can only have been a first step.
                yield TimeLimit(condition.events[:1], days_to_milliseconds(condition.window_days))
        case SegmentMembership():
            return


def _recency_limits(condition: Recency) -> Iterator[TimeLimit]:
    age = days_to_milliseconds(condition.window_days)
    yield TimeLimit((condition.event_type,), 0)
    yield TimeLimit((condition.event_type,), age, inclusive=condition.operator == "gt")
    if condition.operator == "eq":
        yield TimeLimit((condition.event_type,), age + MILLISECONDS_PER_DAY)


def all_time_limits(definition: Definition) -> list[TimeLimit]:
    """The limits of a definition, each once, in document order."""
    limits: dict[TimeLimit, None] = {}
    for condition in iter_conditions(definition):
        limits.update(dict.fromkeys(time_limits(condition)))
    return list(limits)


def compile_moved(definition: Definition) -> CompiledQuery:
    """The SELECT of the users whose answer can differ between ``{from_at}`` and ``{at}`` with the same events.

    A user can occur more than once. Changes in referenced segments are not in it: they are no matter of time.
    """
    parameters = Parameters()
    selects = [born_users(FROM_AT)]
    selects += [
        swept_users(limit, FROM_AT, parameters.of(f"m{index}"))
        for index, limit in enumerate(all_time_limits(definition))
    ]
    return CompiledQuery("\nUNION ALL\n".join(selects), parameters.values)


def born_users(from_at: str) -> str:
    """The SELECT of users who came to exist: at their first event, which can be one that was dated in the future.

    A user can have several rows until they are merged; the earliest counts.
    """
    dated_so = select("user_id", "users", [f"first_seen > {from_at}", f"first_seen <= {AT}"])
    are_those = f"user_id IN (\n{indent(dated_so)}\n)"
    return select("user_id", "users", [are_those], group_by="user_id", having=f"min(first_seen) > {from_at}")


def swept_users(limit: TimeLimit, from_at: str, parameters: ScopedParameters) -> str:
    """The SELECT of users with an event in the slice that ``limit`` swept between ``from_at`` and ``{at}``."""
    where = [*of_types(limit.event_types, parameters), swept_slice(limit, from_at, parameters)]
    return select("user_id", "events", where)


def swept_slice(limit: TimeLimit, from_at: str, parameters: ScopedParameters) -> str:
    """Whether an event, whatever its type, is in that slice."""
    back = f" - {interval('age_ms', limit.age, parameters)}" if limit.age else ""
    after, until = (">=", "<") if limit.inclusive else (">", "<=")
    return f"occurred_at {after} {from_at}{back} AND occurred_at {until} {AT}{back}"


def of_types(event_types: Sequence[str] | None, parameters: ScopedParameters) -> list[str]:
    """The predicate that an event is of one of these types; none for any type."""
    if event_types is None:
        return []
    unique = dict.fromkeys(event_types)
    names = [parameters.text(f"event_type{index}", event_type) for index, event_type in enumerate(unique)]
    return [f"event_type IN ({', '.join(names)})"]
