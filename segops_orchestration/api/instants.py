"""Instants in queries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

_FIRST_YEAR, _LAST_YEAR = 1900, 2299


def _in_range(value: datetime) -> datetime:
    # What the warehouse can hold; within it no offset leaves the calendar.
    if not _FIRST_YEAR < value.year < _LAST_YEAR:
        raise ValueError(f"an instant between the years {_FIRST_YEAR} and {_LAST_YEAR} is wanted")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# ISO 8601; without an offset it is UTC.
Moment = Annotated[datetime, AfterValidator(_in_range)]
