"""Changes of single segments by callers of the service: by id, each noted in the audit log in its own transaction."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import audit, segments, tenants
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.records import Segment, SegmentVersion
from segops_orchestration.catalog.tables import SegmentRow, SegmentVersionRow, TenantRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import canonical_json, parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

_LONGEST_SLUG = 63
# Before definitions in the catalogue's messages; callers know the field, not the file.
_SOURCE = "segment"


@dataclass(frozen=True)
class SegmentEdit:
    """What is to become of a segment. None leaves a field as it is."""

    slug: str | None = None
    name: str | None = None
    description: str | None = None
    definition: Definition | None = None
    active: bool | None = None


def slug_from(name: str) -> str:
    """A slug that resembles a name: ``Big spenders (DE)`` as ``big-spenders-de``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_SLUG].rstrip("-") or "segment"


class SegmentEdits:
    """Segments as callers change them; ``Catalog.service.segments``.

    Any method raises ``NotFound`` for a tenant or segment that does not exist and ``Conflict`` for an archived tenant.
    Edits of one tenant happen one after the other, and each changes only the fields that it names.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def create(
        self, tenant: str, document: SegmentDocument, actor: Actor, *, free_slug: bool = False, active: bool = True
    ) -> Segment:
        """Save a new segment.

        Args:
            free_slug: a slug that is taken gets a number behind it; else it is refused.

        Raises:
            InvalidDocument: what is wrong, by field.
            Conflict: the slug is taken.
        """
        with self._transactions.write() as (session, now), _by_field():
            row = tenants.lock_active(session, tenant)
            document = document.model_copy(update={"slug": _free(session, row, document.slug, free_slug)})
            saved = _save(session, row, document, actor, now)
            if not active:
                saved = segments.archive(session, tenant, saved.slug, now)
            _note(session, row, actor, "segment.create", saved, now)
            return saved

    def change(self, tenant: str, segment_id: int, edit: SegmentEdit, actor: Actor) -> Segment:
        """Change fields of a segment; a changed definition is a new version.

        Raises:
            InvalidDocument: what is wrong, by field.
            Conflict: it cannot be archived, others refer to it.
        """
        with self._transactions.write() as (session, now), _by_field():
            row = tenants.lock_active(session, tenant)
            found, text = segments.find(session, row, segment_id)
            if edit.slug not in (None, found.slug):
                raise InvalidDocument([Problem("slug", f"a segment keeps its slug; this one's is {found.slug!r}")])
            document = _edited(found, text, edit)
            was_active, active = found.status == "active", edit.active
            if was_active or active:
                changed = _save(session, row, document, actor, now)
            else:
                changed = _edit_archived(session, row, found, document, text, actor, now)
            if active is False and was_active:
                changed = segments.archive(session, tenant, found.slug, now)
            _note(session, row, actor, _action(was_active, changed), changed, now)
            return changed

    def archive(self, tenant: str, segment_id: int, actor: Actor) -> Segment:
        """Take a segment out of use. Raises Conflict naming the active segments that refer to it."""
        return self.change(tenant, segment_id, SegmentEdit(active=False), actor)

    def restore_version(self, tenant: str, segment_id: int, version: int, actor: Actor) -> Segment:
        """Make an earlier definition the current one, as a new version; an archived segment stays archived.

        Raises:
            NotFound: no such version.
            InvalidDocument: it refers to segments that are gone.
        """
        with self._transactions.write() as (session, now), _by_field():
            row = tenants.lock_active(session, tenant)
            found, text = segments.find(session, row, segment_id)
            wanted = session.get(SegmentVersionRow, (found.id, version))
            if wanted is None:
                raise NotFound(f"segment {found.id} has no version {version}; it has 1 to {found.version}")
            document = _edited(found, text, SegmentEdit(definition=parse_definition(json.loads(wanted.definition))))
            if found.status == "active":
                changed = _save(session, row, document, actor, now)
            else:
                changed = _edit_archived(session, row, found, document, text, actor, now)
            _note(session, row, actor, "segment.restore_version", changed, now, {"restored": version})
            return changed

    def versions(self, tenant: str, segment_id: int, *, before: int | None, limit: int) -> list[SegmentVersion]:
        """The newest versions first; with ``before``, those older than it."""
        with self._transactions.read() as session:
            found, _ = segments.find(session, tenants.get(session, tenant), segment_id)
            query = select(SegmentVersionRow).where(SegmentVersionRow.segment_id == found.id)
            if before is not None:
                query = query.where(SegmentVersionRow.version < before)
            rows = session.scalars(query.order_by(SegmentVersionRow.version.desc()).limit(limit))
            return [
                SegmentVersion(one.segment_id, one.version, json.loads(one.definition), one.created_at, one.created_by)
                for one in rows
            ]


@contextmanager
def _by_field() -> Iterator[None]:
    """Problems by field of the segment, without the name of a file before them."""
    try:
        yield
    except InvalidDocument as error:
        raise InvalidDocument(
            [replace(problem, path=problem.path.removeprefix(f"{_SOURCE}: ")) for problem in error.problems]
        ) from None


def _free(session: Session, tenant: TenantRow, slug: str, numbered: bool) -> str:
    query = select(SegmentRow.slug).where(SegmentRow.tenant_id == tenant.id)
    if not numbered:
        if session.scalar(query.where(SegmentRow.slug == slug)) is not None:
            raise Conflict(f"a segment with the slug {slug!r} exists already, or is archived")
        return slug
    taken = set(session.scalars(query))
    number = 1
    free = slug
    while free in taken:
        number += 1
        ending = f"-{number}"
        free = slug[: _LONGEST_SLUG - len(ending)] + ending
    return free


def _save(session: Session, tenant: TenantRow, document: SegmentDocument, actor: Actor, now: datetime) -> Segment:
    sources = {document.slug: _SOURCE}
    (result,) = segments.save(session, tenant.slug, [document], sources, now, created_by=actor.name)
    return result.segment


def _edited(row: SegmentRow, text: str, edit: SegmentEdit) -> SegmentDocument:
    return SegmentDocument(
        slug=row.slug,
        name=row.name if edit.name is None else edit.name,
        description=row.description if edit.description is None else edit.description,
        definition=edit.definition or parse_definition(json.loads(text)),
    )


def _edit_archived(
    session: Session,
    tenant: TenantRow,
    row: SegmentRow,
    document: SegmentDocument,
    text: str,
    actor: Actor,
    now: datetime,
) -> Segment:
    """What it refers to is checked when it comes back into use."""
    row.name, row.description, row.updated_at = document.name, document.description, now
    definition = canonical_json(document.definition)
    if definition != text:
        segments.add_version(session, row, definition, now, actor.name)
    session.flush()
    return segments.get(session, tenant.slug, row.id)


def _action(was_active: bool, changed: Segment) -> str:
    if was_active == (changed.status == "active"):
        return "segment.update"
    return "segment.archive" if was_active else "segment.restore"


def _note(
    session: Session,
    tenant: TenantRow,
    actor: Actor,
    action: str,
    segment: Segment,
    now: datetime,
    details: dict[str, object] | None = None,
) -> None:
    said = {"version": segment.version, **(details or {})}
    audit.note(session, tenant.id, actor, action, f"{segment.id} ({segment.slug})", now, said)
