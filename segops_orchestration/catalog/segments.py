"""Segments and their versions. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import references, tenants
from segops_orchestration.catalog.records import Outcome, SaveResult, Segment, SegmentChange, SegmentVersion
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
    *,
    prune: bool = False,
    created_by: str | None = None,
) -> list[SaveResult]:
    """Create or version segments; results in the order of ``documents``.

    ``created_by`` goes into each version that this makes. With ``prune``, active segments that no document speaks of
    are archived; their results follow by slug.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        InvalidDocument: a slug that is not allowed or given twice, a reference to no active segment, a
            cycle. The caller's transaction must then roll back.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    names = _names(documents, sources)
    _refuse(_slug_problems(documents, names))
    stored: _Stored = {row.slug: (row, definition) for row, definition in _load(session, tenant.id)}
    leaving = _leaving(documents, stored) if prune else []
    outcomes: dict[str, Outcome] = {
        document.slug: _save_one(session, tenant, document, stored, now, created_by) for document in documents
    }
    _refuse(references.problems(tenant_slug, _nodes(documents, stored, names, leaving)))
    for slug in leaving:
        _archive_row(session, stored[slug][0], now)
        outcomes[slug] = "archived"
    return [SaveResult(record(*stored[slug], tenant_slug), outcome) for slug, outcome in outcomes.items()]


def plan(
    session: Session,
    tenant_slug: str,
    documents: Sequence[SegmentDocument],
    sources: Mapping[str, str] | None,
    *,
    prune: bool,
) -> list[SegmentChange]:
    """What ``save`` would do, refusals included: the documents in their order, then all other active segments by slug.

    Raises:
        As ``save``.
    """
    tenant = tenants.require_active(tenants.get(session, tenant_slug))
    names = _names(documents, sources)
    _refuse(_slug_problems(documents, names))
    stored: _Stored = {row.slug: (row, definition) for row, definition in _load(session, tenant.id)}
    leaving = _leaving(documents, stored) if prune else []
    _refuse(references.problems(tenant_slug, _nodes(documents, stored, names, leaving)))
    records = {slug: record(*found, tenant_slug) for slug, found in stored.items()}
    changes = [
        SegmentChange(one.slug, _outcome(one, stored.get(one.slug)), records.get(one.slug), one) for one in documents
    ]
    given = {document.slug for document in documents}
    return changes + [
        SegmentChange(slug, "archived" if slug in leaving else "unchanged", record, None)
        for slug, record in records.items()
        if slug not in given and record.status == "active"
    ]


def every(session: Session, tenant_slug: str, *, include_archived: bool) -> list[Segment]:
    """A tenant's segments by slug.

    Raises:
        NotFound: no such tenant.
    """
    tenant = tenants.get(session, tenant_slug)
    return [
        record(row, definition, tenant_slug)
        for row, definition in _load(session, tenant.id)
        if include_archived or row.status == "active"
    ]


def get(session: Session, tenant_slug: str, segment: int | str) -> Segment:
    """One segment, archived or not, by id (an integer) or slug (a text).

    Raises:
        NotFound: no such tenant or segment; names the nearest spelling.
    """
    tenant = tenants.get(session, tenant_slug)
    return record(*find(session, tenant, segment), tenant_slug)


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
        _archive_row(session, row, now)
    return record(row, definition, tenant_slug)


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
        SegmentVersion(
            found.segment_id, found.version, json.loads(found.definition), found.created_at, found.created_by
        )
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


def _outcome(document: SegmentDocument, stored: tuple[SegmentRow, str] | None) -> Outcome:
    """What saving the document does."""
    if stored is None:
        return "created"
    row, text = stored
    if row.status == "archived":
        return "restored"
    if canonical_json(document.definition) != text:
        return "versioned"
    return "unchanged" if (row.name, row.description) == (document.name, document.description) else "updated"


def _save_one(
    session: Session,
    tenant: TenantRow,
    document: SegmentDocument,
    stored: _Stored,
    now: datetime,
    created_by: str | None,
) -> Outcome:
    outcome = _outcome(document, stored.get(document.slug))
    if outcome == "unchanged":
        return outcome
    text = canonical_json(document.definition)
    if outcome == "created":
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
    else:
        row, _ = stored[document.slug]
        row.name, row.description, row.status, row.updated_at = document.name, document.description, "active", now
    if outcome != "updated":
        add_version(session, row, text, now, created_by)
    stored[document.slug] = row, text
    return outcome


def _leaving(documents: Sequence[SegmentDocument], stored: _Stored) -> list[str]:
    """Active segments that no document speaks of."""
    given = {document.slug for document in documents}
    return [slug for slug, (row, _) in stored.items() if row.status == "active" and slug not in given]


def _archive_row(session: Session, row: SegmentRow, now: datetime) -> None:
    row.status = "archived"
    row.updated_at = now
    session.flush()


def add_version(session: Session, row: SegmentRow, text: str, now: datetime, created_by: str | None) -> None:
    """Make ``text``, canonical JSON, the row's next and current version."""
    row.version += 1
    version = SegmentVersionRow(
        segment_id=row.id, version=row.version, definition=text, created_at=now, created_by=created_by
    )
    session.add(version)


def _names(documents: Sequence[SegmentDocument], sources: Mapping[str, str] | None) -> dict[str, str]:
    """How problems name each document, by slug."""
    return {document.slug: f"slug {document.slug}" for document in documents} | dict(sources or {})


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


def _nodes(
    documents: Sequence[SegmentDocument], stored: _Stored, names: Mapping[str, str], leaving: Sequence[str] = ()
) -> list[references.Node]:
    """All segments of the tenant as they would be, the documents first in their order."""
    changed = {document.slug: document.definition for document in documents}
    order = [*changed, *(slug for slug in stored if slug not in changed)]
    nodes = []
    for slug in order:
        row, text = stored.get(slug, (None, ""))
        nodes.append(
            references.Node(
                # A segment that is yet to be created has no id that anybody could refer to.
                id=row.id if row is not None else 0,
                slug=slug,
                active=slug in changed or (row is not None and row.status == "active" and slug not in leaving),
                source=names.get(slug, f"slug {slug}"),
                definition=text,
                changed=changed.get(slug),
                leaving=slug in leaving,
            )
        )
    return nodes


def record(row: SegmentRow, definition: str, tenant_slug: str) -> Segment:
    """The row with its current definition's text, as a frozen record."""
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
