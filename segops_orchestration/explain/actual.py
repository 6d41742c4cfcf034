"""What a leaf looked at: the count, the age, the amount, the value, and the event that decided it.

Each kind of condition has one SELECT of at most one row: a map of texts. The verdict is not made here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from segops_orchestration.compiler.amounts import AGGREGATES, ROUNDED, amount
from segops_orchestration.compiler.conditions import Context, matching_events
from segops_orchestration.compiler.json_value import JsonValue
from segops_orchestration.compiler.operators import COMPARISONS, satisfies
from segops_orchestration.compiler.parameters import AT, Parameters, ScopedParameters
from segops_orchestration.compiler.periods import period_edges, period_number
from segops_orchestration.compiler.source import EVENT_ORDER, IDENTIFICATION, ONE_USER
from segops_orchestration.compiler.sql import earlier, select
from segops_orchestration.compiler.windows import ALWAYS, window_of
from segops_orchestration.dsl.models import (
    Condition,
    EventCount,
    EventProperty,
    EventSequence,
    FirstEvent,
    Monetary,
    PropertyHeld,
    Recency,
    Regularity,
    UserProperty,
)
from segops_orchestration.dsl.property_path import ArrayStep, PathStep, split_path
from segops_orchestration.explain.history import Statement, UserEvents, instant_of, unions
from segops_orchestration.explain.sequence import reached_sql
from segops_orchestration.explain.sql import event_map, event_tuple

_MOST_ELEMENTS = 20
_LONGEST_VALUE = 1_000

Facts = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """An event that decided a condition."""

    event_id: str
    event_type: str
    occurred_at: datetime


@dataclass(frozen=True)
class Actual:
    """What a condition compares with its threshold, by name, and the events that it rests on, in order.

    Without any event there is nothing to compare: ``facts`` then hold what that means for the kind of condition.
    """

    facts: Facts
    events: tuple[Event, ...] = ()


def actual_values(user: UserEvents, leaves: Sequence[Condition]) -> list[Actual]:
    """The actual value of each leaf at the user's ``at``."""
    selects = []
    for number, leaf in enumerate(leaves):
        parameters = Parameters()
        sql = _KINDS[type(leaf)].sql(leaf, Context(ONE_USER, parameters.of(f"c{number}")))
        selects.append(Statement(f"SELECT {number} AS leaf, found FROM (\n{sql}\n)", parameters.values))
    found: dict[int, Mapping[str, str]] = {}
    for statement in unions(selects):
        found.update((int(leaf), row) for leaf, row in user.rows(statement.sql, statement.parameters))
    return [_KINDS[type(leaf)].read(leaf, found.get(number, {}), user) for number, leaf in enumerate(leaves)]


def _row(columns: Mapping[str, str], relation: str, where: Sequence[str] = (), having: str = "count() > 0") -> str:
    """A SELECT of one map of texts; no row where ``having`` says so."""
    pairs = ", ".join(f"'{name}', {expression}" for name, expression in columns.items())
    return select(f"map({pairs}) AS found", relation, where, having=having)


# -- counts, times and amounts -------------------------------------------------------------------------------


def _latest_sql(condition: EventCount | Recency, context: Context) -> str:
    window = window_of(condition) if isinstance(condition, EventCount) else ALWAYS
    events = matching_events(condition.event_type, condition.where, window, context)
    latest = event_map(f"argMax({event_tuple()}, {EVENT_ORDER})")
    return _row({"count": "toString(count())", "event": latest}, context.source.events, events)


def _count_read(condition: EventCount, row: Mapping[str, str], user: UserEvents) -> Actual:
    return Actual({"count": int(row.get("count", 0))}, _events(row))


def _age_read(condition: Recency, row: Mapping[str, str], user: UserEvents) -> Actual:
    events = _events(row)
    if not events:
        return Actual({"age_seconds": None})
    return Actual({"age_seconds": (user.at - events[0].occurred_at).total_seconds()}, events)


def _first_sql(condition: FirstEvent, context: Context) -> str:
    events = matching_events(condition.event_type, condition.where, ALWAYS, context)
    first = event_map(f"argMin({event_tuple()}, {EVENT_ORDER})")
    return _row({"event": first}, context.source.events, events)


def _first_read(condition: FirstEvent, row: Mapping[str, str], user: UserEvents) -> Actual:
    events = _events(row)
    return Actual({"first_occurred_at": events[0].occurred_at if events else None}, events)


def _amount_sql(condition: Monetary, context: Context) -> str:
    events = matching_events(condition.event_type, condition.where, window_of(condition), context)
    columns = [f"{amount(condition.property, context.parameters)} AS amount", f"{event_tuple()} AS event"]
    amounts = select([*columns, f"{EVENT_ORDER} AS event_order"], context.source.events, events)
    aggregate = AGGREGATES[condition.metric]
    if condition.metric in ROUNDED:
        aggregate = f"round({aggregate}, 6)"
    found = {
        "value": f"toString({aggregate})",
        "amounts": "toString(count())",
        "event": event_map("argMax(event, event_order)"),
    }
    return _row(found, amounts, ["amount IS NOT NULL"])


def _amount_read(condition: Monetary, row: Mapping[str, str], user: UserEvents) -> Actual:
    value = row.get("value")
    facts = {condition.metric: None if value is None else _plain_number(value), "amounts": int(row.get("amounts", 0))}
    return Actual(facts, _events(row))


def _plain_number(text: str) -> int | float | str:
    """An exact decimal as a JSON number where that is the same number, else as text."""
    number = float(text)
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if len(text.strip("-0").replace(".", "")) <= 15 else text


def _regularity_sql(condition: Regularity, context: Context) -> str:
    parameters = context.parameters
    events = matching_events(condition.event_type, condition.where, ALWAYS, context)
    events.append(f"occurred_at > {earlier(AT, period_edges(condition)[-1], 'oldest', parameters)}")
    number = f"{period_number(condition, parameters)} AS number"
    latest = f"max(({EVENT_ORDER}, {event_tuple()})) AS latest"
    periods = select([number, "count() AS happened", latest], context.source.events, events, group_by="number")
    found = {
        "counts": "toJSONString(CAST((groupArray(toUInt32(number)), groupArray(toUInt32(happened))), "
        "'Tuple(Array(UInt32), Array(UInt32))'))",
        "event": event_map("max(latest).2"),
    }
    return _row(found, periods)


def _regularity_read(condition: Regularity, row: Mapping[str, str], user: UserEvents) -> Actual:
    numbers, happened = _tuple_of_arrays(row.get("counts", "[[],[]]"))
    counts = [0] * condition.periods
    for number, count in zip(numbers, happened, strict=True):
        counts[number] = count
    kept = sum(_COMPARE[condition.operator](count, condition.value) for count in counts)
    return Actual({"periods_kept": kept, "periods": condition.periods, "counts": counts}, _events(row))


def _tuple_of_arrays(text: str) -> tuple[list[int], list[int]]:
    found = json.loads(text)
    first, second = found.values() if isinstance(found, dict) else found
    return first, second


_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "eq": int.__eq__,
    "neq": int.__ne__,
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}
assert _COMPARE.keys() == COMPARISONS.keys()


# -- properties ----------------------------------------------------------------------------------------------


def _event_property_sql(condition: EventProperty, context: Context) -> str:
    where = None if condition.operator == "has_element" else condition.where
    events = matching_events(condition.event_type, where, window_of(condition), context)
    value = _value(f"argMax(payload, {EVENT_ORDER})", split_path(condition.property), context.parameters)
    latest = event_map(f"argMax({event_tuple()}, {EVENT_ORDER})")
    return _row({"value": value, "event": latest}, context.source.events, events)


def _user_property_sql(condition: UserProperty, context: Context) -> str:
    value = _value(f"argMax(payload, {EVENT_ORDER})", split_path(condition.property), context.parameters)
    latest = event_map(f"argMax({event_tuple(IDENTIFICATION)}, {EVENT_ORDER})")
    return _row({"value": value, "event": latest}, context.source.identifications, context.source.filters)


def _value_read(condition: EventProperty | UserProperty, row: Mapping[str, str], user: UserEvents) -> Actual:
    return Actual({"value": _json_value(row.get("value", ""))}, _events(row))


def _held_sql(condition: PropertyHeld, context: Context) -> str:
    """The identifications in order; the run began with the one after the last that did not satisfy."""
    tested = satisfies(condition, context.parameters)
    identification = f"({EVENT_ORDER}, {tested}, {event_tuple(IDENTIFICATION)})"
    history = f"arraySort(it -> it.1, groupArray({identification})) AS history"
    broken = "arrayLastIndex(it -> NOT it.2, history) AS broken"
    payload = f"argMax(payload, {EVENT_ORDER}) AS latest"
    per_user = select(
        [history, broken, payload], context.source.identifications, context.source.filters, having="count() > 0"
    )
    decided = "history[if(broken < length(history), broken + 1, broken)].3"
    pairs = f"'value', {_value('latest', split_path(condition.property), context.parameters)}"
    pairs += f", 'holds', toString(broken < length(history)), 'event', {event_map(decided)}"
    return select(f"map({pairs}) AS found", per_user)


def _held_read(condition: PropertyHeld, row: Mapping[str, str], user: UserEvents) -> Actual:
    events = _events(row)
    holds = row.get("holds") == "1"
    facts = {
        "value": _json_value(row.get("value", "")),
        "holds": holds,
        "since": events[0].occurred_at if holds else None,
    }
    return Actual(facts, events)


def _value(document: str, path: Sequence[PathStep], parameters: ScopedParameters) -> str:
    """The JSON text at a path; of a path into arrays the first values, as an array. Empty where there is none."""
    if not any(isinstance(step, ArrayStep) for step in path):
        keys = [parameters.text(f"shown{index}", cast(str, step)) for index, step in enumerate(path)]
        return _cut(JsonValue(document, keys).raw)
    values = f"arraySlice({_values(document, path, parameters)}, 1, {_MOST_ELEMENTS})"
    return _cut(f"concat('[', arrayStringConcat({values}, ','), ']')")


def _values(document: str, path: Sequence[PathStep], parameters: ScopedParameters) -> str:
    keys: list[str] = []
    for index, step in enumerate(path):
        if isinstance(step, ArrayStep):
            element = parameters.variable(f"shown_element{index}")
            inside = _values(element, path[index + 1 :], parameters.of(f"shown_in{index}"))
            return f"arrayFlatten(arrayMap({element} -> {inside}, {JsonValue(document, keys).elements}))"
        keys.append(parameters.text(f"shown{index}", step))
    return f"arrayFilter(it -> it != '', [{JsonValue(document, keys).raw}])"


def _cut(text: str) -> str:
    return f"substringUTF8({text}, 1, {_LONGEST_VALUE + 1})"


def _json_value(text: str) -> Any:
    """The value, or the beginning of its JSON text if that is long."""
    if len(text) > _LONGEST_VALUE:
        return text[:_LONGEST_VALUE] + "…"
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


# -- sequences -----------------------------------------------------------------------------------------------


def _sequence_sql(condition: EventSequence, context: Context) -> str:
    return reached_sql(condition, context.source, context.parameters)


def _sequence_read(condition: EventSequence, row: Mapping[str, str], user: UserEvents) -> Actual:
    events = _events(row)
    return Actual({"steps_reached": len(events), "steps": len(condition.steps)}, events)


def _events(row: Mapping[str, str]) -> tuple[Event, ...]:
    """The events of a row: under ``event`` one, under ``events`` several."""
    text = row.get("events") or row.get("event")
    found = json.loads(text) if text else []
    return tuple(
        Event(event["event_id"], event["event_type"], instant_of(event["occurred_ms"]))
        for event in (found if isinstance(found, list) else [found])
    )


@dataclass(frozen=True)
class _Kind:
    """How the actual value of a condition is asked for, and how the row is read."""

    sql: Callable[[Any, Context], str]
    read: Callable[[Any, Mapping[str, str], UserEvents], Actual]


_KINDS: Mapping[type, _Kind] = {
    EventCount: _Kind(_latest_sql, _count_read),
    Recency: _Kind(_latest_sql, _age_read),
    FirstEvent: _Kind(_first_sql, _first_read),
    Monetary: _Kind(_amount_sql, _amount_read),
    Regularity: _Kind(_regularity_sql, _regularity_read),
    EventProperty: _Kind(_event_property_sql, _value_read),
    UserProperty: _Kind(_user_property_sql, _value_read),
    PropertyHeld: _Kind(_held_sql, _held_read),
    EventSequence: _Kind(_sequence_sql, _sequence_read),
}
