"""Whether leaves hold at several instants, by the very SQL that computes memberships.

One user at many instants is evaluated like many users at one: each instant stands for a user who has the events of
the one asked about, and in the compiled SQL the instant of evaluation is taken from the user's id. So there is no
second evaluator, and a thousand instants are one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segops_orchestration.compiler.conditions import Context, user_set
from segops_orchestration.compiler.parameters import AT, Parameters, ScopedParameters
from segops_orchestration.compiler.source import IDENTIFICATION, Source
from segops_orchestration.dsl.models import Condition
from segops_orchestration.explain.history import Statement, UserEvents, unions

_AT_OF_ROW = "fromUnixTimestamp64Milli(user_id, 'UTC')"
_COLUMNS = "event_id, event_type, occurred_at, ingested_at, payload"

Verdicts = dict[tuple[int, int], bool]
"""By leaf and instant."""


@dataclass(frozen=True)
class Question:
    """A leaf by its number, and the instants (unix milliseconds) at which to evaluate it."""

    leaf: int
    condition: Condition
    instants: Sequence[int]


def leaf_verdicts(user: UserEvents, questions: Sequence[Question]) -> Verdicts:
    """Evaluate each leaf at each of its instants, for the user's events of that time."""
    negated: dict[int, bool] = {}
    selects = []
    for question in questions:
        parameters = Parameters()
        scoped = parameters.of(f"c{question.leaf}")
        users = user_set(question.condition, Context(_as_many_users(scoped), scoped))
        negated[question.leaf] = users.negated
        if users.members is not None:
            members = users.members.replace(AT, _AT_OF_ROW)
            sql = f"SELECT {question.leaf} AS leaf, groupArray(user_id) FROM (\n{members}\n)"
            selects.append(Statement(sql, {**parameters.values, f"c{question.leaf}_instants": list(question.instants)}))
    holds: dict[int, frozenset[int]] = {}
    for statement in unions(selects):
        rows = user.rows(statement.sql, statement.parameters)
        holds.update((int(leaf), frozenset(map(int, instants))) for leaf, instants in rows)
    return {
        (question.leaf, instant): (instant in holds.get(question.leaf, ())) != negated[question.leaf]
        for question in questions
        for instant in question.instants
    }


def _as_many_users(parameters: ScopedParameters) -> Source:
    """The user's events once for each instant, which is the user id."""
    instants = f"{{{parameters.variable('instants')}:Array(Int64)}}"

    def of(events: str) -> str:
        distinct = f"SELECT {_COLUMNS} FROM events_by_user FINAL WHERE user_id = {{user_id:String}}{events}"
        return f"SELECT instant AS user_id, {_COLUMNS} FROM ({distinct}) ARRAY JOIN {instants} AS instant"

    return Source(
        events=of(""),
        identifications=of(f" AND event_type = '{IDENTIFICATION}'"),
        filters=(f"occurred_at <= {AT}",),
        user_filters=(),
        universe="",
    )
