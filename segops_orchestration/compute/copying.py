"""The statements that copy the candidates' events out of a tenant's history, each to whom it is needed for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from segops_orchestration.compiler.parameters import AT, Parameters
from segops_orchestration.compiler.segment import CompiledQuery
from segops_orchestration.compiler.sql import indent, select
from segops_orchestration.compute.needs import EVERY_TYPE, Need, Needs
from segops_orchestration.dsl.durations import MILLISECONDS_PER_DAY

# Users are found by the key of the table. What each of them needs is joined to their events, not looked up in sets of
# (type, user): searching the key for those too took longer than it saved. Of several deliveries the first one counts.
_COPY = """INSERT INTO candidate_events
    (computation_id, event_id, user_id, event_type, occurred_at, ingested_at, payload)
SELECT {{computation_id:UInt64}}, event_id, user_id, event_type, occurred_at, min(arrived_at), {payload}
FROM (
  SELECT event_id, user_id, event_type, occurred_at, ingested_at AS arrived_at, {column} AS delivered_payload
  FROM events_by_user
  INNER JOIN (
{candidates}
  ) AS candidates ON candidate = user_id
  WHERE user_id IN (
    SELECT user_id FROM candidates WHERE {reasons}
  )
    AND occurred_at <= {at}
    AND {is_needed}
)
GROUP BY event_type, user_id, occurred_at, event_id"""


def copy_statements(needs: Mapping[int, Needs], copied: Mapping[int, Needs]) -> Iterator[CompiledQuery]:
    """Statements, in no order, that copy what is needed and has not been copied; {computation_id} and {at} are open.

    Most events are needed for their times alone; their payloads, which are most of the history, are not read.

    Args:
        needs: what candidates need, by the number of the reason for which they are candidates.
        copied: the same of what earlier statements have copied.
    """
    whole, bare = _kept(needs, payload=True), _kept(needs, payload=False)
    if whole:
        yield _copy(whole, copied, "payload", "argMin(delivered_payload, arrived_at)")
    if bare:
        yield _copy(bare, {**copied, **whole}, "''", "''")


def _kept(needs: Mapping[int, Needs], *, payload: bool) -> dict[int, Needs]:
    """Those with payloads, or those without."""
    kept = {reason: frozenset(need for need in of if need.payload == payload) for reason, of in needs.items()}
    return {reason: of for reason, of in kept.items() if of}


def _copy(wanted: Mapping[int, Needs], done: Mapping[int, Needs], column: str, payload: str) -> CompiledQuery:
    parameters = Parameters()
    distinct = sorted({need for of in (*wanted.values(), *done.values()) for need in of})
    number = {need: index for index, need in enumerate(distinct, start=1)}
    columns = {name: _numbers_of(needs, number) for name, needs in (("wanted", wanted), ("done", done)) if needs}
    selected = [
        "user_id AS candidate",
        *(f"groupUniqArrayArray({numbers}) AS {name}" for name, numbers in columns.items()),
    ]
    reasons = [*wanted, *(reason for reason in done if reason not in wanted)]
    candidates = select(selected, "candidates", [_of_reasons(reasons)], group_by="user_id")
    types = parameters.of("needs").texts("types", [need.event_type for need in distinct])
    ages = [need.days * MILLISECONDS_PER_DAY for need in distinct]
    is_needed = _is_among(types, ages, "wanted") + (f"\n    AND NOT {_is_among(types, ages, 'done')}" if done else "")
    sql = _COPY.format(
        payload=payload,
        column=column,
        candidates=indent(indent(candidates)),
        reasons=_of_reasons(wanted),
        at=AT,
        is_needed=is_needed,
    )
    return CompiledQuery(sql, parameters.values)


def _of_reasons(reasons: Iterable[int]) -> str:
    return f"computation_id = {{computation_id:UInt64}} AND reason IN ({', '.join(map(str, reasons))})"


def _numbers_of(needs: Mapping[int, Needs], number: Mapping[Need, int]) -> str:
    """The numbers of the needs that a row of ``candidates`` brings, by its reason."""
    pairs = [(reason, number[need]) for reason, of in needs.items() for need in sorted(of)]
    numbers, reasons = ([pair[1] for pair in pairs], [pair[0] for pair in pairs])
    return f"arrayFilter((need, of) -> of = reason, {numbers}, {reasons})"


def _is_among(types: str, ages: Sequence[int], needs: str) -> str:
    """The predicate that an event is one of those that any of the numbered needs in the column ``needs`` is about."""
    age = f"toUnixTimestamp64Milli({AT}) - toUnixTimestamp64Milli(occurred_at)"
    return f"arrayExists(need -> {types}[need] IN ('{EVERY_TYPE}', event_type) AND {age} < {ages}[need], {needs})"
