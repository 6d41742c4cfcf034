"""Membership checks by the names that people use, of segments that have been computed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute.lookup import MembershipLookup
from segops_orchestration.errors import Conflict
from segops_orchestration.warehouse.client import TenantWarehouse


@dataclass(frozen=True)
class Checked:
    """A user and a segment. ``computed_at`` is when the user entered it, None when the user is not in it."""

    user_id: str
    segment: str
    computed_at: datetime | None


@dataclass(frozen=True)
class UserSegments:
    """The active segments that a user is in, by slug.

    Attributes:
        never_computed: active segments of which nobody knows who is in them.
    """

    user_id: str
    segments: tuple[Checked, ...]
    never_computed: tuple[str, ...]


def check_segment(catalog: Catalog, warehouse: TenantWarehouse, segment: str, user_id: str) -> Checked:
    """Whether the user is in the segment, archived or not, by its last committed computation.

    Raises:
        NotFound: no such tenant or segment.
        Conflict: the segment was never computed.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    tenant = warehouse.slug
    found = catalog.get_segment(tenant, segment)
    if found.id not in catalog.committed_state(tenant):
        raise Conflict(
            f"segment {segment} of {tenant} was never computed, so nobody knows who is in it; "
            f"compute it first: segops compute {tenant} {segment}"
        )
    return Checked(user_id, segment, MembershipLookup(warehouse).entered_at(found.id, user_id))


def user_segments(catalog: Catalog, warehouse: TenantWarehouse, user_id: str) -> UserSegments:
    """All active segments that the user is in.

    Raises:
        NotFound: no such tenant.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    active = catalog.list_segments(warehouse.slug)
    committed = catalog.committed_state(warehouse.slug)
    entered = MembershipLookup(warehouse).segments_of(user_id)
    return UserSegments(
        user_id,
        tuple(
            Checked(user_id, one.slug, entered[one.id]) for one in active if one.id in entered and one.id in committed
        ),
        tuple(one.slug for one in active if one.id not in committed),
    )
