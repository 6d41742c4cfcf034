"""event_sequence: events in an order, each strictly later than the one before."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.operators import filter_predicates
from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import later, select
from segops_orchestration.compiler.windows import window_of
from segops_orchestration.dsl.durations import span_of
from segops_orchestration.dsl.models import EventSequence


def sequence_members(condition: EventSequence, source: Source, parameters: ScopedParameters) -> str:
    """A SELECT of the users who have the sequence."""
    steps = step_predicates(condition, parameters)
    where = [*source.filters, *window_of(condition).predicates(parameters)]
    if condition.strict:
        return _adjacent(condition, steps, source, where, parameters)
    types = [step.partition(" AND ")[0].removeprefix("event_type = ") for step in steps]
    of_these_types = f"event_type IN ({', '.join(dict.fromkeys(types))})"
    if condition.within is None:
        return _in_order(steps, source, [of_these_types, *where])
    return _in_time(condition, steps, source, [of_these_types, *where], parameters)


def step_predicates(condition: EventSequence, parameters: ScopedParameters) -> list[str]:
    """For each step, whether an event is one."""
    steps = []
    for index, step in enumerate(condition.steps):
        is_step = [f"event_type = {parameters.text(f'step{index}', step.event_type)}"]
        is_step += filter_predicates(step.where, parameters.of(f"step{index}"))
        steps.append(" AND ".join(is_step))
    return steps


def _in_order(steps: Sequence[str], source: Source, where: Sequence[str]) -> str:
    """Take the earliest event of the first step, then the earliest later one of the second, and so on.

    Taking the earliest each time is enough: if any choice of events completes the sequence, this one does.
    """
    columns = ["user_id"]
    columns += [f"arraySort(groupArrayIf(occurred_at, {step})) AS times{index}" for index, step in enumerate(steps)]
    columns.append("arrayFirstOrNull(time -> true, times0) AS reached0")
    columns += [
        f"arrayFirstOrNull(time -> ifNull(time > reached{index - 1}, false), times{index}) AS reached{index}"
        for index in range(1, len(steps))
    ]
    per_user = select(columns, source.events, where, group_by="user_id")
    return select("user_id", per_user, [f"reached{len(steps) - 1} IS NOT NULL"])


# A chain holds the events that end a choice of the first steps, as (time, 1, deadline): the latest deadline of any
# such choice, which its first event alone has set. To go on by one step, the step's events are merged in as (time, 0,
# no deadline), before what is at the same time, because a step must be strictly later. The latest deadline up to each
# place is the deadline there plus how far it lies below an earlier one, which is a sum that never falls below zero.
# What is past its deadline can be forgotten.
_NEXT = """arrayMap(
  merged -> arrayFilter(
    event -> event.3 >= event.1,
    arrayMap(
      (event, below) -> (event.1, 1, if(event.2 = 0, event.3 + below, {none})),
      merged,
      arrayCumSumNonNegative(arrayMap(
        (before, event) -> before.3 - event.3, arrayPopBack(arrayPushFront(merged, merged[1])), merged
      ))
    )
  ),
  [arraySort(arrayConcat({chain}, arrayMap(time -> (time, 0, {none}), {times})))]
)[1] AS {name}"""
# No deadline, in milliseconds.
_NONE = "toInt64(-9000000000000000)"


def _in_time(
    condition: EventSequence, steps: Sequence[str], source: Source, where: Sequence[str], parameters: ScopedParameters
) -> str:
    """As ``_in_order``, with a last step not later than a deadline that each first step sets."""
    assert condition.within is not None
    time = "toUnixTimestamp64Milli(occurred_at)"
    deadline = later("occurred_at", span_of(condition.within), "within", parameters)
    columns = [f"groupArrayIf(({time}, 1, toUnixTimestamp64Milli({deadline})), {steps[0]}) AS chain0"]
    columns += [f"groupArrayIf({time}, {step}) AS times{index}" for index, step in enumerate(steps) if index]
    query = select(["user_id", *columns], source.events, where, group_by="user_id")
    for index in range(1, len(steps)):
        chain = _NEXT.format(chain=f"chain{index - 1}", times=f"times{index}", name=f"chain{index}", none=_NONE)
        left = [f"times{later_step}" for later_step in range(index + 1, len(steps))]
        query = select(["user_id", chain, *left], query, [f"notEmpty(chain{index - 1})"])
    return select("user_id", query, [f"notEmpty(chain{len(steps) - 1})"])


def _adjacent(
    condition: EventSequence, steps: Sequence[str], source: Source, where: Sequence[str], parameters: ScopedParameters
) -> str:
    """Find the steps side by side among all events of the user, of any type, in their order."""
    ordered = f"arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), [{', '.join(steps)}]))) AS history"
    last = len(steps) - 1
    found = [f"history[i + {index}].4[{index + 1}]" for index in range(len(steps))]
    found += [f"history[i + {index}].1 < history[i + {index + 1}].1" for index in range(last)]
    if condition.within is not None:
        deadline = later("history[i].1", span_of(condition.within), "within", parameters)
        found.append(f"history[i + {last}].1 <= {deadline}")
    exists = f"arrayExists(i -> {' AND '.join(found)}, range(1, length(history) - {last} + 1))"
    # Only users who have the first step at all: the others' histories need not be collected.
    has_first = select("user_id", source.events, [steps[0], *where], group_by="user_id").replace("\n", " ")
    per_user = select(["user_id", ordered], source.events, [*where, f"user_id IN ({has_first})"], group_by="user_id")
    return select("user_id", per_user, [f"length(history) > {last}", exists])
