"""event_sequence: events in an order, each strictly later than the one before."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.operators import filter_predicates
from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import indent, later, select
from segops_orchestration.compiler.windows import window_of
from segops_orchestration.dsl.durations import span_of
from segops_orchestration.dsl.models import EventSequence

# No instant in milliseconds: a step that was not reached.
_NEVER = "toInt64(-9000000000000000)"


def sequence_members(condition: EventSequence, source: Source, parameters: ScopedParameters) -> str:
    """A SELECT of the users who have the sequence."""
    steps = _steps(condition, parameters)
    where = [*source.filters, *window_of(condition).predicates(parameters)]
    if condition.strict:
        return _adjacent(condition, steps, source, where, parameters)
    types = [step.partition(" AND ")[0].removeprefix("event_type = ") for step in steps]
    of_these_types = f"event_type IN ({', '.join(dict.fromkeys(types))})"
    if condition.within is None:
        return _in_order(steps, source, [of_these_types, *where])
    return _in_time(condition, steps, source, [of_these_types, *where], parameters)


def _steps(condition: EventSequence, parameters: ScopedParameters) -> list[str]:
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


# Walks a user's events in order of time. ``state`` is (the time of the events being walked; for each number of steps
# the latest deadline of any choice of that many events up to now; the same before that time; whether the sequence is
# complete). A choice's deadline is that of its first event, so keeping the latest is enough. Events at one time
# build on what was reached before that time, because every step must be strictly later.
_WALK = """arrayFold(
  (state, event) -> (
    event.1,
    arrayMap(
      step -> greatest(state.2[step], if(
        event.3[step], if(step = 1, event.2, if(event.1 > state.1, state.2, state.3)[step - 1]), {never}
      )),
      range(1, {steps})
    ),
    if(event.1 > state.1, state.2, state.3),
    state.4 OR (event.3[{steps}] AND if(event.1 > state.1, state.2, state.3)[{last}] >= event.1)
  ),
  history,
  ({never}, arrayWithConstant({last}, {never}), arrayWithConstant({last}, {never}), toUInt8(0))
).4"""


def _in_time(
    condition: EventSequence, steps: Sequence[str], source: Source, where: Sequence[str], parameters: ScopedParameters
) -> str:
    """As ``_in_order``, with a last step not later than a deadline that each first step sets."""
    assert condition.within is not None
    deadline = later("occurred_at", span_of(condition.within), "within", parameters)
    event = f"(toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli({deadline}), [{', '.join(steps)}])"
    per_user = select(
        ["user_id", f"arraySort(groupArray({event})) AS history"], source.events, where, group_by="user_id"
    )
    walk = _WALK.format(steps=len(steps), last=len(steps) - 1, never=_NEVER)
    return select("user_id", per_user, [f"length(history) >= {len(steps)}", indent(walk).lstrip()])


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
