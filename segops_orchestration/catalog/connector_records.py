"""What the catalogue hands out about connectors: frozen records, free of any database session and of secrets.

Every instant is an aware UTC datetime of millisecond precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from segops_orchestration.catalog.records import Status

ConnectorStatus = Literal["active", "paused", "error", "held", "deleting"]
WhenArchived = Literal["empty", "leave"]
SyncKind = Literal["sync", "dry_run", "verify", "repair", "empty"]
SyncStatus = Literal["running", "succeeded", "failed", "held", "abandoned"]
JobStatus = Literal["open", "succeeded", "failed", "lost"]
HoldStatus = Literal["held", "approved", "approved_adds", "superseded", "released"]
ConnectorOutcome = Literal["created", "updated", "unchanged"]

DEFAULT_HOLD_SHARE = 0.30
DEFAULT_HOLD_USERS = 100


@dataclass(frozen=True)
class ConnectorSpec:
    """What somebody wants a connector to be, apart from its secrets. ``segment`` is a slug.

    A sync that would add or remove at least ``hold_users`` users and more than ``hold_share`` of the audience is held.
    ``when_archived`` says what becomes of the audience once the segment is archived.
    """

    slug: str
    segment: str
    type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    hold_share: float = DEFAULT_HOLD_SHARE
    hold_users: int = DEFAULT_HOLD_USERS
    when_archived: WhenArchived = "leave"


@dataclass(frozen=True)
class Connector:
    """A connector as it stands. ``secrets`` are the names of those stored; their texts never leave by a record."""

    id: int
    tenant: str
    slug: str
    segment_id: int
    segment: str
    segment_name: str
    segment_status: Status
    segment_version: int
    type: str
    config: dict[str, Any]
    secrets: tuple[str, ...]
    status: ConnectorStatus
    status_reason: str
    hold_share: float
    hold_users: int
    when_archived: WhenArchived
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ConnectorSaved:
    """What saving a connector did: ``updated`` also when only a secret changed."""

    connector: Connector
    outcome: ConnectorOutcome


@dataclass(frozen=True)
class ConnectorLease:
    """The right to sync one connector until ``expires_at``; ``token`` proves who holds it."""

    tenant: str
    connector: str
    connector_id: int
    owner: str
    run_id: str | None
    token: str = field(repr=False)
    ttl_seconds: float
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SyncCounts:
    """What a sync came to.

    ``added``, ``removed`` and ``rejected`` are users of this sync, ``pending`` those left for a later one, ``audience``
    the users acknowledged by the platform at its end. ``refused`` are users whom the platform refuses and who are still
    to be sent, the first of them at ``next_try_at``.
    """

    added: int = 0
    removed: int = 0
    rejected: int = 0
    pending: int = 0
    requests: int = 0
    retries: int = 0
    audience: int | None = None
    refused: int = 0
    next_try_at: datetime | None = None


@dataclass(frozen=True)
class Sync:
    """One line of a connector's sync log.

    ``segment_version`` and ``computation_id`` say which members were wanted; ``milliseconds`` is None until it ends.
    ``unfinished`` counts the syncs in a row, up to this one, that failed, died or left something, the first of them at
    ``unfinished_since``.
    """

    id: int
    connector_id: int
    connector: str
    run_id: str | None
    kind: SyncKind
    status: SyncStatus
    segment_version: int
    computation_id: int | None
    started_at: datetime
    finished_at: datetime | None
    counts: SyncCounts
    milliseconds: int | None
    error: str | None
    unfinished: int = 0
    unfinished_since: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """How far a connector is delivered, as far as the catalogue knows.

    Attributes:
        last: the last sync that was to change the audience; None when there was none.
        changed_since: when the oldest change of the segment was committed that this sync did not see; None without
            one, or while the connector is paused or has an error.
        changed_up_to: the newest computation with such a change; 0 when there is none.
        changes: how many users entered and exited since.
        approved: a held difference was let go and is still to be sent.
        holder: who syncs it at this moment.
        archived_at: when its segment was archived; None for an active one.
    """

    connector: Connector
    last: Sync | None
    changed_since: datetime | None
    changed_up_to: int
    changes: int
    approved: bool
    holder: str | None
    archived_at: datetime | None


@dataclass(frozen=True)
class ConnectorJob:
    """A batch that the platform goes on working on: ``job`` is its name for it."""

    id: int
    connector_id: int
    sync_id: int
    batch_id: str
    job: str
    status: JobStatus
    submitted_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Hold:
    """A difference that was too large to be sent unasked. The difference itself is kept under ``sync_id``.

    ``held`` waits for a person; ``approved`` and ``approved_adds`` wait for the sync that sends it; ``released``: sent;
    ``superseded``: another took its place, or nothing is left of it.
    """

    id: int
    connector_id: int
    sync_id: int
    status: HoldStatus
    adds: int
    removes: int
    audience: int
    cause: str
    sample: dict[str, Any]
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
