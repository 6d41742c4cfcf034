"""event_sequence: events in an order, each strictly later than the one before."""

from __future__ import annotations

from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import select, window_start
from segops_orchestration.dsl.models import EventSequence


def sequence_members(condition: EventSequence, source: Source, parameters: ScopedParameters) -> str:
    """A SELECT of the users who have the sequence."""
    steps = [parameters.text(f"step{index}", event_type) for index, event_type in enumerate(condition.events)]
    where = list(source.filters)
    if condition.window_days is not None:
        where.append(window_start(condition.window_days, parameters))
    return _adjacent(steps, source, where) if condition.strict else _in_order(steps, source, where)


def _in_order(steps: list[str], source: Source, where: list[str]) -> str:
    """Take the earliest event of the first type, then the earliest later one of the second, and so on.

    Taking the earliest each time is enough: if any choice of events completes the sequence, this one does.
    """
    of_these_types = f"event_type IN ({', '.join(dict.fromkeys(steps))})"
    columns = ["user_id"]
    columns += [
        f"arraySort(groupArrayIf(occurred_at, event_type = {step})) AS times{index}" for index, step in enumerate(steps)
    ]
    columns.append("arrayFirstOrNull(time -> true, times0) AS reached0")
    columns += [
        f"arrayFirstOrNull(time -> ifNull(time > reached{index - 1}, false), times{index}) AS reached{index}"
        for index in range(1, len(steps))
    ]
    per_user = select(columns, source.events, [of_these_types, *where], group_by="user_id")
    return select("user_id", per_user, [f"reached{len(steps) - 1} IS NOT NULL"])


def _adjacent(steps: list[str], source: Source, where: list[str]) -> str:
    """Find the steps side by side among all events of the user, of any type, in their order."""
    ordered = "arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), event_type))) AS history"
    last = len(steps) - 1
    types = [f"history[i + {index}].4 = {step}" for index, step in enumerate(steps)]
    later = [f"history[i + {index}].1 < history[i + {index + 1}].1" for index in range(last)]
    found = f"arrayExists(i -> {' AND '.join(types + later)}, range(1, length(history) - {last} + 1))"
    # Only users who have the first step at all: the others' histories need not be collected.
    has_first = select("user_id", source.events, [f"event_type = {steps[0]}", *where], group_by="user_id").replace(
        "\n", " "
    )
    per_user = select(["user_id", ordered], source.events, [*where, f"user_id IN ({has_first})"], group_by="user_id")
    return select("user_id", per_user, [f"length(history) > {last}", found])
