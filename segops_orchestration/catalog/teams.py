"""Who is in which tenant, in what role. Every function works inside its caller's transaction.

The rules: a tenant has one owner at most, and the owner stays until they hand ownership over; nobody gives a role above
their own, or touches somebody above them. ``by`` is the person who changes something, None an operator; their role is
read again in the transaction, so that somebody who was lowered meanwhile changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog import people
from segops_orchestration.catalog.people_records import Role, TeamMember, role_at_least
from segops_orchestration.catalog.people_tables import PersonRow, TeamMemberRow
from segops_orchestration.catalog.tables import TenantRow
from segops_orchestration.errors import Conflict, Forbidden, NotFound


def of_person(session: Session, person_id: int) -> list[TeamMember]:
    """The active tenants that a person is in, by slug."""
    query = _members().where(TeamMemberRow.person_id == person_id, TenantRow.status == "active")
    return [record(*row) for row in session.execute(query.order_by(TenantRow.slug))]


def of_tenant(session: Session, tenant_id: int) -> list[TeamMember]:
    """Everybody in a tenant, by email."""
    query = _members().where(TeamMemberRow.tenant_id == tenant_id)
    return [record(*row) for row in session.execute(query.order_by(PersonRow.email))]


def find(session: Session, tenant: TenantRow, member: int | str) -> tuple[TeamMemberRow, PersonRow]:
    """One membership of this tenant, by its id or the person's email, and whose it is.

    Raises:
        InvalidDocument: a text that is no address.
        NotFound: this tenant has none such.
    """
    wanted = TeamMemberRow.id == member if isinstance(member, int) else PersonRow.email == people.normal_email(member)
    query = (
        select(TeamMemberRow, PersonRow)
        .join(PersonRow, PersonRow.id == TeamMemberRow.person_id)
        .where(TeamMemberRow.tenant_id == tenant.id, wanted)
    )
    found = session.execute(query).first()
    if found is None:
        raise NotFound(f"no team member {member} in tenant {tenant.slug!r}")
    return found[0], found[1]


def in_others(session: Session, tenant: TenantRow, person: PersonRow) -> bool:
    """Whether a person is in further tenants, archived ones too."""
    query = select(TeamMemberRow.id).where(TeamMemberRow.person_id == person.id, TeamMemberRow.tenant_id != tenant.id)
    return session.scalar(query.limit(1)) is not None


def join(
    session: Session, tenant: TenantRow, person: PersonRow, role: Role, by: int | None, now: datetime
) -> TeamMember:
    """Put a person into a tenant. The tenant's row must be locked.

    Raises:
        Conflict: they are in it already, or it has an owner and ``role`` is owner.
        Forbidden: ``by`` may not give this role.
    """
    _may_give(session, tenant, role, by)
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
    return record(row, person, tenant.slug)


def change_role(
    session: Session, tenant: TenantRow, row: TeamMemberRow, person: PersonRow, role: Role, by: int | None
) -> TeamMember:
    """Give a member another role. The tenant's row must be locked.

    Raises:
        Conflict: of or to the owner's role; that is transferred.
        Forbidden: ``by`` may not do this.
    """
    if row.role == role:
        return record(row, person, tenant.slug)
    _may_touch(session, tenant, row, by)
    if row.role == "owner":
        raise Conflict(f"{person.email} is the owner of tenant {tenant.slug!r}: transfer ownership first")
    if role == "owner":
        raise Conflict(f"{person.email} becomes the owner of tenant {tenant.slug!r} only by transfer of ownership")
    _may_give(session, tenant, role, by)
    row.role = role
    session.flush()
    return record(row, person, tenant.slug)


def remove(session: Session, tenant: TenantRow, row: TeamMemberRow, person: PersonRow, by: int | None) -> TeamMember:
    """Take a member out of the tenant; everybody but the owner may take out themselves. The tenant must be locked.

    Raises:
        Conflict: they are the owner.
        Forbidden: ``by`` may not do this.
    """
    if by != person.id:
        _may_touch(session, tenant, row, by)
    if row.role == "owner":
        raise Conflict(f"{person.email} is the owner of tenant {tenant.slug!r}: transfer ownership first")
    gone = record(row, person, tenant.slug)
    session.delete(row)
    session.flush()
    return gone


def transfer(
    session: Session, tenant: TenantRow, row: TeamMemberRow, person: PersonRow, by: int | None
) -> tuple[TeamMember, str | None]:
    """Make a member the owner, and the owner an admin; the new owner, and the old one's email. The tenant is locked.

    Raises:
        Conflict: they could not log in.
        Forbidden: ``by`` is not the owner.
    """
    if by is not None and _role(session, tenant, by) != "owner":
        raise Forbidden("only the owner transfers ownership")
    if person.status != "active" or person.password_hash is None:
        raise Conflict(f"{person.email} cannot log in: locked out, or no password chosen yet")
    owner = session.execute(
        select(TeamMemberRow, PersonRow.email)
        .join(PersonRow, PersonRow.id == TeamMemberRow.person_id)
        .where(TeamMemberRow.tenant_id == tenant.id, TeamMemberRow.role == "owner")
    ).first()
    if owner is not None and owner[0].id == row.id:
        return record(row, person, tenant.slug), None
    if owner is not None:
        owner[0].role = "admin"
        # There is never a second owner, not even inside a transaction.
        session.flush()
    row.role = "owner"
    session.flush()
    return record(row, person, tenant.slug), None if owner is None else owner[1]


def record(row: TeamMemberRow, person: PersonRow, tenant: str) -> TeamMember:
    """The rows as one frozen record."""
    return TeamMember(row.id, tenant, people.record(person), row.role, row.created_at)


def _may_give(session: Session, tenant: TenantRow, role: Role, by: int | None) -> None:
    if by is None:
        return
    own = _administrator(session, tenant, by)
    if not role_at_least(own, role):
        raise Forbidden(f"nobody gives a role above their own; you are {own}")


def _may_touch(session: Session, tenant: TenantRow, row: TeamMemberRow, by: int | None) -> None:
    if by is None:
        return
    own = _administrator(session, tenant, by)
    if not role_at_least(own, row.role):
        raise Forbidden(f"they are {row.role}, and you are {own}")


def _administrator(session: Session, tenant: TenantRow, person_id: int) -> Role:
    role = _role(session, tenant, person_id)
    if role is None or not role_at_least(role, "admin"):
        raise Forbidden("this needs the role admin")
    return role


def _role(session: Session, tenant: TenantRow, person_id: int) -> Role | None:
    return session.scalar(
        select(TeamMemberRow.role).where(TeamMemberRow.tenant_id == tenant.id, TeamMemberRow.person_id == person_id)
    )


def _members() -> Select[TeamMemberRow, PersonRow, str]:
    return (
        select(TeamMemberRow, PersonRow, TenantRow.slug)
        .join(PersonRow, PersonRow.id == TeamMemberRow.person_id)
        .join(TenantRow, TenantRow.id == TeamMemberRow.tenant_id)
    )
