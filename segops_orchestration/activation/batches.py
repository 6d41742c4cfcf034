"""Cutting a page of the plan into what goes to the platform in one call."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from segops_orchestration.activation.planned import Planned
from segops_orchestration.activation.platform import Action, User
from segops_orchestration.activation.state import NEVER, Entry


@dataclass(frozen=True)
class Batch:
    """Users of one call. ``id`` is the same when the same batch is sent once more."""

    id: str
    action: Action
    rows: tuple[Planned, ...]
    users: tuple[User, ...]

    def intents(self, settled_at: str) -> Iterator[Entry]:
        """What is written down before the request; ``settled_at`` is when those lost before it are over."""
        adding = self.action == "add"
        for row in self.rows:
            yield Entry(
                row.user_id,
                "adding" if adding else "removing",
                self.action,
                2 if adding and not may_be_present(row) else 1,
                row.platform_id,
                attempts_before(row, self.action),
                settled_at if sent_before(row, self.action) else NEVER,
                batch_id=self.id,
            )

    def doubtful(self) -> Batch:
        """The same after a request for it was lost, which may have been carried out, or may be yet.

        Whatever becomes of the batch from now on starts from there.
        """
        state = "adding" if self.action == "add" else "removing"
        rows = tuple(
            row._replace(
                state=state,
                last_action=self.action,
                present=1,
                attempts=attempts_before(row, self.action),
                retry_at=NEVER,
                last_batch_id="",
            )
            for row in self.rows
        )
        return Batch(self.id, self.action, rows, self.users)

    def before(self) -> Iterator[Entry]:
        """What the state was before the intents."""
        return (row.before() for row in self.rows)

    def halves(self) -> tuple[Batch, Batch]:
        """The batch in two."""
        middle = len(self.rows) // 2
        return (
            Batch(f"{self.id}.0", self.action, self.rows[:middle], self.users[:middle]),
            Batch(f"{self.id}.1", self.action, self.rows[middle:], self.users[middle:]),
        )

    def without(self, user_ids: frozenset[str]) -> Batch:
        """The batch less some users, under a name of its own."""
        kept = [at for at, row in enumerate(self.rows) if row.user_id not in user_ids]
        rows, users = tuple(self.rows[at] for at in kept), tuple(self.users[at] for at in kept)
        return Batch(f"{self.id}.r", self.action, rows, users)


class Cutter:
    """Gives the batches of a sync their names."""

    def __init__(self, sync_id: int) -> None:
        self._sync_id = sync_id
        self._number = 0

    def cut(self, action: Action, rows: Sequence[tuple[Planned, User]], size: int) -> Iterator[Batch]:
        """Batches of at most ``size`` users of one action, in the order of the rows."""
        for again, group in groupby(rows, key=lambda pair: pair[0].batch_id):
            members = list(group)
            parts = [members[start : start + size] for start in range(0, len(members), size)]
            for part in parts:
                planned, users = zip(*part, strict=True)
                yield Batch(self._name(again, planned, len(parts)), action, planned, users)

    def _name(self, again: str, part: Sequence[Planned], parts: int) -> str:
        if again and parts == 1:
            return again
        if again:
            # The size has become smaller: the parts must not pass for the whole.
            return f"{again}.{zlib.crc32(part[0].user_id.encode()):08x}"
        self._number += 1
        return f"{self._sync_id}-{self._number}"


def attempts_before(row: Planned, action: Action) -> int:
    """How often the platform refused to do just this."""
    return row.attempts if row.last_action == action else 0


def sent_before(row: Planned, action: Action) -> bool:
    """Whether the same was sent before, and its outcome never learned."""
    return row.state == ("adding" if action == "add" else "removing")


def may_be_present(row: Planned) -> bool:
    """Whether the platform may hold the user because of something earlier."""
    return row.present == 1 or row.state == "adding"
