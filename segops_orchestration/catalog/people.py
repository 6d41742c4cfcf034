"""People. Every function works inside its caller's transaction."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_records import Person
from segops_orchestration.catalog.people_tables import PersonRow
from segops_orchestration.dsl.wording import found
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound, Problem

# One @ with something on both sides: whether mail arrives is for the mail to say.
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,189}")


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
    row = PersonRow(
        email=address,
        name=name.strip() or address,
        password_hash=password_hash,
        token_version=1,
        status="active",
        created_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise _exists(address) from error
    return row


def find_or_create(session: Session, address: str, name: str, now: datetime) -> tuple[PersonRow, bool]:
    """The person with an address that is normal, or a new one without a password; and whether they are new."""
    row = session.scalar(select(PersonRow).where(PersonRow.email == address))
    return (create(session, address, name, None, now), True) if row is None else (row, False)


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


def every(session: Session) -> list[Person]:
    """Everybody, by email."""
    return [record(row) for row in session.scalars(select(PersonRow).order_by(PersonRow.email))]


def record(row: PersonRow) -> Person:
    """The row as a frozen record, without the password's hash."""
    has_password = row.password_hash is not None
    return Person(row.id, row.email, row.name, row.status, has_password, row.created_at, row.last_login_at)


def _exists(address: str) -> Conflict:
    return Conflict(f"there is a person with the email {found(address)} already")
