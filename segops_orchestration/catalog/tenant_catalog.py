"""One tenant's part of the catalogue: the same methods without the tenant, for code that must not choose one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_catalog import NewApiKey
from segops_orchestration.catalog.people_records import Actor, ApiKey, KeyKind, Role
from segops_orchestration.catalog.records import (
    CommittedChange,
    SaveResult,
    Segment,
    SegmentStatus,
    SegmentVersion,
    Tenant,
)
from segops_orchestration.catalog.segment_edits import SegmentEdit
from segops_orchestration.catalog.segment_views import NamedSegment, SegmentView
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

    # Segments as callers of the service change and see them

    def create_segment(
        self, document: SegmentDocument, actor: Actor, *, free_slug: bool = False, active: bool = True
    ) -> Segment:
        """``SegmentEdits.create``."""
        return self.whole.service.segments.create(self.tenant, document, actor, free_slug=free_slug, active=active)

    def change_segment(self, segment_id: int, edit: SegmentEdit, actor: Actor) -> Segment:
        """``SegmentEdits.change``."""
        return self.whole.service.segments.change(self.tenant, segment_id, edit, actor)

    def restore_segment_version(self, segment_id: int, version: int, actor: Actor) -> Segment:
        """``SegmentEdits.restore_version``."""
        return self.whole.service.segments.restore_version(self.tenant, segment_id, version, actor)

    def segment_versions(self, segment_id: int, *, before: int | None, limit: int) -> list[SegmentVersion]:
        """``SegmentEdits.versions``."""
        return self.whole.service.segments.versions(self.tenant, segment_id, before=before, limit=limit)

    def segment_view(self, segment_id: int) -> SegmentView:
        """``SegmentViews.one``."""
        return self.whole.service.segment_views.one(self.tenant, segment_id)

    def segment_views(self, *, active: bool | None, offset: int, limit: int) -> tuple[list[SegmentView], int]:
        """``SegmentViews.page``."""
        return self.whole.service.segment_views.page(self.tenant, active=active, offset=offset, limit=limit)

    def segment_changes(
        self, segment_id: int, *, since: datetime | None, offset: int, limit: int
    ) -> tuple[list[CommittedChange], int]:
        """``SegmentViews.changes``."""
        views = self.whole.service.segment_views
        return views.changes(self.tenant, segment_id, since=since, offset=offset, limit=limit)

    def named_segments(self, segment_ids: Sequence[int]) -> list[NamedSegment]:
        """``SegmentViews.named``."""
        return self.whole.service.segment_views.named(self.tenant, segment_ids)

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
