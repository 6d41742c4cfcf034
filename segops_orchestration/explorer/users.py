"""Users as people look them up: found by a part of their id, with their events, properties and segments.

An event counts once, however often it was delivered: the tables are read FINAL, by the key that makes an event one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.explain.history import instant_of
from segops_orchestration.explorer.session import look_settings
from segops_orchestration.warehouse.client import TenantWarehouse

# A page of events stops before its payloads are longer than this; one event always fits.
MOST_PAYLOAD_BYTES = 4 << 20

# {where} and {order} are put in by replace(): what else has braces is bound.
# {where} and {order} are put in by replace(): what else has braces is bound.
_COUNT = "SELECT count() FROM (SELECT user_id FROM users{where} GROUP BY user_id)"

# Ids that begin with the text come first: whoever types an id sees it before those that only contain it.
_FOUND = """SELECT user_id, toUnixTimestamp64Milli(min(first_seen)), toUnixTimestamp64Milli(max(last_seen))
FROM users{where}
GROUP BY user_id
ORDER BY {order}
LIMIT {limit:UInt64}"""
_CONTAINS = "\nWHERE positionCaseInsensitiveUTF8(user_id, {q:String}) > 0"
_BEGINS_FIRST = "user_id != {q:String}, NOT startsWithUTF8(lowerUTF8(user_id), lowerUTF8({q:String})), user_id"

_COUNTS = """SELECT user_id, event_type, count(), toUnixTimestamp64Milli(min(occurred_at)),
  toUnixTimestamp64Milli(max(occurred_at))
FROM events_by_user FINAL
WHERE user_id IN {user_ids:Array(String)}
GROUP BY user_id, event_type
ORDER BY user_id, event_type"""

_PROPERTIES = "SELECT properties FROM user_properties WHERE user_id = {user_id:String}"

_THOSE = "user_id = {user_id:String}"
_EVENT_COUNT = "SELECT count() FROM events_by_user FINAL WHERE {where}"
_NEWEST_FIRST = "occurred_at DESC, ingested_at DESC, UUIDToNum(event_id) DESC"
_EVENTS = f"""SELECT toString(event_id), event_type, toUnixTimestamp64Milli(occurred_at),
  toUnixTimestamp64Milli(ingested_at), payload
FROM (
  SELECT *, row_number() OVER latest AS place, sum(length(payload)) OVER latest AS bytes
  FROM (SELECT * FROM events_by_user FINAL WHERE {{where}} ORDER BY {_NEWEST_FIRST} LIMIT {{limit:UInt64}})
  WINDOW latest AS (ORDER BY {_NEWEST_FIRST} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE bytes <= {{most_bytes:UInt64}} OR place = 1
ORDER BY place"""


@dataclass(frozen=True)
class FoundUser:
    """A user with how many events, and the times of the first and the last of them."""

    user_id: str
    event_count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class UserProfile(FoundUser):
    """One user. ``event_types`` counts events by type; ``properties`` are those of the latest identification."""

    event_types: Mapping[str, int] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UserEvent:
    """An event of a user. ``ingested_at`` is when it first arrived."""

    event_id: str
    event_type: str
    occurred_at: datetime
    ingested_at: datetime
    payload: Any


def count_users(warehouse: TenantWarehouse, q: str = "") -> int:
    """How many users there are whose id contains ``q`` in any case; all for an empty text.

    Raises:
        WarehouseError: ClickHouse refused, could not be reached, or it took too long.
    """
    sql = _COUNT.replace("{where}", _CONTAINS if q else "")
    ((count,),) = warehouse.query(sql, {"q": q} if q else None, _in_order(warehouse)).result_rows
    return int(count)


def find_users(warehouse: TenantWarehouse, q: str, limit: int) -> list[FoundUser]:
    """The first users whose id contains ``q`` in any case, those beginning with it before others; all by id without.

    Raises:
        WarehouseError: ClickHouse refused, could not be reached, or it took too long.
    """
    where, order = (_CONTAINS, _BEGINS_FIRST) if q else ("", "user_id")
    bound: dict[str, object] = {"limit": limit, "q": q} if q else {"limit": limit}
    found = _FOUND.replace("{where}", where).replace("{order}", order)
    rows = warehouse.query(found, bound, _in_order(warehouse)).result_rows
    events = _event_counts(warehouse, [row[0] for row in rows])
    return [
        FoundUser(user_id, sum(events.get(user_id, {}).values()), instant_of(first), instant_of(last))
        for user_id, first, last in rows
    ]


def _in_order(warehouse: TenantWarehouse) -> dict[str, object]:
    """The table lies in the order of users: grouping holds one at a time, and reading stops early without a text."""
    return {**look_settings(warehouse, "users"), "optimize_aggregation_in_order": 1}


def user_profile(warehouse: TenantWarehouse, user_id: str) -> UserProfile | None:
    """One user; None for somebody who never had an event.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    settings = look_settings(warehouse, "user")
    rows = warehouse.query(_COUNTS, {"user_ids": [user_id]}, settings).result_rows
    if not rows:
        return None
    said = warehouse.query(_PROPERTIES, {"user_id": user_id}, settings).result_rows
    return UserProfile(
        user_id=user_id,
        event_count=sum(row[2] for row in rows),
        first_seen=instant_of(min(row[3] for row in rows)),
        last_seen=instant_of(max(row[4] for row in rows)),
        event_types={row[1]: row[2] for row in rows},
        properties=_object(said[0][0]) if said else {},
    )


def user_events(
    warehouse: TenantWarehouse,
    user_id: str,
    *,
    event_type: str | None = None,
    since: datetime | None = None,
    limit: int,
) -> tuple[int, list[UserEvent]]:
    """How many events the user has of that type and from ``since`` on, and the newest of them, the newest first.

    Fewer than ``limit`` come back where their payloads are longer than ``MOST_PAYLOAD_BYTES`` together.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    where = [_THOSE]
    bound: dict[str, object] = {"user_id": user_id, "limit": limit, "most_bytes": MOST_PAYLOAD_BYTES}
    if event_type is not None:
        where.append("event_type = {event_type:String}")
        bound["event_type"] = event_type
    if since is not None:
        where.append("occurred_at >= {since:DateTime64(3, 'UTC')}")
        bound["since"] = instant_text(since)
    settings = look_settings(warehouse, "events")
    those = " AND ".join(where)
    ((count,),) = warehouse.query(_EVENT_COUNT.replace("{where}", those), bound, settings).result_rows
    rows = warehouse.query(_EVENTS.replace("{where}", those), bound, settings).result_rows
    return int(count), [_event(row) for row in rows]


def _event_counts(warehouse: TenantWarehouse, user_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    if not user_ids:
        return {}
    counts: dict[str, dict[str, int]] = {}
    rows = warehouse.query(_COUNTS, {"user_ids": list(user_ids)}, look_settings(warehouse, "users")).result_rows
    for user_id, event_type, count, *_ in rows:
        counts.setdefault(user_id, {})[event_type] = count
    return counts


def _event(row: Sequence[Any]) -> UserEvent:
    event_id, event_type, occurred_ms, ingested_ms, payload = row
    return UserEvent(event_id, event_type, instant_of(occurred_ms), instant_of(ingested_ms), _object(payload))


def _object(text: str) -> dict[str, Any]:
    """A payload; what is not an object, which no way in accepts, is shown as nothing."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
