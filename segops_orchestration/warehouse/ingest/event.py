"""An event as Python values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4


@dataclass(frozen=True)
class Event:
    """One thing a user did.

    Attributes:
        occurred_at: aware datetime; finer than milliseconds is cut.
        payload: JSON-like values; ``Decimal`` keeps its digits.
        event_id: a new random id unless given. Two events of one id are one event.
    """

    user_id: str
    event_type: str
    occurred_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)
    event_id: UUID = field(default_factory=uuid4)
