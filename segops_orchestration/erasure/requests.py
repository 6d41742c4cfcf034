"""Erasure requests: whom they are about, kept until they are finished, and their certificates, kept for good.

A request is written down before anything is deleted, so whoever dies on the way leaves something to go on from.
Nothing of it says whose data it was once it is finished.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from segops_orchestration.activation.erasing import ConnectorErasure
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.errors import NotFound
from segops_orchestration.warehouse.client import TenantWarehouse

_ID = re.compile(r"er_[0-9a-f]{24}")

_PENDING = """SELECT erasure_id, any(requested_at), any(requested_by), anyIf(user_id, is_asked_for), count()
FROM erasing GROUP BY erasure_id ORDER BY min(requested_at), erasure_id"""

_DOCUMENTS = """SELECT erasure_id, requested_at, finished_at, document FROM erasures FINAL
ORDER BY requested_at DESC, erasure_id LIMIT {limit:UInt64}"""


@dataclass(frozen=True)
class Request:
    """Somebody's wish that a person be erased. ``ids`` is under how many ids the person is known."""

    id: str
    requested_at: datetime
    requested_by: str
    user_id: str
    ids: int

    @property
    def users(self) -> str:
        """A SELECT of the person's ids that names none of them."""
        return users_of(self.id)


@dataclass(frozen=True)
class ErasedFile:
    """An exported file that held the person: ``rewritten`` without them, or ``deleted``."""

    path: str
    what: str


@dataclass(frozen=True)
class Certificate:
    """What an erasure removed.

    Attributes:
        finished_at: None while something is left to be done.
        ids: under how many ids the person was known.
        rows: how many rows each table held of them, for tables that held any.
        connectors: what each platform answered.
        files: exported files that held them.
    """

    id: str
    tenant: str
    requested_at: datetime
    requested_by: str
    finished_at: datetime | None = None
    ids: int = 1
    rows: Mapping[str, int] = field(default_factory=dict)
    connectors: Sequence[ConnectorErasure] = ()
    files: Sequence[ErasedFile] = ()

    @property
    def waiting(self) -> list[ConnectorErasure]:
        """The connectors for which it is not finished."""
        return [one for one in self.connectors if not one.settled]

    def document(self) -> dict[str, Any]:
        """As JSON says it; instants are left to the encoder."""
        return asdict(self)


def users_of(erasure_id: str) -> str:
    """A SELECT of the ids that an unfinished erasure is about."""
    _require_id(erasure_id)
    return f"SELECT user_id FROM erasing WHERE erasure_id = '{erasure_id}'"


def begin(database: TenantWarehouse, user_id: str, ids: Sequence[str], by: str) -> Request:
    """Write a request down, as one block: all of it is there or nothing."""
    erasure_id, now = f"er_{secrets.token_hex(12)}", datetime.now(UTC)
    add_ids(database, erasure_id, user_id, ids, now, by)
    return Request(erasure_id, _milliseconds(now), by, user_id, len(ids))


def add_ids(
    database: TenantWarehouse, erasure_id: str, user_id: str, ids: Sequence[str], requested_at: datetime, by: str
) -> None:
    """Have an erasure be about these ids, too."""
    rows = "\n".join(json.dumps([erasure_id, one, int(one == user_id), instant_text(requested_at), by]) for one in ids)
    columns = ("erasure_id", "user_id", "is_asked_for", "requested_at", "requested_by")
    database.insert_bytes("erasing", [rows.encode("utf-8", "surrogatepass")], "JSONCompactEachRow", columns)


def pending(database: TenantWarehouse) -> list[Request]:
    """Unfinished requests, the oldest first."""
    rows = database.query(_PENDING).result_rows
    return [Request(id_, requested_at, by, user_id, int(ids)) for id_, requested_at, by, user_id, ids in rows]


def ids_of(database: TenantWarehouse, request: Request) -> list[str]:
    """The person's ids, in a fixed order."""
    return [
        user for (user,) in database.query(f"SELECT DISTINCT user_id FROM ({request.users}) ORDER BY 1").result_rows
    ]


def certificates(database: TenantWarehouse, limit: int = 50) -> list[Certificate]:
    """What erasures have come to, the newest first; those that have begun to delete, also when they are unfinished."""
    rows = database.query(_DOCUMENTS, {"limit": limit}).result_rows
    return [_read(database.slug, *row) for row in rows]


def certificate(database: TenantWarehouse, request: Request) -> Certificate:
    """What is written down so far of a request."""
    sql = "SELECT erasure_id, requested_at, finished_at, document FROM erasures FINAL WHERE erasure_id = {id:String}"
    rows = database.query(sql, {"id": request.id}).result_rows
    if rows:
        return _read(database.slug, *rows[0])
    return Certificate(request.id, database.slug, request.requested_at, request.requested_by)


def save(database: TenantWarehouse, certificate: Certificate) -> None:
    """Write a certificate; the newest of an erasure counts."""
    document = {
        "requested_by": certificate.requested_by,
        "ids": certificate.ids,
        "rows": dict(certificate.rows),
        "connectors": [
            {**asdict(one), "retry_at": instant_text(one.retry_at) if one.retry_at else None}
            for one in certificate.connectors
        ],
        "files": [asdict(one) for one in certificate.files],
    }
    finished_at = instant_text(certificate.finished_at) if certificate.finished_at else None
    row = [certificate.id, instant_text(certificate.requested_at), finished_at, json.dumps(document), time.time_ns()]
    columns = ("erasure_id", "requested_at", "finished_at", "document", "version")
    database.insert_bytes("erasures", [json.dumps(row).encode()], "JSONCompactEachRow", columns)


def finish(database: TenantWarehouse, certificate: Certificate) -> Certificate:
    """Write the certificate, then forget whose it was."""
    done = certificate
    if done.finished_at is None:
        done = replace(done, finished_at=_milliseconds(datetime.now(UTC)))
        save(database, done)
    _require_id(done.id)
    database.command(f"ALTER TABLE erasing DROP PARTITION '{done.id}'")
    return done


def _require_id(erasure_id: str) -> None:
    """It becomes a part of SQL."""
    if not _ID.fullmatch(erasure_id):
        raise NotFound(f"no erasure {erasure_id!r}; segops erase TENANT lists them")


def _read(tenant: str, erasure_id: str, requested_at: datetime, finished_at: datetime | None, text: str) -> Certificate:
    document = json.loads(text)
    connectors = [
        ConnectorErasure(one["connector"], one["type"], one["answer"], one["why"], _instant(one["retry_at"]))
        for one in document["connectors"]
    ]
    return Certificate(
        erasure_id,
        tenant,
        requested_at,
        document["requested_by"],
        finished_at,
        document["ids"],
        document["rows"],
        connectors,
        [ErasedFile(**one) for one in document["files"]],
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def _milliseconds(value: datetime) -> datetime:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)
