"""People and their place in tenants. Every function works inside its caller's transaction."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_records import Person, PersonStatus, Role, TeamMember
from segops_orchestration.catalog.people_tables import PersonRow, TeamMemberRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.dsl.wording import found
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

# One @ with something on both sides: whether mail arrives is for the mail to say.
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


def normal_email(email: str) -> str:
    """An address as it is stored: trimmed, lower case.

    Raises:
        InvalidDocument: it is no address.
    """
    normal = email.strip().lower()
    if not _EMAIL.fullmatch(normal):
        raise InvalidDocument([Problem("email", f"{found(email)} is not an email address, as in ada@example.com")])
    return normal


def create(session: Session, email: str, name: str, password_hash: str | None, now: datetime) -> PersonRow:
    """Insert a person.

    Raises:
        InvalidDocument: the address is none.
        Conflict: somebody has it already.
    """
    address = normal_email(email)
    if session.scalar(select(PersonRow.id).where(PersonRow.email == address)) is not None:
        raise _exists(address)
    row = PersonRow(email=address, name=name or address, password_hash=password_hash, status="active", created_at=now)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise _exists(address) from error
    return row


def by_email(session: Session, email: str) -> PersonRow:
    """The person with an address.

    Raises:
        InvalidDocument: the address is none.
        NotFound: nobody has it.
    """
    address = normal_email(email)
    row = session.scalar(select(PersonRow).where(PersonRow.email == address))
    if row is None:
        raise NotFound(f"no person with the email {found(address)}")
    return row


def by_id(session: Session, person_id: int) -> PersonRow:
    """The person with an id.

    Raises:
        NotFound: there is none.
    """
    row = session.get(PersonRow, person_id)
    if row is None:
        raise NotFound(f"no person {person_id}")
    return row


def every(session: Session) -> list[Person]:
    """Everybody, by email."""
    return [record(row) for row in session.scalars(select(PersonRow).order_by(PersonRow.email))]


def set_status(session: Session, row: PersonRow, status: PersonStatus) -> Person:
    """Lock a person out, or let them in again."""
    row.status = status
    session.flush()
    return record(row)


def teams_of(session: Session, person_id: int) -> list[TeamMember]:
    """The active tenants that a person is in, by slug."""
    query = _members().where(TeamMemberRow.person_id == person_id, TenantRow.status == "active")
    return [member_record(*row) for row in session.execute(query.order_by(TenantRow.slug))]


def team(session: Session, tenant_id: int) -> list[TeamMember]:
    """Everybody in a tenant, by email."""
    query = _members().where(TeamMemberRow.tenant_id == tenant_id)
    return [member_record(*row) for row in session.execute(query.order_by(PersonRow.email))]


def team_member(session: Session, tenant_id: int, member_id: int) -> TeamMemberRow:
    """One membership of this tenant, by its id.

    Raises:
        NotFound: this tenant has none such.
    """
    row = session.get(TeamMemberRow, member_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"no team member {member_id}")
    return row


def join(session: Session, tenant: TenantRow, person: PersonRow, role: Role, now: datetime) -> TeamMember:
    """Put a person into a tenant.

    Raises:
        Conflict: they are in it already, or it has an owner and ``role`` is owner.
    """
    row = TeamMemberRow(tenant_id=tenant.id, person_id=person.id, role=role, created_at=now)
    present = session.scalars(select(TeamMemberRow).where(TeamMemberRow.tenant_id == tenant.id)).all()
    if any(member.person_id == person.id for member in present):
        raise Conflict(f"{person.email} is in the team of tenant {tenant.slug!r} already")
    if role == "owner" and any(member.role == "owner" for member in present):
        raise Conflict(f"tenant {tenant.slug!r} has an owner already; ownership can be transferred")
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"the team of tenant {tenant.slug!r} was changed at the same moment; try again") from error
    return member_record(row, person, tenant.slug)


def record(row: PersonRow) -> Person:
    """The row as a frozen record, without the password's hash."""
    has_password = row.password_hash is not None
    return Person(row.id, row.email, row.name, row.status, has_password, row.created_at, row.last_login_at)


def member_record(row: TeamMemberRow, person: PersonRow, tenant: str) -> TeamMember:
    """The rows as one frozen record."""
    return TeamMember(row.id, tenant, record(person), row.role, row.created_at)


def _members() -> Select[TeamMemberRow, PersonRow, str]:
    return (
        select(TeamMemberRow, PersonRow, TenantRow.slug)
        .join(PersonRow, PersonRow.id == TeamMemberRow.person_id)
        .join(TenantRow, TenantRow.id == TeamMemberRow.tenant_id)
    )


def _exists(address: str) -> Conflict:
    return Conflict(f"there is a person with the email {found(address)} already")
