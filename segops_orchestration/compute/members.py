"""Who is in a segment now, in a fixed order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from segops_orchestration.warehouse.client import TenantWarehouse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Member(NamedTuple):
    """A user and the instant of the computation in which that user entered."""

    user_id: str
    computed_at: datetime


def iter_members(
    tenant_warehouse: TenantWarehouse, segment_id: int, *, limit: int | None = None, after: str | None = None
) -> Iterator[Member]:
    """The members by user id (in the order of its UTF-8 bytes), streamed: any number of them takes little memory.

    Args:
        limit: at most so many.
        after: begin with the first user id after this one: the last of the page before.

    Raises:
        WarehouseError: ClickHouse refused, or the result broke off.
    """
    where, parameters = _those(segment_id, after)
    sql = (
        "SELECT user_id, toUnixTimestamp64Milli(computed_at) FROM segment_memberships FINAL"
        f" WHERE {where} ORDER BY user_id"
    )
    if limit is not None:
        sql += " LIMIT {limit:UInt64}"
        parameters["limit"] = limit
    settings = {"output_format_json_quote_64bit_integers": 0}
    with tenant_warehouse.stream_bytes(sql, parameters, fmt="JSONCompactEachRow", settings=settings) as chunks:
        for line in lines(chunks):
            user_id, milliseconds = json.loads(line)
            yield Member(user_id, _EPOCH + timedelta(milliseconds=milliseconds))


def count_members(tenant_warehouse: TenantWarehouse, segment_id: int, *, after: str | None = None) -> int:
    """How many users are in the segment; with ``after``, how many of them come behind that user id.

    Raises:
        WarehouseError: ClickHouse refused.
    """
    where, parameters = _those(segment_id, after)
    sql = f"SELECT count() FROM segment_memberships FINAL WHERE {where}"
    ((count,),) = tenant_warehouse.query(sql, parameters).result_rows
    return int(count)


def _those(segment_id: int, after: str | None) -> tuple[str, dict[str, object]]:
    if after is None:
        return "segment_id = {segment_id:UInt64}", {"segment_id": segment_id}
    return (
        "segment_id = {segment_id:UInt64} AND user_id > {after:String}",
        {"segment_id": segment_id, "after": after},
    )


def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a streamed result."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
