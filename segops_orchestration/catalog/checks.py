"""What the catalogue has to say to membership checks.

``state`` is asked for every group of them. Its statements are made once, without the object mapper, which took four
times as long as they do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Table, bindparam, func, select

from segops_orchestration.catalog import leases, tenants
from segops_orchestration.catalog.people_tables import ApiKeyRow
from segops_orchestration.catalog.tables import ComputationRow, SegmentComputationRow, SegmentRow, TenantRow
from segops_orchestration.catalog.transactions import Transactions


def _table(row: type) -> Table:
    table: Table = row.__table__  # type: ignore[attr-defined]
    return table


_TENANTS, _KEYS = _table(TenantRow).c, _table(ApiKeyRow).c
_SEGMENTS, _PARTS = _table(SegmentRow).c, _table(SegmentComputationRow).c

_WORKING_KEY = select(_KEYS.id).where(
    _KEYS.tenant_id == _TENANTS.id,
    _TENANTS.slug == bindparam("tenant"),
    _TENANTS.status == "active",
    _KEYS.id == bindparam("key"),
    _KEYS.revoked_at.is_(None),
)
_ACTIVE_SEGMENTS = (
    select(_SEGMENTS.id, _SEGMENTS.name, _SEGMENTS.slug, _PARTS.computation_id, _PARTS.members)
    .join(_table(TenantRow), _TENANTS.id == _SEGMENTS.tenant_id)
    .outerjoin(_table(SegmentComputationRow), _PARTS.id == _SEGMENTS.committed_id)
    .where(_TENANTS.slug == bindparam("tenant"), _SEGMENTS.status == "active")
    .order_by(_SEGMENTS.slug)
)


@dataclass(frozen=True)
class CheckedSegment:
    """What membership checks have to know of a segment.

    Attributes:
        computation_id: the computation that its members come from; None if it was never computed.
        members: how many there are. Fewer than before with the same computation: some were joined to others or erased.
    """

    id: int
    name: str
    slug: str
    computation_id: int | None
    members: int


@dataclass(frozen=True)
class CheckState:
    """One tenant at one moment.

    Attributes:
        working_keys: which of the keys that were asked for work: not revoked, their tenant active.
        segments: the active ones, by slug.
    """

    working_keys: frozenset[int]
    segments: tuple[CheckedSegment, ...]


class Checks:
    """What is asked before membership checks are answered; ``Catalog.service.checks``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def state(self, tenant: str, keys: Collection[int]) -> CheckState:
        """How things stand now."""
        with self._transactions.read() as session:
            connection = session.connection()
            working = [
                found for key in keys for found in connection.scalars(_WORKING_KEY, {"tenant": tenant, "key": key})
            ]
            rows = connection.execute(_ACTIVE_SEGMENTS, {"tenant": tenant})
            segments = tuple(CheckedSegment(*row[:4], members=row[4] or 0) for row in rows)
            return CheckState(frozenset(working), segments)

    def is_quiet(self, tenant: str) -> bool:
        """Whether nobody is changing memberships, or has died while doing so. Raises NotFound."""
        with self._transactions.read() as session:
            row = tenants.get(session, tenant)
            running = select(func.count()).where(ComputationRow.tenant_id == row.id, ComputationRow.status == "running")
            return leases.holder(session, tenant, self._transactions.now(session)) is None and not session.scalar(
                running
            )

    def computations_since(self, since: Mapping[int, int]) -> dict[int, list[int]]:
        """The committed computations of each segment after the given one."""
        part = SegmentComputationRow
        found: dict[int, list[int]] = {segment: [] for segment in since}
        with self._transactions.read() as session:
            rows = session.execute(
                select(part.segment_id, part.computation_id)
                .where(
                    part.segment_id.in_(sorted(since)),
                    part.computation_id > min(since.values(), default=0),
                    part.status == "committed",
                )
                .order_by(part.computation_id)
            )
            for segment, computation in rows:
                if computation > since[segment]:
                    found[segment].append(computation)
        return found
