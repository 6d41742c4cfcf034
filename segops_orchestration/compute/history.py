"""Who was in a segment at an instant, and who entered and left by a computation: read from the recorded changes.

``membership_changes`` holds, for every committed computation, the difference to what the one committed before it had
left. So the members that computation k left are those whose last change up to k is an entry. It does not matter at
which instants the computations in between were evaluated, only in which order they were committed; that is the order
of their ids, since one computation of a tenant runs at a time and what died half-way is completed or taken back before
the next begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from segops_orchestration.compute.members import Member, lines
from segops_orchestration.compute.session import memory_settings
from segops_orchestration.warehouse.client import TenantWarehouse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LEFT_BY = """SELECT user_id, argMax(computed_at, computation_id) AS entered_at
FROM membership_changes
WHERE {where}
GROUP BY user_id
HAVING argMax(change, computation_id) = 'entered'"""

_CHANGED = """SELECT segment_id, user_id, toString(change)
FROM membership_changes
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id = {computation_id:UInt64}
ORDER BY segment_id, change, user_id
LIMIT {limit:UInt64}"""


class ChangedUser(NamedTuple):
    """A user who ``entered`` or ``exited`` a segment."""

    segment_id: int
    user_id: str
    change: str


def iter_members_as_of(
    database: TenantWarehouse,
    segment_id: int,
    computation_id: int,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> Iterator[Member]:
    """The members that a committed computation left, by user id, streamed.

    Args:
        limit: at most so many.
        after: begin with the first user id after this one.

    Raises:
        WarehouseError: ClickHouse refused, or the result broke off.
    """
    sql, parameters = _left_by(segment_id, computation_id, after)
    sql = f"SELECT user_id, toUnixTimestamp64Milli(entered_at) FROM (\n{sql}\n) ORDER BY user_id"
    if limit is not None:
        sql += " LIMIT {limit:UInt64}"
        parameters["limit"] = limit
    with database.stream_bytes(sql, parameters, fmt="JSONCompactEachRow", settings=_settings(database)) as chunks:
        for line in lines(chunks):
            user_id, milliseconds = json.loads(line)
            yield Member(user_id, _EPOCH + timedelta(milliseconds=milliseconds))


def count_members_as_of(
    database: TenantWarehouse, segment_id: int, computation_id: int, *, after: str | None = None
) -> int:
    """How many they are; with ``after``, how many of them come behind that user id.

    Raises:
        WarehouseError: ClickHouse refused.
    """
    sql, parameters = _left_by(segment_id, computation_id, after)
    ((count,),) = database.query(f"SELECT count() FROM (\n{sql}\n)", parameters, _settings(database)).result_rows
    return int(count)


def iter_changed_users(
    database: TenantWarehouse, segment_ids: Sequence[int], computation_id: int, *, limit: int
) -> Iterator[ChangedUser]:
    """Who entered and exited these segments by a computation: by segment, entered before exited, by user id.

    Raises:
        WarehouseError: ClickHouse refused, or the result broke off.
    """
    parameters = {"segment_ids": list(segment_ids), "computation_id": computation_id, "limit": limit}
    with database.stream_bytes(_CHANGED, parameters, fmt="JSONCompactEachRow", settings=_settings(database)) as chunks:
        for line in lines(chunks):
            yield ChangedUser(*json.loads(line))


def _left_by(segment_id: int, computation_id: int, after: str | None) -> tuple[str, dict[str, object]]:
    where = "segment_id = {segment_id:UInt64} AND computation_id <= {computation_id:UInt64}"
    parameters: dict[str, object] = {"segment_id": segment_id, "computation_id": computation_id}
    if after is not None:
        where += " AND user_id > {after:String}"
        parameters["after"] = after
    return _LEFT_BY.format(where=where), parameters


def _settings(database: TenantWarehouse) -> dict[str, object]:
    return {**memory_settings(database.query_memory), "output_format_json_quote_64bit_integers": 0}
