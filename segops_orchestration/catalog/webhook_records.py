"""What the catalogue hands out about a tenant's notices: frozen records, free of secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EndpointStatus = Literal["active", "disabled"]
MessageStatus = Literal["pending", "delivered", "dead"]

RECOMPUTED = "segment.recomputed"
EVENT_TYPES = (RECOMPUTED,)


@dataclass(frozen=True)
class Endpoint:
    """An address that a tenant's notices go to.

    ``pending`` and ``dead`` count its messages; ``delivered_at`` is when one last arrived.
    """

    id: int
    tenant: str
    url: str
    event_types: tuple[str, ...]
    status: EndpointStatus
    status_reason: str
    created_at: datetime
    updated_at: datetime
    pending: int = 0
    dead: int = 0
    delivered_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """One notice to one endpoint. ``message_id`` is the same for every attempt.

    ``next_attempt_at`` counts while it is pending; a dead message is tried no more until somebody redelivers it.
    """

    id: int
    endpoint_id: int
    message_id: str
    event_type: str
    computation_id: int
    segment_id: int
    body: str
    status: MessageStatus
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime


@dataclass(frozen=True)
class ClaimedMessage:
    """A message that nobody else sends until ``until``; ``claim`` proves whose it is."""

    id: int
    endpoint_id: int
    tenant: str
    url: str
    secret: str = field(repr=False)
    message_id: str
    body: str
    attempts: int
    claim: str = field(repr=False)
    until: datetime
