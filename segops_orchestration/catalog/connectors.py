"""Connectors: which segment goes to which platform. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog import segments, tenants
from segops_orchestration.catalog.connector_records import (
    Connector,
    ConnectorOutcome,
    ConnectorSpec,
    ConnectorStatus,
)
from segops_orchestration.catalog.connector_tables import (
    ConnectorLeaseRow,
    ConnectorRow,
    ConnectorSecretRow,
    HoldRow,
    JobRow,
    SyncRow,
)
from segops_orchestration.catalog.tables import SegmentRow, TenantRow
from segops_orchestration.dsl.models import SLUG
from segops_orchestration.dsl.wording import did_you_mean, found
from segops_orchestration.errors import Conflict, ConnectorBusy, InvalidDocument, NotFound, Problem

MAX_REASON = 2_000


class ChangedMeanwhile(Conflict):
    """A connector is not any more what a change of it was worked out from."""


def create(
    session: Session,
    tenant_slug: str,
    spec: ConnectorSpec,
    now: datetime,
    *,
    status: ConnectorStatus = "active",
    reason: str = "",
) -> Connector:
    """Insert a connector, by default active from now on.

    Raises:
        NotFound, Conflict: no such tenant or segment, or it is archived; the slug is in use.
        InvalidDocument: the slug or a limit of the breaker is not allowed.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    segment = require_free(session, tenant_slug, spec)
    row = ConnectorRow(
        tenant_id=tenant.id,
        segment_id=segment.id,
        slug=spec.slug,
        type=spec.type,
        config=_text(spec.config),
        status=status,
        status_reason=reason,
        hold_share=spec.hold_share,
        hold_users=spec.hold_users,
        when_archived=spec.when_archived,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(_exists(tenant_slug, spec.slug)) from error
    return get(session, tenant_slug, spec.slug)


def require_free(session: Session, tenant_slug: str, spec: ConnectorSpec) -> SegmentRow:
    """Refuse what ``create`` refuses; the segment's row.

    Raises:
        As ``create``.
    """
    tenant = tenants.require_active(tenants.get(session, tenant_slug))
    _check(spec)
    segment, _ = segments.find(session, tenant, spec.segment)
    if segment.status == "archived":
        raise Conflict(f"segment {segment.slug!r} of tenant {tenant_slug!r} is archived; applying its file restores it")
    if _find_row(session, tenant.id, spec.slug) is not None:
        raise Conflict(_exists(tenant_slug, spec.slug))
    return segment


def save(session: Session, tenant_slug: str, spec: ConnectorSpec, now: datetime) -> tuple[Connector, ConnectorOutcome]:
    """Create the connector or bring it to what ``spec`` says.

    Raises:
        As ``create``, and Conflict for another type or segment: the audience that was filled belongs to the old one.
    """
    tenant = tenants.lock_active(session, tenant_slug)
    if _find_row(session, tenant.id, spec.slug) is None:
        return create(session, tenant_slug, spec, now), "created"
    _check(spec)
    before = get(session, tenant_slug, spec.slug)
    for name, old, new in (("type", before.type, spec.type), ("segment", before.segment, spec.segment)):
        if old != new:
            raise Conflict(
                f"connector {spec.slug!r} of tenant {tenant_slug!r} has {name} {old!r}, not {new!r}, and it stays so: "
                "delete the connector, or give the new one another slug"
            )
    if spec_of(before) == spec:
        return before, "unchanged"
    row = lock(session, tenant_slug, spec.slug)
    row.config, row.when_archived = _text(spec.config), spec.when_archived
    row.hold_share, row.hold_users = spec.hold_share, spec.hold_users
    row.updated_at = now
    session.flush()
    return get(session, tenant_slug, spec.slug), "updated"


def require_as_read(session: Session, tenant_slug: str, spec: ConnectorSpec) -> None:
    """Let a change go on only while the connector is what ``spec`` says. Raises NotFound, ChangedMeanwhile."""
    tenants.lock_active(session, tenant_slug)
    if spec_of(get(session, tenant_slug, spec.slug)) != spec:
        raise ChangedMeanwhile(f"connector {spec.slug!r} was changed meanwhile; read it again")


def spec_of(connector: Connector) -> ConnectorSpec:
    """What somebody would ask for to get this connector."""
    return ConnectorSpec(
        slug=connector.slug,
        segment=connector.segment,
        type=connector.type,
        config=connector.config,
        hold_share=connector.hold_share,
        hold_users=connector.hold_users,
        when_archived=connector.when_archived,
    )


def every(session: Session, tenant_slug: str | None, *, segment: str | None = None) -> list[Connector]:
    """Connectors by tenant and slug: of one tenant, or of all active ones.

    Raises:
        NotFound: no such tenant or segment.
    """
    if tenant_slug is None:
        return _load(session, TenantRow.status == "active")
    tenant = tenants.get(session, tenant_slug)
    wanted = [ConnectorRow.tenant_id == tenant.id]
    if segment is not None:
        wanted.append(ConnectorRow.segment_id == segments.find(session, tenant, segment)[0].id)
    return _load(session, *wanted)


def get(session: Session, tenant_slug: str, slug: str) -> Connector:
    """One connector.

    Raises:
        NotFound: no such tenant or connector; names the nearest spelling.
    """
    tenant = tenants.get(session, tenant_slug)
    for connector in _load(session, ConnectorRow.tenant_id == tenant.id, ConnectorRow.slug == slug):
        return connector
    raise _not_found(session, tenant, slug)


def by_id(session: Session, tenant_slug: str, connector_id: int) -> Connector:
    """One connector, by its number.

    Raises:
        NotFound: no such tenant or connector.
    """
    tenant = tenants.get(session, tenant_slug)
    for connector in _load(session, ConnectorRow.tenant_id == tenant.id, ConnectorRow.id == connector_id):
        return connector
    raise NotFound(f"no connector {connector_id} in tenant {tenant_slug!r}")


def lock(session: Session, tenant_slug: str, slug: str) -> ConnectorRow:
    """The connector's row; until the transaction ends no other transaction passes here for the same connector.

    On SQLite the whole database is locked by then. Whoever locks the tenant too does that first.

    Raises:
        NotFound: no such tenant or connector.
    """
    tenant = tenants.get(session, tenant_slug)
    query = select(ConnectorRow).where(ConnectorRow.tenant_id == tenant.id, ConnectorRow.slug == slug)
    row = session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if row is None:
        raise _not_found(session, tenant, slug)
    return row


def set_status(
    session: Session,
    tenant_slug: str,
    slug: str,
    status: ConnectorStatus,
    reason: str,
    only_from: Sequence[ConnectorStatus] | None,
    now: datetime,
) -> Connector:
    """Give the connector a status and say why; nothing happens when it is in none of ``only_from``.

    Raises:
        NotFound: no such tenant or connector.
    """
    row = lock(session, tenant_slug, slug)
    if only_from is None or row.status in only_from:
        put_status(row, status, reason, now)
        session.flush()
    return get(session, tenant_slug, slug)


def put_status(row: ConnectorRow, status: ConnectorStatus, reason: str, now: datetime) -> None:
    """Give a locked row a status and say why."""
    row.status, row.status_reason, row.updated_at = status, reason[:MAX_REASON], now


def remove(session: Session, tenant_slug: str, slug: str, now: datetime) -> Connector:
    """Delete a connector with its secrets, sync log, jobs and holds; the record of what it was.

    Raises:
        NotFound: no such tenant or connector.
        ConnectorBusy: it is being synced.
    """
    row = lock(session, tenant_slug, slug)
    record = get(session, tenant_slug, slug)
    lease = session.get(ConnectorLeaseRow, row.id, with_for_update=True)
    if lease is not None and lease.expires_at > now:
        raise ConnectorBusy(tenant_slug, slug, lease.owner)
    for table in (ConnectorSecretRow, ConnectorLeaseRow, HoldRow, JobRow, SyncRow):
        session.execute(delete(table).where(table.connector_id == row.id))
    session.delete(row)
    return record


def put_secrets(session: Session, connector_id: int, sealed: Mapping[str, str]) -> None:
    """Store these secrets, encrypted, in the place of those of the same names."""
    for name, ciphertext in sealed.items():
        session.merge(ConnectorSecretRow(connector_id=connector_id, name=name, ciphertext=ciphertext))
    session.flush()


def sealed_secrets(session: Session, connector_id: int) -> dict[str, str]:
    """The encrypted secrets of a connector by name."""
    rows = session.execute(
        select(ConnectorSecretRow.name, ConnectorSecretRow.ciphertext)
        .where(ConnectorSecretRow.connector_id == connector_id)
        .order_by(ConnectorSecretRow.name)
    )
    return {name: ciphertext for name, ciphertext in rows}


def _load(session: Session, *wanted: ColumnElement[bool]) -> list[Connector]:
    query = (
        select(ConnectorRow, TenantRow.slug, SegmentRow)
        .join(TenantRow, TenantRow.id == ConnectorRow.tenant_id)
        .join(SegmentRow, and_(SegmentRow.id == ConnectorRow.segment_id))
        .where(*wanted)
        .order_by(TenantRow.slug, ConnectorRow.slug)
    )
    rows = session.execute(query).all()
    names: dict[int, list[str]] = {}
    stored = select(ConnectorSecretRow.connector_id, ConnectorSecretRow.name).order_by(ConnectorSecretRow.name)
    if len(rows) == 1:
        stored = stored.where(ConnectorSecretRow.connector_id == rows[0][0].id)
    for connector_id, name in session.execute(stored) if rows else ():
        names.setdefault(connector_id, []).append(name)
    return [_record(row, tenant, segment, names.get(row.id, [])) for row, tenant, segment in rows]


def _record(row: ConnectorRow, tenant: str, segment: SegmentRow, secrets: Sequence[str]) -> Connector:
    return Connector(
        id=row.id,
        tenant=tenant,
        slug=row.slug,
        segment_id=segment.id,
        segment=segment.slug,
        segment_name=segment.name,
        segment_status=segment.status,
        segment_version=segment.version,
        type=row.type,
        config=json.loads(row.config),
        secrets=tuple(secrets),
        status=row.status,
        status_reason=row.status_reason,
        hold_share=row.hold_share,
        hold_users=row.hold_users,
        when_archived=row.when_archived,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _check(spec: ConnectorSpec) -> None:
    problems = []
    if not SLUG.fullmatch(spec.slug):
        rule = "1 to 63 lower case letters, digits, - and _, the first a letter or digit"
        problems.append(Problem("slug", f"{found(spec.slug)} is not allowed; {rule}"))
    if not 0 <= spec.hold_share <= 1:
        problems.append(
            Problem("hold share", f"found {spec.hold_share}; allowed: a share from 0 to 1, as 0.3 for 30 %")
        )
    if spec.hold_users < 0:
        problems.append(Problem("hold users", f"found {spec.hold_users}; allowed: a number of users, 0 or more"))
    if problems:
        raise InvalidDocument(problems)


def _find_row(session: Session, tenant_id: int, slug: str) -> ConnectorRow | None:
    return session.scalar(select(ConnectorRow).where(ConnectorRow.tenant_id == tenant_id, ConnectorRow.slug == slug))


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def _exists(tenant_slug: str, slug: str) -> str:
    return f"connector {slug!r} of tenant {tenant_slug!r} exists already; segops connectors update changes it"


def _not_found(session: Session, tenant: TenantRow, slug: str) -> NotFound:
    known = session.scalars(
        select(ConnectorRow.slug).where(ConnectorRow.tenant_id == tenant.id).order_by(ConnectorRow.slug)
    ).all()
    hint = did_you_mean(slug, known) if known else "; it has none yet: segops connectors create"
    return NotFound(f"no connector {found(slug)} in tenant {tenant.slug!r}{hint}")
