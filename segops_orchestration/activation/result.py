"""What a sync came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segops_orchestration.activation.difference import Backlog
from segops_orchestration.activation.platform import Action
from segops_orchestration.catalog.connector_records import Connector, Hold, SyncKind

Outcome = Literal["succeeded", "failed", "held", "paused", "error", "left"]


@dataclass(frozen=True)
class PlannedUser:
    """A row of a dry run: what would be sent for a user. ``lacks`` is why the user would be refused unsent."""

    action: Action
    user_id: str
    lacks: str | None = None


@dataclass(frozen=True)
class SyncResult:
    """What a sync, or a dry run of one, came to.

    Attributes:
        outcome: ``succeeded``: all that could be sent was. ``failed``: it broke off, ``error`` says why. ``held``: the
            breaker holds the difference back. ``paused``, ``error``: nothing was sent because that is the connector's
            status. ``left``: its segment is archived and its audience stays as it is.
        permanent: for ``failed`` and ``error``: it will fail again until a person has done something.
        sync_id: the line of the sync log; None when nothing was to be logged.
        adds, removes: how large the difference was.
        would_hold: of a dry run: the breaker would hold the difference back.
        added, removed, rejected: users of whom the platform said so during this sync.
        backlog: what is left.
    """

    connector: Connector
    kind: SyncKind
    outcome: Outcome
    backlog: Backlog
    sync_id: int | None = None
    adds: int = 0
    removes: int = 0
    added: int = 0
    removed: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0
    milliseconds: int = 0
    error: str = ""
    permanent: bool = False
    hold: Hold | None = field(default=None)
    would_hold: bool = False

    @property
    def pending(self) -> int:
        """Users for whom something is left to be sent or awaited."""
        return self.backlog.pending
