"""Python values as JSON text, numbers exactly as they are."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID


def json_text(value: object) -> str:
    """JSON text of a value: None, booleans, numbers (decimals digit for digit), text, times, lists and dicts.

    Times become ISO text in UTC, cut to milliseconds.

    Raises:
        ValueError: NaN or infinity.
        TypeError: a type that has no JSON form.
    """
    if isinstance(value, dict):
        members = (f"{json.dumps(str(key), ensure_ascii=False)}:{json_text(item)}" for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(json_text(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool | str | int):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not JSON")
        return repr(float(value)) if isinstance(value, float) else format(value, "f")
    text = _when(value)
    if text is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return json.dumps(text)


def _when(value: object) -> str | None:
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else None
