"""Is this user in that segment, and in which segments at all: answered in about the time of ``SELECT 1``.

``segment_memberships`` is ordered by segment, and planning a read of a MergeTree table takes longer than the whole
answer may. So a tenant with many members also has ``memberships_by_user``: one row a user in EmbeddedRocksDB, found by
its key. A computation brings it up to date before it commits. A tenant with few members does without, because each such
table costs 20 to 50 ms whenever the warehouse starts. Measured in benchmarks/lookup.py.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from segops_orchestration.compute.buckets import in_buckets
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.errors import WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse

# From so many rows of segment_memberships on, a tenant gets the table.
TABLE_FROM_ROWS = 20_000
TABLE = "memberships_by_user"
_BUILDING = "memberships_by_user_building"
# A reader that did not find the table looks again after so long.
_LOOK_AGAIN_SECONDS = 30.0
# What one membership or change takes on the server while they are collected by user: 45 bytes were measured.
_BYTES_PER_ROW = 64
# What does not fit is divided. That is slow, for each part is a pass over all rows; going to disk was slower still.
_IN_MEMORY = {"max_bytes_before_external_group_by": 0, "max_bytes_ratio_before_external_group_by": 0}

# entered_at[i] is when the user entered segment_ids[i]. Who is in no segment any more keeps the row, for its version.
_CREATE = f"""CREATE TABLE {_BUILDING}
(
  user_id String,
  segment_ids Array(UInt64),
  entered_at Array(DateTime64(3, 'UTC')),
  version UInt64
)
ENGINE = EmbeddedRocksDB
PRIMARY KEY user_id
SETTINGS optimize_for_bulk_insert = 0"""

_FILL = f"""INSERT INTO {_BUILDING} (user_id, segment_ids, entered_at, version)
SELECT user_id, groupArray(segment_id), groupArray(computed_at), {{membership_version:UInt64}}
FROM segment_memberships FINAL
WHERE cityHash64(user_id) % {{buckets:UInt64}} = {{bucket:UInt64}}
GROUP BY user_id"""

# Repeating it changes nothing. A user whom a later computation has changed is left alone: a process that slept through
# its lease must not undo what its successor did.
_UPDATE = f"""INSERT INTO {TABLE} (user_id, segment_ids, entered_at, version)
SELECT user_id, arrayMap(entry -> entry.1, entries), arrayMap(entry -> entry.2, entries), {{membership_version:UInt64}}
FROM (
  SELECT
    changed.user_id AS user_id,
    known.version AS version,
    arrayConcat(
      arrayFilter(entry -> NOT has(changed.segment_ids, entry.1), arrayZip(known.segment_ids, known.entered_at)),
      changed.entered
    ) AS entries
  FROM (
    SELECT
      user_id,
      groupArray(segment_id) AS segment_ids,
      groupArrayIf((segment_id, computed_at), change = 'entered') AS entered
    FROM membership_changes
    WHERE segment_id IN {{segment_ids:Array(UInt64)}} AND computation_id = {{computation_id:UInt64}}
      AND cityHash64(user_id) % {{buckets:UInt64}} = {{bucket:UInt64}}
    GROUP BY user_id
  ) AS changed
  LEFT JOIN {TABLE} AS known ON known.user_id = changed.user_id
)
WHERE version <= {{membership_version:UInt64}}
SETTINGS join_algorithm = 'direct,hash'"""

_TABLES = f"""SELECT name, ifNull(total_rows, 0) FROM system.tables
WHERE database = {{database:String}} AND name IN ('segment_memberships', '{TABLE}')"""

# Some builds of ClickHouse leave it out. Checks are right without it, and slower.
_ENGINE = "SELECT 1 FROM system.table_engines WHERE name = 'EmbeddedRocksDB'"

# Asking for one of the row's segments takes longer than reading them all.
_BY_USER = f"SELECT segment_ids, entered_at FROM {TABLE} WHERE user_id = {{user_id:String}}"
_BY_USERS = f"SELECT user_id, segment_ids, entered_at FROM {TABLE} WHERE user_id IN {{user_ids:Array(String)}}"
_ONE_BY_SEGMENT = """SELECT [segment_id], [computed_at] FROM segment_memberships FINAL
WHERE segment_id = {segment_id:UInt64} AND user_id = {user_id:String}"""
_USERS_BY_SEGMENT = """SELECT user_id, groupArray(segment_id), groupArray(computed_at) FROM segment_memberships FINAL
WHERE user_id IN {user_ids:Array(String)} GROUP BY user_id"""
_ALL_BY_SEGMENT = """SELECT groupArray(segment_id), groupArray(computed_at) FROM segment_memberships FINAL
WHERE user_id = {user_id:String}"""


def update_lookup(session: ComputeSession, changes: Mapping[int, tuple[int, int]]) -> None:
    """Bring ``memberships_by_user`` up to date with staged changes, once they are applied.

    Repeating it changes nothing. When the table is due and not there, it is built from the members.

    Args:
        changes: how many users enter and exit each segment.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    if not changes:
        return
    rows = dict(session.rows(_TABLES, {"database": session.warehouse.database}))
    if TABLE in rows:
        _collect(session, _UPDATE, sum(map(sum, changes.values())), {"segment_ids": sorted(changes)})
    elif rows["segment_memberships"] >= TABLE_FROM_ROWS and session.rows(_ENGINE):
        _build(session, rows["segment_memberships"])


def _build(session: ComputeSession, rows: int) -> None:
    """Fill a table beside and rename it, so that it is there as a whole or not at all."""
    session.run(f"DROP TABLE IF EXISTS {_BUILDING} SYNC")
    session.run(_CREATE)
    _collect(session, _FILL, rows, {})
    session.run(f"RENAME TABLE {_BUILDING} TO {TABLE}")


def drop_unfinished_lookup(warehouse: TenantWarehouse) -> None:
    """Drop a table that a computation was building when it died. The caller holds the tenant's lease."""
    warehouse.command(f"DROP TABLE IF EXISTS {_BUILDING} SYNC")


def _collect(session: ComputeSession, sql: str, rows: int, bound: Mapping[str, object]) -> None:
    """Run the statement for the users of one bucket after another, each of which fits into the memory of a query."""

    def run(bucket: int, of: int) -> int:
        return session.run(sql, {**bound, "bucket": bucket, "buckets": of}, settings=_IN_MEMORY)

    def take_back(bucket: int, of: int) -> None:
        """There is nothing to take back: what was written is written once more."""

    in_buckets(f"table {TABLE}", max(1, -(-rows * _BYTES_PER_ROW * 4 // (session.query_memory * 3))), run, take_back)


class MembershipLookup:
    """Membership checks of one tenant. Worth keeping: it remembers whether the tenant has the table."""

    def __init__(self, warehouse: TenantWarehouse) -> None:
        self._warehouse = warehouse
        self._has_table = False
        self._look_at = 0.0

    def entered_at(self, segment_id: int, user_id: str) -> datetime | None:
        """The instant of the computation in which the user entered the segment; None for who is not in it.

        Raises:
            WarehouseError: ClickHouse refused or could not be reached.
        """
        bound = {"segment_id": segment_id, "user_id": user_id}
        return _entries(self._ask(_BY_USER, _ONE_BY_SEGMENT, bound)).get(segment_id)

    def segments_of(self, user_id: str) -> dict[int, datetime]:
        """The segments that the user is in, each with the instant of the computation in which the user entered it.

        Raises:
            WarehouseError: ClickHouse refused or could not be reached.
        """
        return _entries(self._ask(_BY_USER, _ALL_BY_SEGMENT, {"user_id": user_id}))

    def segments_of_users(self, user_ids: Collection[str]) -> dict[str, dict[int, datetime]]:
        """``segments_of`` for several users in one query; without those who are in none.

        Raises:
            WarehouseError: ClickHouse refused or could not be reached.
        """
        rows = self._ask(_BY_USERS, _USERS_BY_SEGMENT, {"user_ids": list(user_ids)})
        return {user_id: entries for user_id, *lists in rows if (entries := _entries([lists]))}

    def _ask(self, by_user: str, by_segment: str, bound: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows of ``by_user`` where the tenant has the table, else those of ``by_segment``."""
        if self._table_is_there():
            try:
                return self._rows(by_user, bound)
            except WarehouseError:
                # Somebody may have dropped it, to have it built anew.
                if self._find_table():
                    raise
        return self._rows(by_segment, bound)

    def _rows(self, sql: str, bound: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = self._warehouse.query(sql, bound).result_rows
        return rows

    def _table_is_there(self) -> bool:
        if self._has_table or time.monotonic() < self._look_at:
            return self._has_table
        return self._find_table()

    def _find_table(self) -> bool:
        ((found,),) = self._warehouse.query(f"EXISTS TABLE {TABLE}").result_rows
        self._has_table, self._look_at = bool(found), time.monotonic() + _LOOK_AGAIN_SECONDS
        return self._has_table


def _entries(rows: Iterable[Sequence[Any]]) -> dict[int, datetime]:
    return {segment_id: at for ids, instants in rows for segment_id, at in zip(ids, instants, strict=True)}
