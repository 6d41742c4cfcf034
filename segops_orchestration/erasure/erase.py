"""``erase()``: a person is deleted from a tenant, exactly and everywhere.

The order, and why whoever dies between two lines leaves nothing that the next call does not finish:

1. The request, with all ids of the person, is written down. It is the only place that knows them until the end.
2. With the tenant's lease in hand: how many rows there are is written down, then they are deleted: events, memberships,
   recorded changes, identities. From here on the person is in no segment, so no sync adds them again.
3. Each platform that was told of them is told to remove them. What it was told is forgotten once it has acknowledged.
4. Exported files are written anew; the catalogue forgets where it quotes an id.
5. The certificate is written, then the request is dropped.

Each step can be repeated, and finds nothing the second time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segops_orchestration.activation.erasing import (
    ACTIVATION_TABLES,
    ConnectorErasure,
    erase_at,
    forget_everywhere,
)
from segops_orchestration.activation.session import Clock, utc_now
from segops_orchestration.activation.work import Patience
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.holding import LEASE_SECONDS
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.persons import ERASED, without_ids
from segops_orchestration.catalog.records import Lease
from segops_orchestration.compute.identities import ids_of_person
from segops_orchestration.compute.lease import HeldLease
from segops_orchestration.compute.lookup import TABLE as LOOKUP
from segops_orchestration.compute.moving import move_joined_events
from segops_orchestration.compute.recovery import recover
from segops_orchestration.compute.takeout import (
    EVENT_TABLES,
    MEMBERSHIP_TABLES,
    clear_scratch,
    has_lookup,
    purge_masked,
    recount_members,
    take_out,
)
from segops_orchestration.dsl.wording import did_you_mean
from segops_orchestration.erasure import requests
from segops_orchestration.erasure.files import erase_files
from segops_orchestration.erasure.requests import Certificate, Request
from segops_orchestration.errors import NotFound
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

_USER_TABLES = (*EVENT_TABLES, "arrivals", *MEMBERSHIP_TABLES)
# In which columns else an id can stand.
_OTHER_COLUMNS = {"identities": ("user_id", "parent", "root"), "moved_events": ("user_id", "original_user_id")}
_GIVEN = "SELECT arrayJoin({ids:Array(String)}) AS user_id"

# A dead letter says what was wrong with a field and quotes it: those that quote an id as a word of its own are deleted.
_QUOTES = """arrayExists(
  one -> match(concat(' ', {text}, ' '), concat('[^0-9A-Za-z_]', regexpQuoteMeta(one), '[^0-9A-Za-z_]')),
  (SELECT groupArray(user_id) FROM ({{users}}))
)"""
_LETTER = _QUOTES.format(text="concat(value, ' ', reason)")
# What a platform said of a sync that failed may name a user; the sync itself is a figure that stays.
_ERROR = _QUOTES.format(text="error")

_SIMILAR = """SELECT DISTINCT user_id FROM users
WHERE length(user_id) BETWEEN {length:UInt64} - 3 AND {length:UInt64} + 3
ORDER BY editDistance(user_id, {user_id:String}), user_id LIMIT 20"""


@dataclass(frozen=True)
class Surroundings:
    """What an erasure needs beside the stores.

    Attributes:
        exports: the folders in which the tenant's exported files lie.
        wait_seconds: how long to wait while a computation of the tenant runs.
        leave_at: connectors whose acknowledgement is not waited for.
    """

    exports: Sequence[Path] = ()
    wait_seconds: float = 60.0
    lease_seconds: float = LEASE_SECONDS
    leave_at: Collection[str] = ()
    patience: Patience | None = None
    clock: Clock = utc_now


def find(database: TenantWarehouse, user_id: str) -> tuple[list[str], dict[str, int]]:
    """All ids of the person, and how many rows each table holds of them; nothing is changed."""
    ids = ids_of_person(database, user_id)
    return ids, _count(database, _GIVEN, {"ids": ids})


def begin(database: TenantWarehouse, user_id: str, by: str, *, force: bool = False) -> Request:
    """Write down that a person is to be erased; a request that waits for the same person is taken up again.

    Raises:
        NotFound: nothing is known of the user, and ``force`` does not say that this does not matter.
    """
    for waiting in requests.pending(database):
        if user_id in requests.ids_of(database, waiting):
            return waiting
    ids, rows = find(database, user_id)
    if not rows and not force:
        raise NotFound(
            f"nothing is known of the user {user_id!r} in tenant {database.slug!r}{_similar(database, user_id)}"
        )
    return requests.begin(database, user_id, ids, by)


def finish(catalog: Catalog, warehouse: Warehouse, tenant: str, request: Request, around: Surroundings) -> Certificate:
    """Do what a request asks for, or what is left of it. Unless ``finished_at`` is set, a connector is waited for.

    Raises:
        TenantBusy: the tenant is being computed, still after the wait.
        WarehouseError: ClickHouse refused or could not be reached. The next call goes on from there.
    """
    database = warehouse.tenant(tenant)
    certificate = requests.certificate(database, request)
    if certificate.finished_at is not None:
        return requests.finish(database, certificate)
    with HeldLease(catalog, tenant, None, around.lease_seconds, around.wait_seconds) as held:
        recover(catalog, database, held.lease)
        # What is on its way from one id to another must not arrive later.
        move_joined_events(catalog, database, held.lease)
        request, certificate = _empty_tables(catalog, database, held.lease, request, certificate)
    ids = requests.ids_of(database, request)
    answers = [
        erase_at(
            catalog,
            warehouse,
            one,
            request.users,
            leave=one.slug in around.leave_at,
            patience=around.patience,
            clock=around.clock,
        )
        for one in catalog.connectors.every(tenant)
    ]
    # A platform may name the user in what it says, and the certificate is kept.
    connectors = [replace(one, why=without_ids(one.why, ids)) for one in answers]
    folders = [erase_files(catalog, database, folder, frozenset(ids)) for folder in around.exports]
    files = [file for found in folders for file in found]
    certificate = replace(
        certificate,
        connectors=_both(certificate.connectors, connectors),
        files=[*certificate.files, *(one for one in files if one not in certificate.files)],
    )
    requests.save(database, certificate)
    if certificate.waiting:
        return certificate
    forget_everywhere(database, request.users)
    _forget_errors(database, request.users)
    rows = sum(certificate.rows.values())
    catalog.persons.forget(tenant, ids, request.id, Actor("operator", request.requested_by), rows)
    return requests.finish(database, certificate)


def _empty_tables(
    catalog: Catalog, database: TenantWarehouse, lease: Lease, request: Request, certificate: Certificate
) -> tuple[Request, Certificate]:
    """Delete the person's rows. Ids that were joined to the person meanwhile go along."""
    certificate = _counted(database, request, certificate)
    clear_scratch(database)
    while True:
        tables = [*_USER_TABLES, LOOKUP] if has_lookup(database) else _USER_TABLES
        take_out(database, request.users, tables)
        with catalog.persons.one_at_a_time(database.slug):
            known = requests.ids_of(database, request)
            joined = [one for one in ids_of_person(database, request.user_id) if one not in known]
            if not joined:
                _delete_identities(database, request.users)
                break
            requests.add_ids(database, request.id, request.user_id, joined, request.requested_at, request.requested_by)
        request = replace(request, ids=request.ids + len(joined))
        certificate = _counted(database, request, certificate)
    purge_masked(database)
    _delete_where(database, "dead_letters", _LETTER.format(users=request.users))
    recount_members(catalog, database, lease)
    return request, certificate


def _counted(database: TenantWarehouse, request: Request, certificate: Certificate) -> Certificate:
    """Write down how many rows there are before they are deleted. Who goes on after a crash finds fewer, not more."""
    # What was told to platforms grows while they are told to remove it.
    found = _count(database, request.users, also=() if certificate.rows else ACTIVATION_TABLES)
    rows = {table: max(found.get(table, 0), certificate.rows.get(table, 0)) for table in {*found, *certificate.rows}}
    counted = replace(certificate, ids=request.ids, rows=dict(sorted(rows.items())))
    requests.save(database, counted)
    return counted


def _count(
    database: TenantWarehouse,
    users: str,
    bound: Mapping[str, object] | None = None,
    also: Sequence[str] = ACTIVATION_TABLES,
) -> dict[str, int]:
    """How many rows speak of these users, by table, for tables with any."""
    tables = [*_USER_TABLES, *also, *([LOOKUP] if has_lookup(database) else [])]
    conditions = {table: f"user_id IN ({users})" for table in tables}
    conditions |= {table: _any_of(columns, users) for table, columns in _OTHER_COLUMNS.items()}
    conditions["dead_letters"] = _LETTER.format(users=users)
    selects = [f"SELECT '{table}', count() FROM {table} WHERE {where}" for table, where in conditions.items()]
    rows = database.query("\nUNION ALL\n".join(selects), bound).result_rows
    return {table: int(count) for table, count in rows if count}


def _any_of(columns: Sequence[str], users: str) -> str:
    return " OR ".join(f"{column} IN ({users})" for column in columns)


def _delete_identities(database: TenantWarehouse, users: str) -> None:
    for table, columns in _OTHER_COLUMNS.items():
        _delete_where(database, table, _any_of(columns, users))


def _delete_where(database: TenantWarehouse, table: str, where: str) -> None:
    if database.query(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1").result_rows:
        database.command(f"ALTER TABLE {table} DELETE WHERE {where}", None, {"mutations_sync": 1})


def _forget_errors(database: TenantWarehouse, users: str) -> None:
    where = _ERROR.format(users=users)
    if database.query(f"SELECT 1 FROM activation_runs WHERE {where} LIMIT 1").result_rows:
        sql = f"ALTER TABLE activation_runs UPDATE error = '{ERASED}' WHERE {where}"
        database.command(sql, None, {"mutations_sync": 1})


def _both(earlier: Sequence[ConnectorErasure], now: Sequence[ConnectorErasure]) -> list[ConnectorErasure]:
    """What is known after another try: who has acknowledged the removal is not asked again."""
    before = {one.connector: one for one in earlier}
    after = {one.connector: before.get(one.connector, one) if one.answer == "never sent" else one for one in now}
    return list({**{name: one for name, one in before.items() if one.settled}, **after}.values())


def _similar(database: TenantWarehouse, user_id: str) -> str:
    parameters = {"user_id": user_id, "length": len(user_id.encode())}
    return did_you_mean(user_id, [user for (user,) in database.query(_SIMILAR, parameters).result_rows])
