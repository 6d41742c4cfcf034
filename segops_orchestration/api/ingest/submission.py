"""A call on its way into a group, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from segops_orchestration.api.ingest.body import SentEvent


@dataclass(frozen=True)
class Submission:
    """The events of one call.

    Attributes:
        source: where dead letters say they came from.
        received_at: when events without a time occurred.
        key_id: the API key whose call it is, asked for once more before its events are written.
        seed: what ids are derived from; None for new ones.
    """

    events: Sequence[SentEvent]
    source: str
    received_at: datetime
    key_id: int | None = None
    seed: bytes | None = None

    @property
    def weight(self) -> int:
        """Events."""
        return len(self.events)

    @cached_property
    def bytes(self) -> int:
        """Bytes that it holds on to, about."""
        return sum(event.size() for event in self.events)

    @property
    def received_text(self) -> str:
        """``received_at`` as ISO text, to the millisecond."""
        return self.received_at.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class EventFault:
    """What is wrong with one event of a call."""

    index: int
    field: str
    detail: str


@dataclass(frozen=True)
class Written:
    """What became of a call: all its events are stored but ``skipped`` of them, for these faults."""

    queued: int
    skipped: int
    faults: Sequence[EventFault]
