"""When answers can change by time alone: the instants at which an event, or a date in one, crosses a time limit.

Between two such instants every condition keeps its answer, because all that it compares with T stays on its side. A
few more instants than needed do no harm: the condition is evaluated at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.limits import DateLimit, EventMatch, Limit, TimeLimit, limits_of, looks_at_time
from segops_orchestration.compiler.moved import matches, of_types
from segops_orchestration.compiler.operators import filter_predicates
from segops_orchestration.compiler.parameters import AT, Parameters, ScopedParameters
from segops_orchestration.compiler.sql import select
from segops_orchestration.compiler.windows import Window
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY, Span
from segops_orchestration.dsl.models import Condition, EventProperty, Recency
from segops_orchestration.dsl.property_path import ArrayStep, PathStep
from segops_orchestration.explain.history import Statement, UserEvents, instant_of, milliseconds, unions

MAX_TURNS = 100_000
"""So many crossings are looked at, several of which can be at one instant."""

LATEST = datetime(2280, 1, 1, tzinfo=UTC)
"""Nothing is looked for from there on: it is near the end of ClickHouse's DateTime64."""

_OWN = "user_id = {user_id:String}"


@dataclass(frozen=True)
class Turns:
    """(instant, leaf) in order of time. They are complete before ``cut_off``, without end if that is None."""

    turns: tuple[tuple[int, int], ...]
    cut_off: datetime | None


def find_turns(user: UserEvents, leaves: Sequence[Condition], most: int = MAX_TURNS) -> Turns:
    """The instants after the user's ``at`` at which a leaf's answer can change, by all that has arrived until now."""
    selects = []
    for leaf, condition in enumerate(leaves):
        parameters = Parameters()
        branches = [
            f"SELECT {leaf} AS leaf, arrayJoin(turns) AS instant FROM (\n{branch}\n)"
            for branch in _branches(condition, parameters.of(f"c{leaf}"))
        ]
        selects.append(Statement("\nUNION ALL\n".join(branches), parameters.values))
    found: list[tuple[int, int]] = []
    ends: list[int] = []
    for statement in unions(selects):
        rows = user.rows(_EARLIEST.format(union=statement.sql), {**statement.parameters, **_bounds(user, most)})
        found += [(int(instant), int(leaf)) for instant, leaf, _ in rows]
        if sum(int(count) for _, _, count in rows) == most:
            # There may be more, also at the last instant.
            ends.append(int(rows[-1][0]))
    if not ends:
        return Turns(tuple(sorted(found)), None)
    return Turns(tuple(sorted(turn for turn in found if turn[0] < min(ends))), instant_of(min(ends)))


_EARLIEST = """SELECT instant, leaf, count() FROM (
SELECT leaf, instant FROM (
{union}
)
WHERE instant > {{after:Int64}} AND instant < {{latest:Int64}}
ORDER BY instant, leaf LIMIT {{most:UInt64}}
)
GROUP BY instant, leaf ORDER BY instant, leaf"""


def _bounds(user: UserEvents, most: int) -> dict[str, object]:
    return {"after": milliseconds(user.at), "latest": milliseconds(LATEST), "most": most}


def _branches(condition: Condition, parameters: ScopedParameters) -> list[str]:
    """For each kind of events that the condition's limits are about, a SELECT of the column ``turns``."""
    times: dict[tuple[tuple[EventMatch, ...], Window], list[TimeLimit]] = {}
    branches = []
    limits: list[Limit] = list(dict.fromkeys(limits_of(condition)))
    for number, limit in enumerate(limits):
        if isinstance(limit, TimeLimit):
            times.setdefault((limit.matches, limit.window), []).append(limit)
        else:
            branches.append(_dated(limit, parameters.of(f"d{number}")))
    only_latest = _only_latest_matters(condition)
    for number, group in enumerate(times.values()):
        branches.append(_timed(group, parameters.of(f"t{number}"), only_latest=only_latest))
    return branches


def _only_latest_matters(condition: Condition) -> bool:
    """Whether of the past events the latest alone can change the answer by growing older.

    That saves looking at every event of a user who has had many since.
    """
    if isinstance(condition, Recency):
        return not any(map(looks_at_time, condition.where or ()))
    if isinstance(condition, EventProperty):
        tests = [] if condition.operator == "has_element" else list(condition.where or ())
        window = getattr(condition.window, "to_ago", None)
        return not window and not any(map(looks_at_time, tests))
    return False


def _timed(limits: Sequence[TimeLimit], parameters: ScopedParameters, *, only_latest: bool) -> str:
    """Of events of the same kind: when each crosses each of the limits."""
    first = limits[0]
    own = [_OWN, of_types(first.event_types, parameters), *first.window.fixed_predicates(parameters)]
    own += matches(first, parameters)
    where = list(own)
    if only_latest:
        latest = select("max(occurred_at)", "events_by_user", [*own, f"occurred_at <= {AT}"]).replace("\n", " ")
        where.append(f"occurred_at >= ({latest})")
    moment = "toUnixTimestamp64Milli(occurred_at)"
    exact = [limit for limit in limits if not limit.age.months]
    distances = [
        parameters.of(f"l{number}").integer("distance", limit.age.milliseconds + limit.inclusive)
        for number, limit in enumerate(exact)
    ]
    months = [
        parameters.of(f"m{number}").integer("months", limit.age.months)
        for number, limit in enumerate(limits)
        if limit.age.months
    ]
    turns = [f"arrayMap(it -> {moment} + it, [{', '.join(distances)}])"] if distances else []
    turns += [_calendar_crossings(moment, months, parameters)] if months else []
    return select(f"arrayConcat({', '.join(turns)}) AS turns", "events_by_user", where)


def _dated(limit: DateLimit, parameters: ScopedParameters) -> str:
    """When each date at the limit's path crosses it."""
    match = limit.match
    where = [_OWN, of_types([match.event_type], parameters), *limit.window.fixed_predicates(parameters)]
    where += filter_predicates(match.where, parameters)
    dates = _dates("payload", limit.path, parameters)
    date = parameters.variable("date")
    crossings = _crossings(date, limit.age, parameters, ahead=limit.ahead)
    return select(f"arrayFlatten(arrayMap({date} -> {crossings}, {dates})) AS turns", "events_by_user", where)


def _dates(document: str, path: Sequence[PathStep], parameters: ScopedParameters) -> str:
    """The dates at a path, as an array of unix milliseconds."""
    keys: list[str] = []
    for index, step in enumerate(path):
        if isinstance(step, ArrayStep):
            element = parameters.variable(f"element{index}")
            inside = _dates(element, path[index + 1 :], parameters.of(f"in{index}"))
            return f"arrayFlatten(arrayMap({element} -> {inside}, {JsonValue(document, keys).elements}))"
        keys.append(parameters.text(f"key{index}", step))
    date = JsonValue(document, keys).date
    return f"arrayMap(it -> toUnixTimestamp64Milli(assumeNotNull(it)), arrayFilter(it -> it IS NOT NULL, [{date}]))"


def _crossings(moment: str, age: Span, parameters: ScopedParameters, *, ahead: bool) -> str:
    """The values of T, as an array of milliseconds, at which ``moment`` comes to be ``age`` before T (or after it)."""
    if age.months:
        return _calendar_crossings(moment, [parameters.integer("months", age.months)], parameters, ahead=ahead)
    distance = parameters.integer("distance", -age.milliseconds if ahead else age.milliseconds)
    return f"[{moment} + {distance}]"


# A month before 28 March, noon, is 28 February, noon; a month before 29 March, 6:00, is 28 February, 6:00. So an
# instant can be crossed several times: at its own time of day, and back at midnight, on the days around the one that is
# so many months away. Of those moments the ones are taken at which it is crossed.
_AROUND = (
    "arrayFlatten(arrayMap({day} -> [{midnight} + {day} * {length}, {midnight} + {day} * {length}"
    " + positiveModulo({moment}, {length})], range(-1, 6)))"
)


def _calendar_crossings(moment: str, ages: Sequence[str], parameters: ScopedParameters, *, ahead: bool = False) -> str:
    """The same for ages in months."""
    months, day, turn = (parameters.variable(name) for name in ("months_each", "day", "turn"))
    length = MILLISECONDS_PER_DAY
    away = f"toIntervalMonth({months})"
    around = f"toUnixTimestamp64Milli({_instant(moment)} {'-' if ahead else '+'} {away})"
    midnight = f"({around} - positiveModulo({around}, {length}))"
    candidates = _AROUND.format(day=day, midnight=midnight, length=length, moment=moment)

    def passed(at: str) -> str:
        return f"({_instant(at)} {'+' if ahead else '-'} {away} >= {_instant(moment)})"

    crossed = f"arrayFilter({turn} -> {passed(turn)} != {passed(f'{turn} - 1')}, {candidates})"
    return f"arrayFlatten(arrayMap({months} -> {crossed}, [{', '.join(ages)}]))"


def _instant(unix_milliseconds: str) -> str:
    return f"fromUnixTimestamp64Milli({unix_milliseconds}, 'UTC')"
