"""regularity: in how many of the last periods a user did something so often."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.compiler.operators import COMPARISONS
from segops_orchestration.compiler.parameters import AT, ScopedParameters
from segops_orchestration.compiler.sql import earlier, select
from segops_orchestration.dsl.durations import Span, span_of
from segops_orchestration.dsl.models import Regularity


def period_edges(condition: Regularity) -> list[Span]:
    """How far before T the periods end, the newest first, and where the oldest begins: one more than periods."""
    period = span_of(condition.period)
    return [period.times(count) for count in range(condition.periods + 1)]


def regularity_members(
    condition: Regularity, relation: str, events: Sequence[str], parameters: ScopedParameters
) -> tuple[str, bool]:
    """A SELECT of users, and whether the condition holds for them or for all others.

    Only periods with events are seen. Where a period without any satisfies the comparison too, users without events
    satisfy the condition, so those are selected who do not.
    """
    oldest = earlier(AT, period_edges(condition)[-1], "oldest", parameters)
    in_periods = [*events, f"occurred_at > {oldest}"]
    counts = select(
        ["user_id", "count() AS happened"],
        relation,
        in_periods,
        group_by=f"user_id, {period_number(condition, parameters)}",
    )
    value = parameters.unsigned("value", condition.value)
    kept = f"countIf(happened {COMPARISONS[condition.operator]} {value})"
    needed = parameters.unsigned("min_periods", condition.min_periods)
    if not _holds_of_none(condition):
        return select("user_id", counts, group_by="user_id", having=f"{kept} >= {needed}"), False
    periods = parameters.unsigned("periods", condition.periods)
    having = f"{kept} + {periods} - count() < {needed}"
    return select("user_id", counts, group_by="user_id", having=having), True


def _holds_of_none(condition: Regularity) -> bool:
    """Whether a period without events counts."""
    return {
        "eq": condition.value == 0,
        "neq": condition.value != 0,
        "gt": False,
        "gte": condition.value == 0,
        "lt": condition.value > 0,
        "lte": True,
    }[condition.operator]


def period_number(condition: Regularity, parameters: ScopedParameters) -> str:
    """Which period an event lies in, the newest being 0: the number of periods that begin at or after it."""
    period = span_of(condition.period)
    if not period.months:
        age = f"toUnixTimestamp64Milli({AT}) - toUnixTimestamp64Milli(occurred_at)"
        return f"intDiv({age}, {parameters.integer('period_ms', period.milliseconds)})"
    months = parameters.integer("period_months", period.months)
    begins = f"{AT} - toIntervalMonth({months} * count)"
    return (
        f"arrayCount(count -> occurred_at <= {begins}, range(1, {parameters.unsigned('counted', condition.periods)}))"
    )
