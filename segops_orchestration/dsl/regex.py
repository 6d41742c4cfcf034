"""Whether a pattern is a regular expression of RE2, the engine of the warehouse."""

from __future__ import annotations

import re


def pattern_fault(pattern: str) -> str | None:
    """Why RE2 would refuse the pattern, or None."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None
