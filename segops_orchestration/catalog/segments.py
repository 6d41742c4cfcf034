"""Segments and their versions. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import references, tenants
from segops_orchestration.catalog.records import Outcome, SaveResult, Segment, SegmentVersion
from segops_orchestration.catalog.tables import SegmentRow, SegmentVersionRow, TenantRow
from segops_orchestration.dsl.models import SLUG
from segops_orchestration.dsl.parse import canonical_json
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.dsl.wording import did_you_mean, found
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

_Stored = dict[str, tuple[SegmentRow, str]]


def save(
    session: Session,
    tenant_slug: str,
    documents: Sequence[SegmentDocument],
    sources: Mapping[str, str] | None,
    now: datetime,
) -> list[SaveResult]:
    """Create or version segments; results in the order of ``documents``.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        InvalidDocument: a slug that is not allowed or given twice, a reference to no active segment, a
            cycle. The caller's transaction must then roll back.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    names = {document.slug: f"slug {document.slug}" for document in documents} | dict(sources or {})
    _refuse(_slug_problems(documents, names))
    stored: _Stored = {row.slug: (row, definition) for row, definition in _load(session, tenant.id)}
    outcomes = [_save_one(session, tenant, document, stored, now) for document in documents]
    _refuse(references.problems(tenant_slug, _nodes(documents, stored, names)))
    return [
        SaveResult(_record(*stored[document.slug], tenant_slug), outcome)
        for document, outcome in zip(documents, outcomes, strict=True)
    ]


def every(session: Session, tenant_slug: str, *, include_archived: bool) -> list[Segment]:
    """A tenant's segments by slug.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    return [
        _record(row, definition, tenant_slug)
        for row, definition in _load(session, tenant.id)
        if include_archived or row.status == "active"
    ]


def get(session: Session, tenant_slug: str, segment: int | str) -> Segment:
    """One segment, archived or not, by id (an integer) or slug (a text).

    Raises:
        NotFound: no such tenant or segment; names the nearest spelling.
    """
    tenant = tenants.get(session, tenant_slug)
    return _record(*find(session, tenant, segment), tenant_slug)


def archive(session: Session, tenant_slug: str, slug: str, now: datetime) -> Segment:
    """Take a segment out of use; its versions and ledger stay.

    Raises:
        NotFound: no such tenant or segment.
        Conflict: the tenant is archived, or active segments refer to this one; names them.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    row, definition = find(session, tenant, slug)
    stored: _Stored = {other.slug: (other, text) for other, text in _load(session, tenant.id)}
    users = references.users_of(slug, _nodes([], stored, {}))
    if row.status == "active" and users:
        raise Conflict(f"segment {slug!r} of tenant {tenant_slug!r} is used by {', '.join(users)}: change them first")
    if row.status == "active":
        row.status = "archived"
        row.updated_at = now
        session.flush()
    return _record(row, definition, tenant_slug)


def versions(session: Session, tenant_slug: str, slug: str) -> list[SegmentVersion]:
    """Every version of a segment, oldest first.

    Raises:
        NotFound: no such tenant or segment.
    """
    row, _ = find(session, tenants.get(session, tenant_slug), slug)
    rows = session.scalars(
        select(SegmentVersionRow).where(SegmentVersionRow.segment_id == row.id).order_by(SegmentVersionRow.version)
    )
    return [
        SegmentVersion(found.segment_id, found.version, json.loads(found.definition), found.created_at)
        for found in rows
    ]


def find(session: Session, tenant: TenantRow, segment: int | str) -> tuple[SegmentRow, str]:
    """A segment's row and its current definition, by id or slug.

    Raises:
        NotFound: no such segment; names the nearest spelling.
    """
    wanted = SegmentRow.id == segment if isinstance(segment, int) else SegmentRow.slug == segment
    for row, definition in _load(session, tenant.id, wanted):
        return row, definition
    known = session.scalars(
        select(SegmentRow.slug)
        .where(SegmentRow.tenant_id == tenant.id, SegmentRow.status == "active")
        .order_by(SegmentRow.slug)
    ).all()
    hint = did_you_mean(segment, known) if known else "; it has none yet"
    raise NotFound(f"no segment {found(segment)} in tenant {tenant.slug!r}{hint}")


def _load(session: Session, tenant_id: int, *wanted: ColumnElement[bool]) -> list[tuple[SegmentRow, str]]:
    """Rows with their current definition's text, by slug."""
    current = and_(SegmentVersionRow.segment_id == SegmentRow.id, SegmentVersionRow.version == SegmentRow.version)
    query = (
        select(SegmentRow, SegmentVersionRow.definition)
        .join(SegmentVersionRow, current)
        .where(SegmentRow.tenant_id == tenant_id, *wanted)
        .order_by(SegmentRow.slug)
    )
    return [(row, definition) for row, definition in session.execute(query)]


def _save_one(
    session: Session, tenant: TenantRow, document: SegmentDocument, stored: _Stored, now: datetime
) -> Outcome:
    text = canonical_json(document.definition)
    if document.slug not in stored:
        row = SegmentRow(
            tenant_id=tenant.id,
            slug=document.slug,
            name=document.name,
            description=document.description,
            segment_type="rule",
            status="active",
            version=0,
            created_at=now,
            updated_at=now,
        )
        session.add(row)
        session.flush()
        _add_version(session, row, text, now)
        stored[document.slug] = row, text
        return "created"
    row, old_text = stored[document.slug]
    new_version = text != old_text or row.status == "archived"
    renamed = (row.name, row.description) != (document.name, document.description)
    if not new_version and not renamed:
        return "unchanged"
    row.name, row.description, row.status, row.updated_at = document.name, document.description, "active", now
    if new_version:
        _add_version(session, row, text, now)
        stored[document.slug] = row, text
    return "versioned" if new_version else "updated"


def _add_version(session: Session, row: SegmentRow, text: str, now: datetime) -> None:
    row.version += 1
    session.add(SegmentVersionRow(segment_id=row.id, version=row.version, definition=text, created_at=now))


def _slug_problems(documents: Sequence[SegmentDocument], names: Mapping[str, str]) -> list[Problem]:
    rule = "1 to 63 characters: lower-case letters and digits, then hyphens and underscores too"
    result = []
    seen: set[str] = set()
    for document in documents:
        if not SLUG.fullmatch(document.slug):
            result.append(Problem(f"{names[document.slug]}: slug", f"{found(document.slug)} is not allowed; {rule}"))
        if document.slug in seen:
            result.append(Problem(f"{names[document.slug]}: slug", "given twice in one call"))
        seen.add(document.slug)
    return result


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise InvalidDocument(problems)


def _nodes(documents: Sequence[SegmentDocument], stored: _Stored, names: Mapping[str, str]) -> list[references.Node]:
    """All segments of the tenant, the documents first in their order."""
    changed = {document.slug: document.definition for document in documents}
    order = [*changed, *(slug for slug in stored if slug not in changed)]
    return [
        references.Node(
            id=row.id,
            slug=slug,
            active=row.status == "active",
            source=names.get(slug, f"slug {slug}"),
            definition=text,
            changed=changed.get(slug),
        )
        for slug in order
        for row, text in [stored[slug]]
    ]


def _record(row: SegmentRow, definition: str, tenant_slug: str) -> Segment:
    return Segment(
        id=row.id,
        tenant=tenant_slug,
        slug=row.slug,
        name=row.name,
        description=row.description,
        segment_type=row.segment_type,
        status=row.status,
        version=row.version,
        definition=json.loads(definition),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
