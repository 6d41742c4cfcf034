"""The door to logging in: passwords, sessions that are refreshed, and tokens to choose a password with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import audit, passwords, people, sessions
from segops_orchestration.catalog.people_records import Actor, Person
from segops_orchestration.catalog.people_tables import PersonRow
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.errors import Conflict, InvalidDocument


@dataclass(frozen=True)
class LoggedIn:
    """Somebody who has just shown who they are. ``token_version`` goes into their access tokens."""

    person: Person
    token_version: int
    refresh_token: str

    def __repr__(self) -> str:
        return f"LoggedIn({self.person.email})"


@dataclass(frozen=True)
class _Stored:
    id: int
    email: str
    active: bool
    password_hash: str | None


class SessionCatalog:
    """How people get in; ``Catalog.sessions``. Passwords are hashed and compared outside of transactions."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def log_in(self, email: str, password: str) -> LoggedIn | None:
        """Begin a session; None for an unknown address, a wrong password or somebody locked out, all equally slow."""
        stored = self._stored(email)
        right = passwords.is_right(None if stored is None else stored.password_hash, password)
        if stored is None or not right or not stored.active:
            return None
        newer = None
        if stored.password_hash is not None and passwords.is_outdated(stored.password_hash):
            newer = passwords.hash_password(password)
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, stored.id)
            # What was compared above may have been changed meanwhile.
            if row is None or row.status != "active" or row.password_hash != stored.password_hash:
                return None
            row.last_login_at = now
            row.password_hash = newer or row.password_hash
            return _logged_in(row, sessions.issue(session, row, now))

    def refresh(self, token: str) -> LoggedIn | None:
        """Exchange a refresh token for the next; None when it opens nothing.

        A token works once. One that comes again is in two hands, so nothing of its family works from then on.
        """
        with self._transactions.write() as (session, now):
            person_id = sessions.whose(session, token)
            person = None if person_id is None else sessions.lock(session, person_id)
            if person is None or person.status != "active":
                return None
            used, again = sessions.use(session, token, now)
            if again:
                actor = Actor("person", person.email)
                audit.note(session, None, actor, "session.reuse", person.email, now)
            if used is None:
                return None
            return _logged_in(person, sessions.issue(session, person, now, used.family))

    def access(self, person_id: int, token_version: int) -> Person | None:
        """Whose access token this is; None if they are locked out, or their sessions have been ended since."""
        with self._transactions.read() as session:
            row = session.get(PersonRow, person_id)
            if row is None or row.status != "active" or row.token_version != token_version:
                return None
            return people.record(row)

    def change_password(self, person_id: int, current: str, new: str) -> LoggedIn | None:
        """Set one's own password, which ends all sessions, and begin a new one; None if ``current`` is wrong.

        Raises:
            InvalidDocument: the new password is not allowed.
        """
        with self._transactions.read() as session:
            stored = _record(session.get(PersonRow, person_id))
        if not passwords.is_right(None if stored is None else stored.password_hash, current) or stored is None:
            return None
        passwords.check_password(new, stored.email)
        new_hash = passwords.hash_password(new)
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, person_id)
            if row is None or row.status != "active" or row.password_hash != stored.password_hash:
                return None
            _set_password(session, row, new_hash, Actor("person", row.email), now)
            return _logged_in(row, sessions.issue(session, row, now))

    def choose_password(self, token: str, password: str) -> LoggedIn | None:
        """Set the password of whoever was given this token, once, and begin a session; None if it opens nothing.

        Raises:
            InvalidDocument: the password is not allowed; the token then still works.
        """
        with self._transactions.read() as session:
            person_id = sessions.invited(session, token, self._transactions.now(session))
            stored = None if person_id is None else _record(session.get(PersonRow, person_id))
        if stored is None:
            return None
        passwords.check_password(password, stored.email)
        new_hash = passwords.hash_password(password)
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, stored.id)
            if row is None or row.status != "active" or sessions.invited(session, token, now) != row.id:
                return None
            _set_password(session, row, new_hash, Actor("person", row.email), now)
            return _logged_in(row, sessions.issue(session, row, now))

    def set_password(self, email: str, password: str, actor: Actor) -> Person:
        """Set anybody's password, as an operator; it ends their sessions. Raises NotFound, InvalidDocument."""
        with self._transactions.read() as session:
            address = people.by_email(session, email).email
        passwords.check_password(password, address)
        new_hash = passwords.hash_password(password)
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, people.by_email(session, address).id)
            assert row is not None, "people are never deleted"
            _set_password(session, row, new_hash, actor, now)
            return people.record(row)

    def invite(self, email: str, actor: Actor) -> tuple[str, datetime]:
        """A token with which somebody chooses their password, once, and until when it works. Raises NotFound, Conflict.

        It replaces the one that they may have had.
        """
        with self._transactions.write() as (session, now):
            row = sessions.lock(session, people.by_email(session, email).id)
            assert row is not None, "people are never deleted"
            if row.status != "active":
                raise Conflict(f"{row.email} is locked out; segops users enable {row.email} lets them in again")
            audit.note(session, None, actor, "person.invite", row.email, now)
            return sessions.invite(session, row, actor.name, now)

    def _stored(self, email: str) -> _Stored | None:
        try:
            address = people.normal_email(email)
        except InvalidDocument:
            return None
        with self._transactions.read() as session:
            return _record(session.scalar(select(PersonRow).where(PersonRow.email == address)))


def _record(row: PersonRow | None) -> _Stored | None:
    return None if row is None else _Stored(row.id, row.email, row.status == "active", row.password_hash)


def _set_password(session: Session, row: PersonRow, password_hash: str, actor: Actor, now: datetime) -> None:
    row.password_hash = password_hash
    sessions.withdraw_invitation(session, row)
    sessions.end_all(session, row, now)
    audit.note(session, None, actor, "person.password", row.email, now)


def _logged_in(row: PersonRow, refresh_token: str) -> LoggedIn:
    return LoggedIn(people.record(row), row.token_version, refresh_token)
