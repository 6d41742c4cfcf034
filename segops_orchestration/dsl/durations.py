"""Days as the warehouse counts them: whole milliseconds."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

MILLISECONDS_PER_DAY = 86_400_000


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
