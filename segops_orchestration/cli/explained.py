"""An explanation as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from segops_orchestration.cli.output import format_instant

if TYPE_CHECKING:
    from segops_orchestration.explain.actual import Event
    from segops_orchestration.explain.explain import ExplainedCondition, Explanation
    from segops_orchestration.explain.stored import StoredMembership

_LONGEST_VALUE = 120


def lines(found: Explanation, *, unicode: bool) -> Iterator[str]:
    """First the answer, then when it changes, then what is stored, then the tree."""
    is_in = "is in" if found.is_member else "is not in"
    version = f"version {found.segment.version}"
    yield _clean(f"{found.user_id} {is_in} {found.segment.slug} ({version}) at {format_instant(found.at)}.")
    if not found.events:
        yield "The user has no event at or before that instant, so is in no segment."
    yield f"By time alone: {_flip(found)}."
    yield _stored(found.stored)
    if not found.events and found.flips_at is None:
        return
    yield ""
    for line in _tree(found.definition, "", _Marks(unicode)):
        yield _clean(line)


class _Marks:
    def __init__(self, unicode: bool) -> None:
        self._marks = ("✗", "✓") if unicode else ("no ", "yes")

    def of(self, holds: bool) -> str:
        return self._marks[holds]

    @property
    def blank(self) -> str:
        return " " * len(self._marks[0])


def _flip(found: Explanation) -> str:
    if found.flips_at is not None:
        return f"{'leaves' if found.is_member else 'enters'} at {format_instant(found.flips_at)}"
    if found.no_flip_before is not None:
        return f"no change before {format_instant(found.no_flip_before)}; the search ended there"
    return "never changes"


def _stored(stored: StoredMembership | None) -> str:
    if stored is None:
        return "Stored: nothing, the segment was never computed."
    entered = f", entered at {format_instant(stored.entered_at)}" if stored.entered_at else ""
    is_member = "a member" if stored.is_member else "no member"
    said = f"Stored: {is_member}{entered}, computed for {format_instant(stored.at)}"
    if stored.agrees:
        return f"{said}; that agrees."
    return f"{said}; that differs: {'; '.join(reason.text for reason in stored.reasons)}."


def _tree(found: ExplainedCondition, indent: str, marks: _Marks) -> Iterator[str]:
    """A line that asks, one that says what was found, and one for each event that decided it."""
    is_root = not found.path
    flips = "" if is_root or found.flips_at is None else f"; {_becomes(found)} from {format_instant(found.flips_at)}"
    unfolded = f" (see {found.unfolded_at})" if found.unfolded_at else ""
    facts = _FACTS.get(found.type)
    if facts is None or found.actual is None:
        yield f"{indent}{marks.of(found.holds)} {found.asks}{unfolded}{flips}"
    else:
        yield f"{indent}{marks.of(found.holds)} {found.asks}"
        yield f"{indent}{marks.blank}   found {facts(found.actual, bool(found.decided_by))}{flips}"
        for event in found.decided_by:
            yield f"{indent}{marks.blank}   {_event(event)}"
    for inner in found.conditions:
        yield from _tree(inner, f"{indent}  ", marks)


def _becomes(found: ExplainedCondition) -> str:
    return "false" if found.holds else "true"


def _event(event: Event) -> str:
    return f"by {event.event_type} of {format_instant(event.occurred_at)}, {event.event_id}"


def _count(actual: dict[str, Any], decided: bool) -> str:
    return f"{actual['count']:,}"


def _age(actual: dict[str, Any], decided: bool) -> str:
    if actual["age_seconds"] is None:
        return "none"
    return f"{duration(actual['age_seconds'])} ago"


def duration(seconds: float) -> str:
    """The two largest units: ``12 d 3 h``."""
    left = timedelta(seconds=seconds) // timedelta(milliseconds=1)
    parts = []
    for name, length in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)):
        amount, left = divmod(left, length)
        if amount:
            parts.append(f"{amount:,} {name}")
    return " ".join(parts[:2]) or "0 ms"


def _amount(actual: dict[str, Any], decided: bool) -> str:
    ((_, value),) = ((name, value) for name, value in actual.items() if name != "amounts")
    if value is None:
        return "no amounts"
    amounts = actual["amounts"]
    return f"{value} of {amounts:,} {'amount' if amounts == 1 else 'amounts'}"


def _event_value(actual: dict[str, Any], decided: bool) -> str:
    return _value(actual["value"]) if decided else "no such event"


def _user_value(actual: dict[str, Any], decided: bool) -> str:
    return _value(actual["value"]) if decided else "no identification"


def _held(actual: dict[str, Any], decided: bool) -> str:
    if not decided:
        return "no identification"
    since = f"since {format_instant(actual['since'])}" if actual["holds"] else "not now"
    return f"{_value(actual['value'])}, {since}"


def _value(value: object) -> str:
    if value is None:
        return "missing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _steps(actual: dict[str, Any], decided: bool) -> str:
    return f"{actual['steps_reached']} of {actual['steps']} steps"


def _first(actual: dict[str, Any], decided: bool) -> str:
    first = actual["first_occurred_at"]
    return "none" if first is None else format_instant(first)


def _periods(actual: dict[str, Any], decided: bool) -> str:
    counts = " ".join(map(str, actual["counts"]))
    return f"{actual['periods_kept']} of {actual['periods']} periods; events in each, the newest first: {counts}"


_FACTS = {
    "event_count": _count,
    "recency": _age,
    "monetary": _amount,
    "event_property": _event_value,
    "user_property": _user_value,
    "property_held": _held,
    "event_sequence": _steps,
    "first_event": _first,
    "regularity": _periods,
}


def _clean(line: str) -> str:
    """Without what would move the cursor: ids, names and values are the tenant's."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
