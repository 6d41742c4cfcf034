"""The ways a file may write times, besides ISO."""

from __future__ import annotations

from datetime import UTC, date, datetime

from segops_orchestration.errors import SegOpsError

EPOCH_SECONDS = "epoch_seconds"
EPOCH_MILLISECONDS = "epoch_milliseconds"


def check_time_format(text: str | None) -> None:
    """Refuse a time format that is unknown or cannot name a day.

    Raises:
        SegOpsError: the format is neither epoch_seconds, epoch_milliseconds nor a strptime format of a whole date.
    """
    if text is None or text in (EPOCH_SECONDS, EPOCH_MILLISECONDS):
        return
    allowed = f"use {EPOCH_SECONDS}, {EPOCH_MILLISECONDS} or a strptime format such as %Y%m%d"
    if "%" not in text:
        raise SegOpsError(f"time format {text!r} is not known: {allowed}")
    day = datetime(2001, 12, 31, tzinfo=UTC)
    try:
        read = datetime.strptime(day.strftime(text), text).date()  # noqa: DTZ007 - only the day is looked at
    except ValueError as error:
        raise SegOpsError(f"time format {text!r} cannot be read back ({error}): {allowed}") from None
    if read != date(2001, 12, 31):
        raise SegOpsError(f"time format {text!r} does not say year, month and day: {allowed}")
