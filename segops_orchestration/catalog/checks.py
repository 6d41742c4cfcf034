"""What the catalogue has to say to membership checks, in one small transaction for many of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from segops_orchestration.catalog import api_keys
from segops_orchestration.catalog.tables import SegmentRow, TenantRow
from segops_orchestration.catalog.transactions import Transactions


@dataclass(frozen=True)
class NamedSegment:
    """What a membership check tells of a segment."""

    id: int
    name: str
    slug: str
    computed: bool


@dataclass(frozen=True)
class CheckState:
    """One tenant at one moment.

    Attributes:
        working_keys: which of the keys that were asked for work: not revoked, their tenant active.
        segments: the active ones among those that were asked for, by slug.
    """

    working_keys: frozenset[int]
    segments: tuple[NamedSegment, ...]


class Checks:
    """What is asked before a membership check is answered; ``Catalog.service.checks``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def state(self, tenant: str, keys: Collection[int], segment_ids: Collection[int]) -> CheckState:
        """How things stand now."""
        with self._transactions.read() as session:
            working = api_keys.working(session, tenant, keys) if keys else frozenset()
            if not segment_ids:
                return CheckState(working, ())
            rows = session.execute(
                select(SegmentRow.id, SegmentRow.name, SegmentRow.slug, SegmentRow.committed_id)
                .join(TenantRow, TenantRow.id == SegmentRow.tenant_id)
                .where(TenantRow.slug == tenant, SegmentRow.status == "active", SegmentRow.id.in_(sorted(segment_ids)))
                .order_by(SegmentRow.slug)
            )
            named = (NamedSegment(one, name, slug, committed is not None) for one, name, slug, committed in rows)
            return CheckState(working, tuple(named))
