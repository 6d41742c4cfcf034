"""Instants and events for stories about computations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from segops_orchestration_tests.oracle.case import HOUR
from segops_orchestration_tests.oracle.evaluate import Event

_numbers = count(1)

# About now, because arrivals are kept for some days only.
T0 = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
"""The instant of the first computation of a story."""

T1 = T0 + HOUR
"""The instant of the second one."""


def happened(user_id: str, event_type: str, at: datetime, payload: str = "{}") -> Event:
    """An event with an id of its own, received shortly before T0, whatever its date."""
    return Event(UUID(int=next(_numbers)), user_id, event_type, at, T0 - HOUR, payload)


def ordered(*user_ids: str, at: datetime = T0 - HOUR, payload: str = "{}") -> Iterator[Event]:
    """One order of each."""
    return (happened(user_id, "order_placed", at, payload) for user_id in user_ids)


def days(number: float) -> timedelta:
    return timedelta(days=number)
