"""What the platform has acknowledged, user by user: ``activation_state``.

Each row says what was last asked of the platform for a user and what it answered. A row's version is made of the sync
and a step within it, so whatever a sync writes that lost its lease is older than what its successor writes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Literal, NamedTuple

from segops_orchestration.activation.platform import Action
from segops_orchestration.activation.session import Session

State = Literal["adding", "delivered", "removing", "removed", "rejected", "parked"]
Change = Literal["none", "added", "removed", "rejected", "parked", "unknown", "found", "missing"]

NEVER = "1970-01-01 00:00:00.000"
_STEP_BITS = 32
_COLUMNS = (
    "user_id",
    "state",
    "action",
    "present",
    "platform_id",
    "attempts",
    "retry_at",
    "reason",
    "batch_id",
    "change",
    "connector_id",
    "sync_id",
    "at",
    "version",
)

_USERS_OF_A_BATCH = """SELECT user_id, platform_id, present, attempts, toString(retry_at)
FROM activation_state FINAL
WHERE connector_id = {connector_id:UInt64} AND state = 'adding' AND batch_id = {batch_id:String}
ORDER BY user_id"""

_REWRITE = """INSERT INTO activation_state
  (connector_id, user_id, state, action, present, platform_id, attempts, retry_at, reason, batch_id, change, sync_id,
  at, version)
SELECT
  {{connector_id:UInt64}}, user_id, '{state}', '{action}', {present}, platform_id, 0, toDateTime64(0, 3, 'UTC'),
  {{reason:String}}, '', '{change}', {{sync_id:UInt64}}, {{now:DateTime64(3, 'UTC')}}, {{version:UInt64}}
FROM ({users})"""

_RENEW = """INSERT INTO activation_state
  (connector_id, user_id, state, action, present, platform_id, attempts, retry_at, reason, batch_id, change, sync_id,
  at, version)
SELECT
  connector_id, user_id, state, action, present, platform_id, attempts, retry_at, reason, batch_id, 'none',
  {sync_id:UInt64}, {now:DateTime64(3, 'UTC')}, {version:UInt64}
FROM activation_state FINAL
WHERE connector_id = {connector_id:UInt64} AND state IN ('adding', 'removing') AND sync_id >= {first_sync:UInt64}"""

_LAST_VERSION = "SELECT max(version) FROM activation_state WHERE connector_id = {connector_id:UInt64}"


class Entry(NamedTuple):
    """A user's row.

    ``present`` is 1 when the platform may hold the user because we added them. ``retry_at`` is SQL text: of a
    refused user when the next try comes, of another one from when on the opposite may be sent.
    """

    user_id: str
    state: State
    action: Action
    present: int
    platform_id: str = ""
    attempts: int = 0
    retry_at: str = NEVER
    reason: str = ""
    batch_id: str = ""
    change: Change = "none"


class StateTable:
    """Writes and reads the rows of one connector. Threads may share it: what they write at once goes in one block."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._steps = count(1)
        self._epoch = session.sync_id
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting = _Block()

    def write(self, entries: Iterable[Entry]) -> None:
        """Store rows; on return they are stored."""
        rows = list(entries)
        if not rows:
            return
        with self._lock:
            block = self._waiting
            leads = not block.rows
            block.rows += rows
        if leads:
            self._write(block)
            return
        block.written.wait()
        if block.error is not None:
            raise block.error

    def _write(self, block: _Block) -> None:
        """Wait for the block before to be stored, then store this one with all that has come together meanwhile."""
        try:
            with self._writing:
                self._close(block)
                self._insert(block.rows)
        except BaseException as error:
            block.error = error
            raise
        finally:
            # Also when the wait was interrupted: nobody joins it any more, and nobody waits for it for ever.
            self._close(block)
            block.written.set()

    def _close(self, block: _Block) -> None:
        with self._lock:
            if self._waiting is block:
                self._waiting = _Block()

    def _insert(self, rows: Sequence[Entry]) -> None:
        session = self._session
        tail = f", {session.connector.id}, {session.sync_id}, {json.dumps(session.now())}, {self.version()}]"
        session.insert("activation_state", _COLUMNS, (json.dumps(row)[:-1] + tail for row in rows))

    def rewrite(
        self,
        users: str,
        parameters: Mapping[str, object] | None = None,
        *,
        state: State,
        action: Action,
        present: int,
        change: Change = "none",
        reason: str = "",
    ) -> None:
        """Give all users of a query (``user_id, platform_id``) the same state, inside ClickHouse."""
        bound = {"reason": reason, "now": self._session.now(), "version": self.version(), **(parameters or {})}
        sql = _REWRITE.format(users=users, state=state, action=action, present=present, change=change)
        self._session.run(sql, bound)

    def users_of(self, batch_id: str) -> list[Entry]:
        """Whom an add of this batch is still under way for, by user id."""
        rows = self._session.rows(_USERS_OF_A_BATCH, {"batch_id": batch_id})
        return [
            Entry(user_id, "adding", "add", present, platform_id, attempts, settled_at, batch_id=batch_id)
            for user_id, platform_id, present, attempts, settled_at in rows
        ]

    def version(self) -> int:
        """Greater than every version before it, of this sync and of earlier ones."""
        return (self._epoch << _STEP_BITS) + next(self._steps)

    def start(self) -> None:
        """Go above every version that is stored: numbers of syncs start again when a catalogue is restored."""
        ((last,),) = self._session.rows(_LAST_VERSION)
        self._epoch = max(self._session.sync_id, (last >> _STEP_BITS) + 1)

    def renew(self, first_sync: int) -> None:
        """Have what this sync and later ones left unanswered settle from now on: they died, and nobody knows when."""
        self._session.run(_RENEW, {"first_sync": first_sync, "now": self._session.now(), "version": self.version()})


class _Block:
    """Rows of several threads that go together."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.written = threading.Event()
        self.error: BaseException | None = None
