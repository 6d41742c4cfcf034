"""Requests that carried an Idempotency-Key, and their answers. Each method is one transaction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog import tenants
from segops_orchestration.catalog.service_tables import IdempotencyKeyRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import Conflict

KEPT = timedelta(hours=24)
_PRUNE_SECONDS = 600.0
_PRUNED_AT_ONCE = 2000
# What is left over is for the next time.
_PRUNE_ROUNDS = 50


class StillAnswering(Conflict):
    """The first request with this key is still being answered."""


@dataclass(frozen=True)
class Claim:
    """A request's hold on its key.

    Attributes:
        first_seen: when the key was first seen. A retry after a crash has the same.
        first: nobody worked on this key before, so nothing was done under it yet.
        status, response: the answer that was given (its body as JSON text); None: it is this request's to give.
    """

    route: str
    key: str
    first_seen: datetime
    first: bool
    status: int | None = None
    response: str | None = None


class IdempotencyKeys:
    """Requests that carried an Idempotency-Key, and their answers; ``Catalog.service.idempotency``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._pruned_at = 0.0

    def claim(self, tenant: str, route: str, key: str, request_hash: str, lease: timedelta) -> Claim:
        """Take a key, or find the answer that was given under it.

        A claim that is neither answered nor released within ``lease`` can be taken over: its process is gone.

        Raises:
            StillAnswering: another request holds the key.
            Conflict: the key came with another request (``request_hash``).
        """
        self._prune_now_and_then()
        with self._transactions.write() as (session, now):
            tenant_id = tenants.get(session, tenant).id
            row = _locked(session, tenant_id, route, key)
            if row is not None and row.created_at <= now - KEPT:
                session.delete(row)
                session.flush()
                row = None
            if row is None:
                row = _inserted(
                    session,
                    IdempotencyKeyRow(
                        tenant_id=tenant_id,
                        route=route,
                        key=key,
                        request_hash=request_hash,
                        created_at=now,
                        claimed_until=now + lease,
                    ),
                )
                if row is None:
                    return Claim(route, key, now, first=True)
            return _found(row, request_hash, now, lease)

    def answer(self, tenant: str, claim: Claim, status: int, response: str) -> None:
        """Keep the answer; an earlier one stays."""
        with self._transactions.write() as (session, _):
            row = _locked(session, tenants.get(session, tenant).id, claim.route, claim.key)
            if row is not None and row.status is None:
                row.status, row.response = status, response

    def release(self, tenant: str, claim: Claim, *, nothing_done: bool) -> None:
        """Let a retry begin at once. With ``nothing_done`` by anybody's attempt, the key is as good as new."""
        with self._transactions.write() as (session, now):
            row = _locked(session, tenants.get(session, tenant).id, claim.route, claim.key)
            if row is None or row.status is not None:
                return
            if nothing_done and claim.first:
                session.delete(row)
            else:
                row.claimed_until = now

    def prune(self) -> int:
        """Forget keys of more than 24 hours ago; returns how many. A few at a time: others write in between."""
        forgotten = 0
        for _ in range(_PRUNE_ROUNDS):
            done = self._prune_some()
            forgotten += done
            if done < _PRUNED_AT_ONCE:
                break
        return forgotten

    def _prune_some(self) -> int:
        columns = (IdempotencyKeyRow.tenant_id, IdempotencyKeyRow.route, IdempotencyKeyRow.key)
        with self._transactions.write() as (session, now):
            old = select(*columns).where(IdempotencyKeyRow.created_at <= now - KEPT).limit(_PRUNED_AT_ONCE)
            statement = delete(IdempotencyKeyRow).where(tuple_(*columns).in_(old))
            done = session.execute(statement.execution_options(synchronize_session=False))
            return int(getattr(done, "rowcount", 0))

    def _prune_now_and_then(self) -> None:
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS or not self._pruned_at:
            self._pruned_at = time.monotonic()
            self.prune()


def _locked(session: Session, tenant_id: int, route: str, key: str) -> IdempotencyKeyRow | None:
    return session.get(IdempotencyKeyRow, (tenant_id, route, key), with_for_update=True, populate_existing=True)


def _inserted(session: Session, row: IdempotencyKeyRow) -> IdempotencyKeyRow | None:
    """Insert a row; None: done. Else the row that another process inserted meanwhile."""
    identity = (row.tenant_id, row.route, row.key)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return _locked(session, *identity)
    return None


def _found(row: IdempotencyKeyRow, request_hash: str, now: datetime, lease: timedelta) -> Claim:
    if row.request_hash != request_hash:
        raise Conflict("this Idempotency-Key came with another request; a new request needs a new key")
    if row.status is not None:
        return Claim(row.route, row.key, row.created_at, first=False, status=row.status, response=row.response)
    if row.claimed_until > now:
        raise StillAnswering("the first request with this Idempotency-Key is still being answered")
    row.claimed_until = now + lease
    return Claim(row.route, row.key, row.created_at, first=False)
