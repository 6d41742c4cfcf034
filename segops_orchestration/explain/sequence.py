"""How far a user got in a sequence, and by which events."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.compiler.sequences import step_predicates
from segops_orchestration.compiler.source import EVENT_ORDER, Source
from segops_orchestration.compiler.sql import indent, later, select
from segops_orchestration.compiler.windows import window_of
from segops_orchestration.dsl.durations import span_of
from segops_orchestration.dsl.models import EventSequence
from segops_orchestration.explain.sql import event_maps, event_tuple


def reached_sql(condition: EventSequence, source: Source, parameters: ScopedParameters) -> str:
    """A SELECT of one map: the events of the latest attempt that got furthest, under ``events``."""
    steps = step_predicates(condition, parameters)
    where = [*source.filters, *window_of(condition).predicates(parameters)]
    if condition.strict:
        return _adjacent(condition, steps, source, where, parameters)
    deadline = None
    if condition.within is not None:
        deadline = later("began", span_of(condition.within), "within", parameters)
    attempts = []
    chain = ""
    for step in steps:
        chain = _chain(step, chain, source, where)
        in_time = [f"occurred_at <= {deadline}"] if deadline else []
        attempts.append(select("argMax(trail, occurred_at) AS trail", chain, in_time, having="count() > 0"))
    union = "\nUNION ALL\n".join(attempts)
    furthest = select("argMax(trail, length(trail)) AS trail", f"(\n{indent(union)}\n)", having="count() > 0")
    return select(f"map('events', {event_maps('trail')}) AS found", furthest)


def _chain(step: str, before: str, source: Source, where: Sequence[str]) -> str:
    """Each event of a step with the latest earlier events of the steps before it, and when the first of them was.

    The latest event of the step before is the best choice: it cannot have begun earlier than another one.
    """
    columns = ["user_id", "occurred_at", f"{event_tuple()} AS event"]
    of_step = select(columns, source.events, [step, *where])
    if not before:
        return select(["user_id", "occurred_at", "occurred_at AS began", "[event] AS trail"], of_step)
    return (
        "SELECT step.user_id AS user_id, step.occurred_at AS occurred_at, past.began AS began,"
        " arrayPushBack(past.trail, step.event) AS trail\n"
        f"FROM (\n{indent(of_step)}\n) AS step\nASOF JOIN (\n{indent(before)}\n) AS past\n"
        "ON step.user_id = past.user_id AND step.occurred_at > past.occurred_at"
    )


def _adjacent(
    condition: EventSequence, steps: Sequence[str], source: Source, where: Sequence[str], parameters: ScopedParameters
) -> str:
    """The same of steps side by side among all events."""
    event = f"({EVENT_ORDER}, [{', '.join(steps)}], {event_tuple()})"
    history = select(
        f"arraySort(it -> it.1, groupArray({event})) AS history", source.events, where, having="count() > 0"
    )
    reached, holds = "0", "true"
    for index in range(len(steps)):
        holds += f" AND history[i + {index}].2[{index + 1}]"
        if index:
            holds += f" AND history[i + {index - 1}].1.1 < history[i + {index}].1.1"
        in_time = ""
        if condition.within is not None:
            deadline = later("history[i].1.1", span_of(condition.within), f"within{index}", parameters)
            in_time = f" AND history[i + {index}].1.1 <= {deadline}"
        reached = f"if({holds}{in_time}, {index + 1}, {reached})"
    lengths = f"arrayMap(i -> {reached}, range(1, length(history) + 1)) AS lengths"
    attempts = select(["history", lengths, "arrayMax(lengths) AS furthest"], history)
    trail = "arraySlice(history, arrayLastIndex(it -> it = furthest, lengths), furthest)"
    found = event_maps(f"arrayMap(it -> it.3, {trail})")
    return select(f"map('events', {found}) AS found", attempts, ["furthest > 0"])
