"""How problems are said: what was found, what is allowed, and the nearest allowed spelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST = 40
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# What people write who know another language, and what it is called here: the first that is allowed is meant.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "=": ("eq",),
    "==": ("eq",),
    "equals": ("eq",),
    "equal": ("eq",),
    "is": ("eq",),
    "!=": ("neq",),
    "<>": ("neq",),
    "ne": ("neq",),
    "not_eq": ("neq",),
    "not_equals": ("neq",),
    "is_not": ("neq",),
    ">": ("gt",),
    "greater_than": ("gt",),
    "more_than": ("gt", "at_least"),
    "after": ("gt", "from"),
    ">=": ("gte",),
    "ge": ("gte",),
    "at_least": ("gte",),
    "<": ("lt",),
    "less_than": ("lt",),
    "before": ("lt", "to"),
    "<=": ("lte",),
    "le": ("lte",),
    "at_most": ("lte", "less_than"),
    "nin": ("not_in",),
    "one_of": ("in",),
    "exists": ("is_set",),
    "not_exists": ("is_not_set",),
    "is_null": ("is_not_set",),
    "is_not_null": ("is_set",),
    "not_contains": ("does_not_contain",),
    "regex": ("matches_regex",),
    "matches": ("matches_regex",),
    "elem_match": ("has_element",),
    "$elemmatch": ("has_element",),
    "any_element": ("has_element",),
    "in_the_last": ("in_last",),
    "within_last": ("in_last",),
    "newer_than": ("in_last",),
    "in_the_next": ("in_next",),
    "within_next": ("in_next",),
    "older_than": ("before_last",),
    "average": ("avg",),
    "mean": ("avg",),
    "total": ("sum",),
    "maximum": ("max",),
    "minimum": ("min",),
    "p50": ("median",),
    "distinct": ("count_distinct",),
    "unique": ("count_distinct",),
    "nunique": ("count_distinct",),
    "uniq": ("count_distinct",),
    "count_unique": ("count_distinct",),
    "all": ("AND",),
    "any": ("OR", "has_element"),
    "days": ("window_days", "day"),
    "within_days": ("window_days",),
    "last_days": ("window_days",),
    "timeframe": ("window",),
    "period_count": ("periods",),
    "amount": ("last",),
    "n": ("last",),
    "start": ("from",),
    "since": ("from",),
    "end": ("to",),
    "until": ("to",),
    "s": ("second",),
    "sec": ("second",),
    "m": ("minute",),
    "min": ("minute",),
    "mins": ("minute",),
    "h": ("hour",),
    "hrs": ("hour",),
    "d": ("day",),
    "w": ("week",),
    "y": ("year",),
    "event": ("event_type",),
    "event_name": ("event_type",),
    "type": ("event_type",),
    "name": ("event_type",),
    "field": ("property",),
    "key": ("property",),
    "path": ("property",),
    "op": ("operator",),
    "filter": ("where",),
    "filters": ("where",),
    "held_for": ("at_least",),
    "segment": ("segment_id",),
    "steps": ("events",),
    "first_time": ("first_event",),
    "frequency": ("regularity",),
}


def found(value: object) -> str:
    """A short, safe rendering of a value for a message; never longer than a line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 128 else "an integer of more than 38 digits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    return f"a {type(value).__name__}, which is no JSON value"


def listed(allowed: Iterable[str]) -> str:
    """Allowed spellings in one line."""
    return ", ".join(allowed)


def nearest(word: object, allowed: Iterable[str]) -> str | None:
    """The allowed spelling that the word most likely meant, if one is near."""
    if not isinstance(word, str) or len(word) > 100:
        return None
    spellings = {name.casefold(): name for name in allowed}
    wanted = word.strip().casefold().replace("-", "_").replace(" ", "_")
    for synonym in _SYNONYMS.get(wanted, ()):
        if synonym.casefold() in spellings:
            return synonym
    close = difflib.get_close_matches(wanted, spellings, n=1, cutoff=0.6)
    return spellings[close[0]] if close else None


def did_you_mean(word: object, allowed: Iterable[str]) -> str:
    """The closing question, or nothing."""
    suggestion = nearest(word, allowed)
    return f"; did you mean {suggestion!r}?" if suggestion else ""


def child(path: str, key: object) -> str:
    """The path of a field: ``a.b``, or ``a["b c"]`` where the key is no plain word."""
    text = key if isinstance(key, str) else found(key)
    if _PLAIN_KEY.fullmatch(text) and len(text) <= _LONGEST:
        return f"{path}.{text}" if path else text
    return path + "[" + _quoted(text, mark='"') + "]"


def element(path: str, index: int) -> str:
    """The path of an array's element: ``conditions[2]``."""
    return f"{path}[{index}]"


def _quoted(text: str, mark: str = "'") -> str:
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    escaped = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in shown)
    return f"{mark}{escaped}{mark}"
