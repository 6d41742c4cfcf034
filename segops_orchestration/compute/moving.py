"""Moving the events of joined ids to the id that stands for the person, before a computation looks at anything.

Segments, reasons to be a candidate and explanations then need not know that there are identities: a lookup for each row
of every scan was measured to cost more (docs/identity.md). What came in under a joined id, in whatever way, is moved by
the next computation; its identity as an event stays: type, time, event id, and when it was first delivered.

A crash between any two lines loses nothing and counts nothing twice. What is to be moved is written down first, in
``moving_events``; then copied, which can be repeated, since a copy has the same key; then just what was written down is
taken away. What comes in meanwhile was not written down, so it stays, and is moved in the next round.

A person may have any number of events, and a tenant any number of joined ids. Whatever has to be held in memory, to be
compared with a table, is held a part at a time: rows whose hash leaves the same remainder.
The caller holds the tenant's lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Lease
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compute.identities import forget_changes
from segops_orchestration.compute.lookup import TABLE as LOOKUP
from segops_orchestration.compute.session import memory_settings
from segops_orchestration.compute.takeout import (
    MEMBERSHIP_TABLES,
    count_rows,
    has_lookup,
    recount_members,
    wait_for_inserts,
)
from segops_orchestration.errors import WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse

# Ids whose events are moved together, however many those are.
IDS_AT_ONCE = 5_000
# They are sent in the URL, of which ClickHouse takes a mebibyte.
_BYTES_OF_IDS = 256 << 10
# What an event that is joined, or looked for in a set, takes in memory, and an id that is; measured, and rounded up.
_BYTES_PER_EVENT = 600
_BYTES_PER_ID = 200
_ROUNDS = 100
_COMMENT = "segops identities"

_KEY = "event_type, occurred_at, event_id, ingested_at"
_COLUMNS = f"home, root, stays, {_KEY}, original_user_id"

# Joined ids under which events lie. Statements have {part} where they speak of one part alone.
_LEAVING = """SELECT DISTINCT user_id FROM users
WHERE user_id IN (SELECT user_id FROM identities FINAL WHERE root != user_id AND {part}) AND {part}
ORDER BY user_id LIMIT {limit}"""

_JOINED = "SELECT user_id, root FROM identities FINAL WHERE root != user_id"
_ROOTS = f"{_JOINED} AND user_id IN {{leaving:Array(String)}}"

# Everything that lies under these ids. What was moved there before keeps the id under which it came in.
_STAGE = f"""INSERT INTO moving_events ({_COLUMNS})
SELECT e.user_id, r.root, 0, e.event_type, e.occurred_at, e.event_id, e.ingested_at,
  if(m.original_user_id = '', e.user_id, m.original_user_id)
FROM (SELECT user_id, {_KEY} FROM events_by_user WHERE user_id IN {{leaving}} AND {{part}}) AS e
INNER JOIN ({{roots}}) AS r ON r.user_id = e.user_id
LEFT JOIN (
  SELECT user_id, {_KEY}, original_user_id FROM moved_events FINAL WHERE user_id IN {{leaving}} AND {{part}}
) AS m
  ON m.user_id = e.user_id AND m.event_type = e.event_type AND m.occurred_at = e.occurred_at
  AND m.event_id = e.event_id AND m.ingested_at = e.ingested_at"""

_MOVED_BEFORE = "SELECT count() FROM moved_events WHERE user_id IN {leaving}"
_HOMES = "SELECT home FROM moving_events WHERE NOT stays"
_STAGED_ROOTS = "SELECT DISTINCT home AS user_id, root FROM moving_events WHERE NOT stays"

# Ids that belong to another person than before. Their events lie with others' under an id that stays another's.
_CHANGED = "SELECT user_id, root FROM identities FINAL WHERE changed ORDER BY user_id LIMIT {limit:UInt64}"
_CLAIMED = "moved_events FINAL WHERE original_user_id IN {changed:Array(String)}"
_STAGE_CHANGED = f"""INSERT INTO moving_events ({_COLUMNS})
SELECT m.user_id, i.root, 1, m.event_type, m.occurred_at, m.event_id, m.ingested_at, m.original_user_id
FROM (SELECT * FROM {_CLAIMED}) AS m
INNER JOIN (
  SELECT user_id, root FROM identities FINAL WHERE user_id IN {{changed:Array(String)}}
) AS i ON i.user_id = m.original_user_id
LEFT JOIN ({_JOINED} AND user_id IN (SELECT user_id FROM {_CLAIMED})) AS l ON l.user_id = m.user_id
WHERE if(l.root = '', m.user_id, l.root) != i.root"""

_COPY = f"""INSERT INTO events (event_id, user_id, event_type, occurred_at, ingested_at, payload)
SELECT e.event_id, m.root, e.event_type, e.occurred_at, e.ingested_at, e.payload
FROM (
  SELECT user_id, {_KEY}, payload FROM events_by_user WHERE user_id IN (SELECT home FROM moving_events) AND {{part}}
) AS e
INNER JOIN (SELECT DISTINCT home, root, {_KEY} FROM moving_events WHERE {{part}}) AS m
  ON m.home = e.user_id AND m.event_type = e.event_type AND m.occurred_at = e.occurred_at
  AND m.event_id = e.event_id AND m.ingested_at = e.ingested_at"""

# Arrivals of long ago may be forgotten at any moment; this one is of now, and makes the person a candidate.
_ARRIVE = """INSERT INTO arrivals (ingested_at, user_id)
SELECT DISTINCT now64(3, 'UTC'), arrayJoin(if(stays, [root, home], [root])) FROM moving_events"""

_RECORD = f"""INSERT INTO moved_events (user_id, {_KEY}, original_user_id, moved_at)
SELECT root, {_KEY}, original_user_id, now64(3, 'UTC') FROM moving_events WHERE root != original_user_id"""

_TAKE = f"""DELETE FROM {{table}} WHERE user_id IN (SELECT home FROM moving_events) AND {{part}}
AND (user_id, {_KEY}) IN (SELECT home, {_KEY} FROM moving_events WHERE {{part}})"""
_TAKE_IDENTIFICATIONS = f"""DELETE FROM identifications WHERE user_id IN (SELECT home FROM moving_events) AND {{part}}
AND (user_id, occurred_at, event_id, ingested_at) IN (
  SELECT home, occurred_at, event_id, ingested_at FROM moving_events
  WHERE event_type = '{IDENTIFICATION}' AND {{part}}
)"""
_TAKE_TIMES = """DELETE FROM events_by_time WHERE user_id IN (SELECT home FROM moving_events) AND {part_of_times}
AND (event_type, occurred_at, user_id) IN (
  SELECT event_type, occurred_at, home FROM moving_events WHERE {part_of_times}
)"""
_TAKE_RECORDS = f"""DELETE FROM moved_events WHERE user_id IN (SELECT home FROM moving_events) AND {{part}}
AND (user_id, {_KEY}, original_user_id) IN (
  SELECT home, {_KEY}, original_user_id FROM moving_events WHERE {{part}}
)"""
_TAKE_USERS = "DELETE FROM users WHERE user_id IN (SELECT home FROM moving_events)"

# Of an id that stays a user: what else it has. One of whom only the future is left is no user yet, and no candidate.
_STAYING = "SELECT home FROM moving_events WHERE stays"
_RESTORE_TIMES = f"""INSERT INTO events_by_time (event_type, occurred_at, user_id)
SELECT event_type, occurred_at, user_id FROM events_by_user WHERE user_id IN ({_STAYING})"""
_RESTORE_USERS = f"""INSERT INTO users (user_id, first_seen, last_seen)
SELECT user_id, min(occurred_at), max(occurred_at) FROM events_by_user WHERE user_id IN ({_STAYING})
GROUP BY user_id"""
_VANISHED = f"""{_STAYING} AND home NOT IN (
  SELECT user_id FROM users WHERE user_id IN ({_STAYING}) AND first_seen <= now64(3, 'UTC')
)"""
_LEAVE = "DELETE FROM {table} WHERE user_id IN ({users})"
_LEAVE_LOOKUP = f"ALTER TABLE {LOOKUP} DELETE WHERE user_id IN ({{users}})"


def move_joined_events(catalog: Catalog, database: TenantWarehouse, lease: Lease) -> int:
    """Bring everything that lies under joined ids to their roots; how many events that were.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached. The next call goes on from there.
    """
    _stop_orphans(database)
    moved = _finish(catalog, database, lease)
    while changed := _changed(database):
        moved += _move_changed(catalog, database, lease, changed)
    for _ in range(_ROUNDS):
        if not (leaving := _leaving(database)):
            break
        _stage(catalog, database, lease, "{leaving:Array(String)}", _ROOTS, {"leaving": leaving})
        moved += _finish(catalog, database, lease)
    return moved


def _leaving(database: TenantWarehouse) -> list[str]:
    """Some of the joined ids under which events lie; none only if there are none."""
    ((joined,),) = database.query("SELECT count() FROM identities").result_rows
    parts = _parts(database, joined * _BYTES_PER_ID)
    for part in range(parts):
        sql = _LEAVING.format(part=_part("user_id", part, parts), limit=IDS_AT_ONCE)
        if found := [user for (user,) in database.query(sql, None, _settings(database)).result_rows]:
            return _that_fit(found)
    return []


def _changed(database: TenantWarehouse) -> dict[str, str]:
    """Some of the ids that belong to another person than before, with whom."""
    found = dict(database.query(_CHANGED, {"limit": IDS_AT_ONCE}).result_rows)
    return {user: found[user] for user in _that_fit(list(found))}


def _that_fit(ids: list[str]) -> list[str]:
    """The first of the ids, at least one, as many as can be sent at once."""
    size = 0
    for number, one in enumerate(ids):
        size += len(quote(one)) + len("%27%2C%27")
        if number and size > _BYTES_OF_IDS:
            return ids[:number]
    return ids


def _move_changed(catalog: Catalog, database: TenantWarehouse, lease: Lease, changed: Mapping[str, str]) -> int:
    """Take events back to which another person had a claim before."""
    _run(catalog, database, lease, _STAGE_CHANGED, {"changed": list(changed)})
    moved = _finish(catalog, database, lease)
    with catalog.persons.one_at_a_time(database.slug):
        forget_changes(database, changed)
    return moved


def _stage(
    catalog: Catalog,
    database: TenantWarehouse,
    lease: Lease,
    leaving: str,
    roots: str,
    bound: Mapping[str, object] | None = None,
) -> None:
    """Write down what lies under the leaving ids, a list or a SELECT of them, and where it goes."""
    ((before,),) = database.query(_MOVED_BEFORE.format(leaving=leaving), bound).result_rows
    parts = _parts(database, before * _BYTES_PER_EVENT)
    for part in range(parts):
        statement = _STAGE.format(leaving=leaving, roots=roots, part=_part("event_id", part, parts))
        _run(catalog, database, lease, statement, bound)


def _finish(catalog: Catalog, database: TenantWarehouse, lease: Lease) -> int:
    """Move what is written down in ``moving_events``, and what came in under the leaving ids meanwhile."""
    moved = _written_down(database)
    if not moved:
        return 0
    for _ in range(_ROUNDS):
        _copy_and_take(catalog, database, lease)
        rest = f"SELECT count() FROM events_by_user WHERE user_id IN ({_HOMES})"
        if not database.query(rest).result_rows[0][0]:
            break
        _stage(catalog, database, lease, f"({_HOMES})", _STAGED_ROOTS)
    else:
        raise WarehouseError(f"{database.slug}: events of joined ids come in faster than they can be moved; try again")
    _leave_segments(catalog, database, lease)
    # Before it is forgotten that there was something to move: who goes on after a crash counts again.
    recount_members(catalog, database, lease)
    _run(catalog, database, lease, "TRUNCATE TABLE moving_events")
    return moved


def _copy_and_take(catalog: Catalog, database: TenantWarehouse, lease: Lease) -> None:
    parts = _parts(database, _written_down(database) * _BYTES_PER_EVENT)

    def run(template: str, **words: str) -> None:
        for part in range(parts):
            places = {"part": _part("event_id", part, parts), "part_of_times": _part("occurred_at", part, parts)}
            _run(catalog, database, lease, template.format(**places, **words))

    run(_COPY)
    for statement in (_ARRIVE, _RECORD):
        _run(catalog, database, lease, statement)
    for table in ("events", "events_by_user"):
        run(_TAKE, table=table)
    run(_TAKE_IDENTIFICATIONS)
    run(_TAKE_TIMES)
    _run(catalog, database, lease, _TAKE_USERS)
    run(_TAKE_RECORDS)
    # An insert that was running may have had its user taken away, and not the event.
    wait_for_inserts(database)
    if database.query(f"{_STAYING} LIMIT 1").result_rows:
        for statement in (_RESTORE_TIMES, _RESTORE_USERS):
            _run(catalog, database, lease, statement)


def _written_down(database: TenantWarehouse) -> int:
    ((rows,),) = database.query("SELECT count() FROM moving_events").result_rows
    return int(rows)


def _parts(database: TenantWarehouse, size: int) -> int:
    """In how many parts so many bytes are held in memory: half of a query's is for what is compared with them."""
    return max(1, -(-size // (database.query_memory // 2)))


def _part(column: str, part: int, parts: int) -> str:
    """The condition of being in a part. In the text of the statement: deletions are kept without bound parameters."""
    return f"cityHash64({column}) % {parts} = {part}" if parts > 1 else "true"


def _leave_segments(catalog: Catalog, database: TenantWarehouse, lease: Lease) -> None:
    """Who is no user any more is in no segment, and never was: the history is that of the person."""
    gone = f"{_HOMES} UNION DISTINCT {_VANISHED}"
    held = count_rows(database, gone, MEMBERSHIP_TABLES)
    for table in (table for table, rows in held.items() if rows):
        _run(catalog, database, lease, _LEAVE.format(table=table, users=gone))
    if has_lookup(database):
        _run(catalog, database, lease, _LEAVE_LOOKUP.format(users=gone))


def _run(
    catalog: Catalog,
    database: TenantWarehouse,
    lease: Lease,
    statement: str,
    bound: Mapping[str, object] | None = None,
) -> None:
    """Run a statement, unless the lease is somebody else's by now: it would take away what they have not copied."""
    catalog.renew_lease(lease)
    database.command(statement, bound, _settings(database))


def _stop_orphans(database: TenantWarehouse) -> None:
    """End what a dead process left running: it would write down more between our copying and our taking away."""
    database.command(
        f"KILL QUERY WHERE current_database = {{database:String}} AND Settings['log_comment'] = '{_COMMENT}' SYNC",
        {"database": database.database},
    )


def _settings(database: TenantWarehouse) -> dict[str, object]:
    return {
        **memory_settings(database.query_memory),
        "max_partitions_per_insert_block": 0,
        "join_use_nulls": 0,
        "lightweight_deletes_sync": 1,
        "log_comment": _COMMENT,
    }
