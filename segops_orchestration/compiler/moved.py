"""Whose answer can have changed between T0 and T1 by time alone.

An event counts for a condition while it lies between the condition's time limits. As T moves, each limit sweeps
over a slice of the events; only users with a matching event in such a slice can change sides without a new
event. A limit is ``T - L`` for a constant L: L = 0 is the present, which future-dated events reach. A condition that
compares a date in a payload with T has limits too, which sweep over those dates.
"""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.limits import DateLimit, EventMatch, Limit, TimeLimit, all_limits
from segops_orchestration.compiler.operators import any_value, filter_predicates
from segops_orchestration.compiler.parameters import AT, FROM_AT, Parameters, ScopedParameters
from segops_orchestration.compiler.segment import CompiledQuery
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compiler.sql import indent, interval, select
from segops_orchestration.dsl.durations import Span
from segops_orchestration.dsl.models import Definition


def compile_moved(definition: Definition) -> CompiledQuery:
    """The SELECT of the users whose answer can differ between ``{from_at}`` and ``{at}`` with the same events.

    A user can occur more than once. Changes in referenced segments are not in it: they are no matter of time.
    """
    parameters = Parameters()
    selects = [born_users(FROM_AT)]
    selects += [
        swept_users(limit, FROM_AT, parameters.of(f"m{index}")) for index, limit in enumerate(all_limits(definition))
    ]
    return CompiledQuery("\nUNION ALL\n".join(selects), parameters.values)


def born_users(from_at: str) -> str:
    """The SELECT of users who came to exist: at their first event, which can be one that was dated in the future.

    A user can have several rows until they are merged; the earliest counts.
    """
    dated_so = select("user_id", "users", [f"first_seen > {from_at}", f"first_seen <= {AT}"])
    are_those = f"user_id IN (\n{indent(dated_so)}\n)"
    return select("user_id", "users", [are_those], group_by="user_id", having=f"min(first_seen) > {from_at}")


def swept_users(limit: Limit, from_at: str, parameters: ScopedParameters) -> str:
    """The SELECT of users with an event in the slice that ``limit`` swept between ``from_at`` and ``{at}``."""
    if isinstance(limit, DateLimit):
        return dated_users(limit, from_at, parameters)
    where = [of_types(limit.event_types, parameters), swept_slice(limit, from_at, parameters)]
    relation, crossed = crossing_events(where, limit.has_filters)
    return select("user_id", relation, [*crossed, *matches(limit, parameters)])


def crossing_events(where: Sequence[str], with_payload: bool) -> tuple[str, list[str]]:
    """Where to read the events of some types and times, and what to ask there: in the order of time unless filters need
    the payload. That is read where a user's events lie side by side; in ``events`` each takes thousands of rows."""
    if not with_payload:
        return "events_by_time", list(where)
    users = f"user_id IN (\n{indent(select('user_id', 'events_by_time', where))}\n)"
    return "events_by_user", [*where, users]


def swept_slice(limit: TimeLimit, from_at: str, parameters: ScopedParameters) -> str:
    """Whether an event, whatever its type, is in that slice by its time."""
    after, until = (">=", "<") if limit.inclusive else (">", "<=")
    low, high = _swept(limit.age, from_at, parameters)
    fixed = limit.window.fixed_predicates(parameters)
    return " AND ".join([f"occurred_at {after} {low}", f"occurred_at {until} {high}", *fixed])


def _swept(age: Span, from_at: str, parameters: ScopedParameters, ahead: bool = False) -> tuple[str, str]:
    """The two ends of what a limit swept."""
    if not age:
        return from_at, AT
    away = f"{'+' if ahead else '-'} {interval(age, 'age', parameters)}"
    ends = f"{from_at} {away}", f"{AT} {away}"
    if not age.months:
        return ends
    # A month ago can move back: at noon of 31 March it was noon of 28 February, and so it was three days before.
    return f"least({ends[0]}, {ends[1]})", f"greatest({ends[0]}, {ends[1]})"


def of_types(event_types: Sequence[str], parameters: ScopedParameters) -> str:
    """The predicate that an event is of one of these types."""
    names = [parameters.text(f"event_type{index}", event_type) for index, event_type in enumerate(event_types)]
    return f"event_type IN ({', '.join(names)})"


def matches(limit: TimeLimit, parameters: ScopedParameters) -> list[str]:
    """That an event of one of the limit's types is a matching one; nothing to ask when none has a filter."""
    if not limit.has_filters:
        return []
    kinds = [is_match(match, parameters.of(f"match{index}")) for index, match in enumerate(limit.matches)]
    return [kinds[0] if len(kinds) == 1 else f"({' OR '.join(f'({kind})' for kind in kinds)})"]


def is_match(match: EventMatch, parameters: ScopedParameters) -> str:
    """The predicate that an event is of the match's type and satisfies its filters."""
    of_type = f"event_type = {parameters.text('event_type', match.event_type)}"
    return " AND ".join([of_type, *filter_predicates(match.where, parameters)])


# Dates begin with their day, so few payloads need to be parsed: those with a day of the slice in them (or a day beside
# it, for the sake of offsets from UTC), or with an escaped character, which may spell one.
_MENTIONS_A_DAY = """(dateDiff('day', {low}, {high}) > 31 OR position(payload, '\\\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({low}) + day), range(-1, toInt32(dateDiff('day', {low}, {high})) + 2))))"""


def dated_users(limit: DateLimit, from_at: str, parameters: ScopedParameters) -> str:
    """The SELECT of users with a matching event that holds a date in the slice that ``limit`` swept."""
    low, high = _swept(limit.age, from_at, parameters, limit.ahead)
    in_slice = any_value(
        "payload", limit.path, lambda it: f"ifNull({it.date} > {low} AND {it.date} <= {high}, false)", parameters
    )
    where = [f"occurred_at <= {AT}", *limit.window.predicates(parameters)]
    where += [_MENTIONS_A_DAY.format(low=low, high=high), in_slice, *filter_predicates(limit.match.where, parameters)]
    if limit.match.event_type == IDENTIFICATION:
        return select("user_id", "identifications", where)
    return select("user_id", "events", [of_types([limit.match.event_type], parameters), *where])
