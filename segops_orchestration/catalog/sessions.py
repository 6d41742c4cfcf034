"""What lets people in: refresh tokens, and tokens to choose a password. Only hashes of them are stored.

Every function works inside its caller's transaction, and those that change something hold the person's row (``lock``):
two uses of one token, or a use while all of them are ended, happen one after the other.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from segops_orchestration.catalog.people_tables import PasswordTokenRow, PersonRow, RefreshTokenRow

REFRESH_LIFETIME = timedelta(days=30)
INVITATION_LIFETIME = timedelta(days=7)
_REFRESH_PREFIX = "rt_"
_INVITATION_PREFIX = "pt_"


def token_hash(token: str) -> str:
    """What is stored in place of a token. A fast hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def lock(session: Session, person_id: int) -> PersonRow | None:
    """A person's row, and until the transaction ends no other transaction passes here for the same person."""
    query = select(PersonRow).where(PersonRow.id == person_id)
    return session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))


def issue(session: Session, person: PersonRow, now: datetime, family: str | None = None) -> str:
    """A new refresh token: the next of its family, or the first of a new one. Forgets those that have expired."""
    session.execute(
        delete(RefreshTokenRow).where(RefreshTokenRow.person_id == person.id, RefreshTokenRow.expires_at <= now)
    )
    token = _REFRESH_PREFIX + secrets.token_urlsafe(32)
    session.add(
        RefreshTokenRow(
            person_id=person.id,
            family=family or secrets.token_hex(16),
            token_hash=token_hash(token),
            issued_at=now,
            expires_at=now + REFRESH_LIFETIME,
        )
    )
    session.flush()
    return token


def whose(session: Session, token: str) -> int | None:
    """Whose refresh token this is; None: nobody's."""
    return session.scalar(select(RefreshTokenRow.person_id).where(RefreshTokenRow.token_hash == token_hash(token)))


def use(session: Session, token: str, now: datetime) -> tuple[RefreshTokenRow | None, bool]:
    """The token's row, used from now on, None when it opens nothing; and whether it was used before.

    A token that was used before is in two hands: its whole family is ended.
    """
    query = select(RefreshTokenRow).where(RefreshTokenRow.token_hash == token_hash(token))
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None or row.expires_at <= now or row.revoked_at is not None:
        return None, False
    if row.used_at is not None:
        _revoke(session, RefreshTokenRow.family == row.family, now)
        return None, True
    row.used_at = now
    session.flush()
    return row, False


def end_all(session: Session, person: PersonRow, now: datetime) -> None:
    """End every session of a person: refresh tokens of all families, and access tokens that are still good."""
    person.token_version += 1
    _revoke(session, RefreshTokenRow.person_id == person.id, now)


def invite(session: Session, person: PersonRow, created_by: str, now: datetime) -> tuple[str, datetime]:
    """A token to choose the person's password with, once, and until when. Earlier ones open nothing any more."""
    withdraw_invitation(session, person)
    token = _INVITATION_PREFIX + secrets.token_urlsafe(32)
    expires = now + INVITATION_LIFETIME
    session.add(
        PasswordTokenRow(
            person_id=person.id,
            token_hash=token_hash(token),
            created_by=created_by,
            created_at=now,
            expires_at=expires,
        )
    )
    session.flush()
    return token, expires


def invited(session: Session, token: str, now: datetime) -> int | None:
    """Whose password this token lets choose; None: nobody's."""
    query = select(PasswordTokenRow.person_id).where(
        PasswordTokenRow.token_hash == token_hash(token), PasswordTokenRow.expires_at > now
    )
    return session.scalar(query)


def withdraw_invitation(session: Session, person: PersonRow) -> None:
    """From now on no token lets choose the person's password."""
    session.execute(delete(PasswordTokenRow).where(PasswordTokenRow.person_id == person.id))


def _revoke(session: Session, which: ColumnElement[bool], now: datetime) -> None:
    session.flush()
    session.execute(update(RefreshTokenRow).where(which, RefreshTokenRow.revoked_at.is_(None)).values(revoked_at=now))
