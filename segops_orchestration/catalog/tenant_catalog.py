"""One tenant's part of the catalogue: the same methods without the tenant, for code that must not choose one."""

from __future__ import annotations

from collections.abc import Sequence

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_catalog import NewApiKey
from segops_orchestration.catalog.people_records import Actor, ApiKey, KeyKind, Role
from segops_orchestration.catalog.records import SaveResult, Segment, SegmentStatus, SegmentVersion, Tenant
from segops_orchestration.dsl.segment_file import SegmentDocument


class TenantCatalog:
    """The catalogue bound to a tenant.

    Attributes:
        tenant: the slug.
        whole: the catalogue unbound, for functions that take it beside a tenant's database and go by that.
    """

    def __init__(self, catalog: Catalog, tenant: str) -> None:
        self.whole = catalog
        self.tenant = tenant

    def record(self) -> Tenant:
        """The tenant itself."""
        return self.whole.get_tenant(self.tenant)

    # Segments

    def save_segments(self, documents: Sequence[SegmentDocument], *, created_by: str | None = None) -> list[SaveResult]:
        """``Catalog.save_segments``."""
        return self.whole.save_segments(self.tenant, documents, created_by=created_by)

    def list_segments(self, include_archived: bool = False) -> list[Segment]:
        """``Catalog.list_segments``."""
        return self.whole.list_segments(self.tenant, include_archived)

    def get_segment(self, segment: int | str) -> Segment:
        """``Catalog.get_segment``."""
        return self.whole.get_segment(self.tenant, segment)

    def archive_segment(self, slug: str) -> Segment:
        """``Catalog.archive_segment``."""
        return self.whole.archive_segment(self.tenant, slug)

    def versions(self, slug: str) -> list[SegmentVersion]:
        """``Catalog.versions``."""
        return self.whole.versions(self.tenant, slug)

    def segment_status(self, include_archived: bool = False) -> list[SegmentStatus]:
        """``Catalog.segment_status``."""
        return self.whole.segment_status(self.tenant, include_archived)

    # API keys

    def create_key(
        self, name: str, kind: KeyKind, role: Role, allowed_origins: Sequence[str], actor: Actor
    ) -> NewApiKey:
        """``PeopleCatalog.create_key``."""
        return self.whole.people.create_key(self.tenant, name, kind, role, allowed_origins, actor)

    def api_keys(self) -> list[ApiKey]:
        """``PeopleCatalog.keys``."""
        return self.whole.people.keys(self.tenant)

    def revoke_key(self, key_id: int, actor: Actor) -> ApiKey:
        """``PeopleCatalog.revoke_key``."""
        return self.whole.people.revoke_key(self.tenant, key_id, actor)
