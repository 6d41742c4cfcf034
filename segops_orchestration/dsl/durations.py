"""Spans of time as the warehouse counts them: whole milliseconds, or calendar months in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segops_orchestration.dsl.models import Duration

MILLISECONDS_PER_DAY = 86_400_000

_MILLISECONDS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": MILLISECONDS_PER_DAY,
    "week": 7 * MILLISECONDS_PER_DAY,
}
_MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True, order=True)
class Span:
    """So many milliseconds, or so many calendar months; never both. A day that a month lacks is its last day."""

    milliseconds: int = 0
    months: int = 0

    def times(self, factor: int) -> Span:
        """The span ``factor`` times; -1 turns it round."""
        return Span(self.milliseconds * factor, self.months * factor)

    def __bool__(self) -> bool:
        return bool(self.milliseconds or self.months)


def span_of(duration: Duration) -> Span:
    """The span that a duration of the language means."""
    return span(duration.last, duration.unit)


def span(amount: int, unit: str) -> Span:
    """``amount`` units: exact up to weeks, calendar months for months and years."""
    if unit in _MONTHS:
        return Span(months=amount * _MONTHS[unit])
    return Span(amount * _MILLISECONDS[unit])


def days_span(days: float) -> Span:
    """``days`` of 24 hours."""
    return Span(days_to_milliseconds(days))


def days_to_milliseconds(days: float) -> int:
    """``days`` of 24 hours in milliseconds, to the nearest one, and at least one.

    Instants have millisecond precision, so a window of less than one still holds an event at the very
    instant of evaluation. The number is read as it is written: 0.1 days are 8,640,000 ms. Raises ValueError
    unless ``days > 0``.
    """
    if not days > 0:
        raise ValueError(f"days must be above 0, found {days}")
    exact = Decimal(str(days)) * MILLISECONDS_PER_DAY
    return max(1, int(exact.to_integral_value(ROUND_HALF_UP)))
