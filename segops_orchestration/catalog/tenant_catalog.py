"""One tenant's part of the catalogue: the same methods without the tenant, for code that must not choose one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.compute_requests import SegmentRun
from segops_orchestration.catalog.connector_records import Connector, ConnectorSpec, ConnectorStatus, Hold, Sync
from segops_orchestration.catalog.event_schemas import EventSchema, PropertySchema
from segops_orchestration.catalog.people_catalog import Added, NewApiKey
from segops_orchestration.catalog.people_records import Actor, ApiKey, AuditEntry, KeyKind, Role, TeamMember
from segops_orchestration.catalog.records import (
    CommittedChange,
    CommittedSegment,
    SaveResult,
    Segment,
    SegmentStatus,
    SegmentVersion,
    Tenant,
)
from segops_orchestration.catalog.segment_edits import SegmentEdit
from segops_orchestration.catalog.segment_views import SegmentView
from segops_orchestration.catalog.sync_summary import SyncSummary
from segops_orchestration.catalog.trends import Trend
from segops_orchestration.catalog.webhook_records import Endpoint, EndpointStatus
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.errors import NotFound


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

    def segment_runs(
        self, segment_id: int, *, run_id: str | None, offset: int, limit: int
    ) -> tuple[list[SegmentRun], int]:
        """``ComputeRequests.runs``."""
        requests = self.whole.service.computations
        return requests.runs(self.tenant, segment_id, run_id=run_id, offset=offset, limit=limit)

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

    # Team and audit log

    def team(self) -> list[TeamMember]:
        """``PeopleCatalog.team``."""
        return self.whole.people.team(self.tenant)

    def add_member(self, email: str, name: str, role: Role, actor: Actor, *, by: int | None) -> Added:
        """``PeopleCatalog.add_member``."""
        return self.whole.people.add_member(self.tenant, email, name, role, actor, by=by)

    def change_role(self, member_id: int, role: Role, actor: Actor, *, by: int | None) -> TeamMember:
        """``PeopleCatalog.change_role``."""
        return self.whole.people.change_role(self.tenant, member_id, role, actor, by=by)

    def remove_member(self, member_id: int, actor: Actor, *, by: int | None) -> TeamMember:
        """``PeopleCatalog.remove_member``."""
        return self.whole.people.remove_member(self.tenant, member_id, actor, by=by)

    def transfer_ownership(self, member_id: int, actor: Actor, *, by: int | None) -> TeamMember:
        """``PeopleCatalog.transfer_ownership``."""
        return self.whole.people.transfer_ownership(self.tenant, member_id, actor, by=by)

    def audit_page(self, offset: int, limit: int) -> tuple[list[AuditEntry], int]:
        """``PeopleCatalog.audit_page``."""
        return self.whole.people.audit_page(self.tenant, offset, limit)

    def committed_state(self) -> dict[int, CommittedSegment]:
        """``Catalog.committed_state``."""
        return self.whole.committed_state(self.tenant)

    def member_trends(self, segment_ids: Sequence[int], days: int) -> Mapping[int, Trend]:
        """``Catalog.member_trends``."""
        return self.whole.member_trends(self.tenant, segment_ids, days)

    # Connectors

    def connectors(self) -> list[Connector]:
        """``ConnectorCatalog.every``."""
        return self.whole.connectors.every(self.tenant)

    def connector(self, connector_id: int) -> Connector:
        """``ConnectorCatalog.by_id``."""
        return self.whole.connectors.by_id(self.tenant, connector_id)

    def create_connector(
        self, spec: ConnectorSpec, secrets: Mapping[str, str], actor: Actor, *, status: ConnectorStatus, reason: str
    ) -> Connector:
        """``ConnectorCatalog.create``."""
        return self.whole.connectors.create(self.tenant, spec, secrets, status=status, reason=reason, actor=actor)

    def pause_connector(self, slug: str, actor: Actor) -> Connector:
        """``ConnectorCatalog.pause``."""
        return self.whole.connectors.pause(self.tenant, slug, f"stopped by {actor.name}", actor=actor)

    def resume_connector(self, slug: str, actor: Actor) -> Connector:
        """``ConnectorCatalog.resume``."""
        return self.whole.connectors.resume(self.tenant, slug, actor=actor)

    def approve_hold(self, slug: str, actor: Actor, *, adds_only: bool) -> Hold:
        """``ConnectorCatalog.approve_hold``."""
        return self.whole.connectors.approve_hold(self.tenant, slug, adds_only=adds_only, by=actor.name, actor=actor)

    def connector_holder(self, slug: str) -> str | None:
        """Who syncs the connector at this moment."""
        lease = self.whole.connectors.lease_holder(self.tenant, slug)
        return None if lease is None else lease.run_id or lease.owner

    def sync_summaries(self, newest: int) -> dict[int, SyncSummary]:
        """``ConnectorCatalog.sync_summaries``."""
        return self.whole.connectors.sync_summaries(self.tenant, newest)

    def syncs_of(self, connector: Connector, limit: int, offset: int) -> tuple[int, list[Sync]]:
        """How many syncs a connector of this tenant has had, and some of them, the newest first."""
        if connector.tenant != self.tenant:
            raise NotFound(f"no connector {connector.id} in tenant {self.tenant!r}")
        return self.whole.connectors.count_syncs(connector), self.whole.connectors.syncs_of(connector, limit, offset)

    # Event schemas

    def event_schemas(self, offset: int, limit: int) -> tuple[list[EventSchema], int]:
        """``EventSchemas.page``."""
        return self.whole.service.event_schemas.page(self.tenant, offset, limit)

    def event_schema(self, schema_id: int) -> EventSchema:
        """``EventSchemas.get``."""
        return self.whole.service.event_schemas.get(self.tenant, schema_id)

    def event_schema_of(self, event_type: str) -> EventSchema | None:
        """``EventSchemas.of_type``."""
        return self.whole.service.event_schemas.of_type(self.tenant, event_type)

    def create_event_schema(
        self, event_type: str, description: str, properties: Sequence[PropertySchema], actor: Actor
    ) -> EventSchema:
        """``EventSchemas.create``."""
        return self.whole.service.event_schemas.create(self.tenant, event_type, description, properties, actor)

    def change_event_schema(
        self,
        schema_id: int,
        actor: Actor,
        *,
        event_type: str | None = None,
        description: str | None = None,
        properties: Sequence[PropertySchema] | None = None,
    ) -> EventSchema:
        """``EventSchemas.change``."""
        return self.whole.service.event_schemas.change(
            self.tenant, schema_id, actor, event_type=event_type, description=description, properties=properties
        )

    def delete_event_schema(self, schema_id: int, actor: Actor) -> None:
        """``EventSchemas.delete``."""
        self.whole.service.event_schemas.delete(self.tenant, schema_id, actor)

    # Webhooks

    def webhooks(self) -> list[Endpoint]:
        """``WebhookCatalog.every``."""
        return self.whole.webhooks.every(self.tenant)

    def webhook(self, endpoint_id: int) -> Endpoint:
        """``WebhookCatalog.get``."""
        return self.whole.webhooks.get(self.tenant, endpoint_id)

    def create_webhook(self, url: str, secret: str, event_types: Sequence[str], actor: Actor) -> Endpoint:
        """``WebhookCatalog.create``."""
        return self.whole.webhooks.create(self.tenant, url, secret, event_types, actor=actor)

    def change_webhook(
        self,
        endpoint_id: int,
        actor: Actor,
        *,
        url: str | None,
        secret: str | None,
        event_types: Sequence[str] | None,
        status: EndpointStatus | None,
    ) -> Endpoint:
        """``WebhookCatalog.change``."""
        return self.whole.webhooks.change(
            self.tenant, endpoint_id, url=url, secret=secret, event_types=event_types, status=status, actor=actor
        )

    def delete_webhook(self, endpoint_id: int, actor: Actor) -> Endpoint:
        """``WebhookCatalog.delete``."""
        return self.whole.webhooks.delete(self.tenant, endpoint_id, actor=actor)
