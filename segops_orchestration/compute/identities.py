"""Which ids are one person's: what was said about them, and which id stands for the person.

Each id has at most one parent, the id it was said to be. An alias joins an id that has none: the first one wins. A
merge gives an id a parent whatever it had before. The id at the end of the way, the root, stands for the person. A way
never leads back to where it began: an id that would lead to itself is made the root instead.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.errors import InvalidDocument, Problem
from segops_orchestration.warehouse.client import TenantWarehouse

LONGEST_USER_ID = 512

Kind = Literal["alias", "merge"]
Outcome = Literal["joined", "already joined", "kept", "moved"]

_COLUMNS = ("user_id", "parent", "root", "changed", "kind", "at", "version")
_ROOT = "SELECT root FROM identities FINAL WHERE user_id = {user_id:String}"
_ROOTS = "SELECT user_id, root FROM identities FINAL WHERE user_id IN {user_ids:Array(String)}"
_ANYBODY = "SELECT 1 FROM identities LIMIT 1"
_REMEMBERED_SECONDS = 2.0
_IDS = "SELECT user_id FROM identities FINAL WHERE root = {root:String} ORDER BY user_id"

# Everybody who is one with one of these ids.
_PERSONS = """SELECT user_id, parent, root, changed, toString(kind), at FROM identities FINAL
WHERE root IN (
  SELECT root FROM identities FINAL WHERE user_id IN {ids:Array(String)}
  UNION ALL SELECT arrayJoin({ids:Array(String)})
)
ORDER BY user_id"""


@dataclass(frozen=True)
class Identity:
    """An id and what it was said to be; ``parent`` is empty for an id that is itself again."""

    user_id: str
    parent: str
    root: str
    changed: bool
    kind: Kind
    at: datetime


@dataclass(frozen=True)
class Joining:
    """What came of an alias or a merge.

    Attributes:
        outcome: ``joined``: the id is the other's from now on. ``already joined``: it was before. ``kept``: it belongs
            to somebody else, and an alias does not change that. ``moved``: it belonged to somebody else until now.
        root: the id that stands for the person to whom the id belongs now.
        before: the one that stood for it before, where that was another's.
    """

    outcome: Outcome
    user_id: str
    root: str
    before: str | None = None


def canonical_id(database: TenantWarehouse, user_id: str) -> str:
    """The id that stands for the person in segments: the id itself, unless it was said to be another's.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    rows = database.query(_ROOT, {"user_id": user_id}).result_rows
    return str(rows[0][0]) if rows else user_id


class CanonicalIds:
    """``canonical_id`` of one tenant, for many questions: that nobody is joined is remembered for a moment."""

    def __init__(self, database: TenantWarehouse) -> None:
        self._database = database
        self._nobody_until = 0.0

    def of(self, user_id: str) -> str:
        """The id that stands for the person.

        Raises:
            WarehouseError: ClickHouse refused or could not be reached.
        """
        return canonical_id(self._database, user_id) if self._anybody() else user_id

    def of_joined(self, user_ids: Collection[str]) -> dict[str, str]:
        """The id that stands for the person, for those of the ids that were said to be another's.

        Raises:
            WarehouseError: ClickHouse refused or could not be reached.
        """
        if not self._anybody():
            return {}
        return dict(self._database.query(_ROOTS, {"user_ids": list(user_ids)}).result_rows)

    def _anybody(self) -> bool:
        now = time.monotonic()
        if now < self._nobody_until:
            return False
        if self._database.query(_ANYBODY).result_rows:
            return True
        self._nobody_until = now + _REMEMBERED_SECONDS
        return False


def ids_of_person(database: TenantWarehouse, user_id: str) -> list[str]:
    """All ids of the person who has this one, the one that stands for them first."""
    root = canonical_id(database, user_id)
    return [root, *(one for (one,) in database.query(_IDS, {"root": root}).result_rows if one != root)]


def identities_of(database: TenantWarehouse, user_id: str) -> list[Identity]:
    """What was said about the ids of the person who has this one, by id."""
    root = canonical_id(database, user_id)
    return sorted((one for one in _persons(database, [root]).values() if one.parent), key=lambda one: one.user_id)


def alias(catalog: Catalog, database: TenantWarehouse, anonymous_id: str, user_id: str) -> Joining:
    """Say that ``anonymous_id`` is the user ``user_id``. An id that belongs to somebody stays theirs: the first wins.

    Raises:
        InvalidDocument: an id is no user id, or both are the same.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    _check({"anonymous_id": anonymous_id, "user_id": user_id})
    with catalog.persons.one_at_a_time(database.slug):
        persons = _persons(database, [anonymous_id, user_id])
        mine, theirs = _root(persons, anonymous_id), _root(persons, user_id)
        if mine == theirs:
            return Joining("already joined", anonymous_id, mine)
        if mine != anonymous_id:
            return Joining("kept", anonymous_id, mine, before=mine)
        return _join(database, persons, anonymous_id, user_id, "alias")


def merge(catalog: Catalog, database: TenantWarehouse, from_user_id: str, into_user_id: str) -> Joining:
    """Say that ``from_user_id`` is ``into_user_id``, whatever was said of it before. Ids joined to it come along.

    Raises:
        InvalidDocument: an id is no user id, or both are the same.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    _check({"from_user_id": from_user_id, "into_user_id": into_user_id})
    with catalog.persons.one_at_a_time(database.slug):
        persons = _persons(database, [from_user_id, into_user_id])
        mine = _root(persons, from_user_id)
        if mine == _root(persons, into_user_id) and from_user_id not in _way(persons, into_user_id):
            return Joining("already joined", from_user_id, mine)
        return _join(database, persons, from_user_id, into_user_id, "merge")


def _join(database: TenantWarehouse, persons: Mapping[str, Identity], child: str, parent: str, kind: Kind) -> Joining:
    """Give an id a parent, and all whose way leads elsewhere now their new root."""
    now = datetime.now(UTC)
    before = _root(persons, child)
    after = dict(persons)
    if child in _way(persons, parent):
        # The parent was a part of the child: now it stands for itself, and the child is a part of it.
        after[parent] = Identity(parent, "", parent, True, kind, now)
    known = after.get(child)
    after[child] = Identity(child, parent, "", known is not None and known.changed, kind, now)
    for one in after:
        root = _way(after, one)[-1]
        moved_on = persons[one].changed or persons[one].root != root if one in persons else False
        after[one] = replace(after[one], root=root, changed=moved_on)
    _write(database, (one for one in after.values() if one != persons.get(one.user_id)))
    root = _root(after, child)
    # Whoever looks for tenants with something to do sees an arrival; it is nobody else's than the root's.
    database.command(
        "INSERT INTO arrivals (ingested_at, user_id) SELECT now64(3, 'UTC'), {root:String}", {"root": root}
    )
    moved = before not in (child, root)
    return Joining("moved" if moved else "joined", child, root, before if moved else None)


def _persons(database: TenantWarehouse, ids: list[str]) -> dict[str, Identity]:
    rows = database.query(_PERSONS, {"ids": ids}).result_rows
    return {row[0]: Identity(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows}


def _root(persons: Mapping[str, Identity], user_id: str) -> str:
    return persons[user_id].root if user_id in persons else user_id


def _way(persons: Mapping[str, Identity], user_id: str) -> list[str]:
    """From an id to its root, both included."""
    way = [user_id]
    while way[-1] in persons and persons[way[-1]].parent:
        way.append(persons[way[-1]].parent)
    return way


def forget_changes(database: TenantWarehouse, processed: Mapping[str, str]) -> None:
    """Note that the events of these ids lie under these roots; an id whose root is another by now stays as it is.

    The caller keeps out who else changes identities.
    """
    persons = _persons(database, list(processed))
    _write(
        database,
        (
            replace(one, changed=False)
            for one in persons.values()
            if one.changed and processed.get(one.user_id) == one.root
        ),
    )


def _write(database: TenantWarehouse, identities: Iterable[Identity]) -> None:
    # A clock may step back, or be another host's: the last word is the one that was written last.
    ((last,),) = database.query("SELECT max(version) FROM identities").result_rows
    version = max(time.time_ns(), int(last) + 1)
    rows = [
        [one.user_id, one.parent, one.root, int(one.changed), one.kind, instant_text(one.at), version]
        for one in identities
    ]
    if rows:
        body = "\n".join(map(json.dumps, rows)).encode()
        database.insert_bytes("identities", [body], "JSONCompactEachRow", _COLUMNS)


def _check(ids: Mapping[str, str]) -> None:
    problems = []
    for name, value in ids.items():
        if not 1 <= len(value) <= LONGEST_USER_ID:
            problems.append(Problem(name, f"a user id is 1 to {LONGEST_USER_ID} characters; this has {len(value):,}"))
        elif any("\ud800" <= char <= "\udfff" for char in value):
            problems.append(Problem(name, "it has half of a character: a lone surrogate"))
        elif "\0" in value:
            problems.append(Problem(name, "a user id has no NUL character"))
    if not problems and len(set(ids.values())) == 1:
        problems.append(Problem(list(ids)[-1], "both are the same id"))
    if problems:
        raise InvalidDocument(problems)
