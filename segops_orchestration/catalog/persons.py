"""What the catalogue does about the persons in a tenant's data: it holds nothing of them that it need not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from segops_orchestration.catalog import audit, leases, tenants
from segops_orchestration.catalog.connector_tables import ConnectorRow, HoldRow, SyncRow
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.people_tables import AuditEntryRow
from segops_orchestration.catalog.records import Lease
from segops_orchestration.catalog.service_tables import ComputeRequestRow, IdempotencyKeyRow, SegmentExportRow
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow, SegmentRow, TenantRow
from segops_orchestration.catalog.transactions import Transactions

ERASED = "(erased)"
_ERASE = "user.erase"


class PersonsCatalog:
    """The door: each method is one transaction."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @contextmanager
    def one_at_a_time(self, tenant: str) -> Iterator[None]:
        """Keep out whoever else changes the tenant's identities, in any process. For a few queries, not for long.

        Raises:
            NotFound: no such tenant.
        """
        with self._transactions.write() as (session, _):
            tenants.get(session, tenant)
            session.execute(select(TenantRow.id).where(TenantRow.slug == tenant).with_for_update(key_share=True))
            yield

    def recount_members(self, tenant: str, members: Mapping[int, int], *, lease: Lease) -> None:
        """Correct how many members the last computation of each segment left; those not named have none.

        Connectors of a segment that is corrected are delivered anew: no computation tells that anybody has left it.

        Raises:
            NotFound: no such tenant.
            LeaseLost: the lease is somebody else's.
        """
        with self._transactions.write() as (session, now):
            leases.require(session, lease)
            rows = session.execute(
                select(SegmentRow.id, SegmentComputationRow)
                .join(SegmentComputationRow, SegmentComputationRow.id == SegmentRow.committed_id)
                .where(SegmentRow.tenant_id == tenants.get(session, tenant).id)
            )
            corrected = []
            for segment_id, row in rows:
                if row.members != members.get(segment_id, 0):
                    row.members = members.get(segment_id, 0)
                    corrected.append(segment_id)
            for segment_id in corrected:
                session.execute(
                    update(ConnectorRow).where(ConnectorRow.segment_id == segment_id).values(updated_at=now)
                )

    def forget(self, tenant: str, user_ids: Sequence[str], erasure_id: str, actor: Actor, rows: int) -> None:
        """Take these ids out of held differences and out of what was said of errors, and write the audit entry once.

        Raises:
            NotFound: no such tenant.
        """
        with self._transactions.write() as (session, now):
            tenant_id = tenants.get(session, tenant).id
            _forget_samples(session, tenant_id, frozenset(user_ids))
            words = _words(user_ids)
            for column, condition in _texts(tenant_id):
                _replace(session, column, condition, words)
            noted = select(AuditEntryRow.id).where(AuditEntryRow.action == _ERASE, AuditEntryRow.target == erasure_id)
            if session.scalar(noted.limit(1)) is None:
                audit.note(session, tenant_id, actor, _ERASE, erasure_id, now, {"rows": rows})


def _texts(tenant_id: int) -> list[tuple[InstrumentedAttribute[Any], Any]]:
    """The columns in which somebody else's words, or ours of a fault, may have named a user."""
    connectors = select(ConnectorRow.id).where(ConnectorRow.tenant_id == tenant_id)
    return [
        (ConnectorRow.status_reason, ConnectorRow.tenant_id == tenant_id),
        (SyncRow.error, SyncRow.connector_id.in_(connectors)),
        (HoldRow.cause, HoldRow.connector_id.in_(connectors)),
        (ComputationRow.error, ComputationRow.tenant_id == tenant_id),
        (IdempotencyKeyRow.response, IdempotencyKeyRow.tenant_id == tenant_id),
        (SegmentExportRow.error, SegmentExportRow.tenant_id == tenant_id),
        (ComputeRequestRow.error, ComputeRequestRow.tenant_id == tenant_id),
    ]


def _replace(session: Session, column: InstrumentedAttribute[Any], condition: Any, words: re.Pattern[str]) -> None:
    entity = column.class_
    for row in session.scalars(select(entity).where(condition, column.is_not(None)).execution_options(yield_per=500)):
        text = getattr(row, column.key)
        replaced = words.sub(ERASED, text)
        if replaced != text:
            setattr(row, column.key, replaced)


def _words(user_ids: Sequence[str]) -> re.Pattern[str]:
    """The ids where they stand for themselves, not as a part of a longer word; also as JSON spells them."""
    spelled = {
        form for one in user_ids for form in (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1])
    }
    longest_first = sorted(spelled, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def without_ids(text: str, user_ids: Sequence[str]) -> str:
    """A text in which nobody finds these ids any more."""
    return _words(user_ids).sub(ERASED, text)


def _forget_samples(session: Session, tenant_id: int, user_ids: frozenset[str]) -> None:
    """Held differences show some of their users: ``{"add": [...], ...}``."""
    connectors = select(ConnectorRow.id).where(ConnectorRow.tenant_id == tenant_id)
    for row in session.scalars(select(HoldRow).where(HoldRow.connector_id.in_(connectors))):
        sample = json.loads(row.sample)
        kept = {name: [one for one in users if one not in user_ids] for name, users in sample.items()}
        if kept != sample:
            row.sample = json.dumps(kept, ensure_ascii=False)
