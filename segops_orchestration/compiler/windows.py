"""Which events a condition looks at by their time: its window as edges, fixed ones and ones that move with T."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from segops_orchestration.compiler.parameters import AT, ScopedParameters
from segops_orchestration.compiler.sql import earlier
from segops_orchestration.dsl.durations import Span, days_span, span, span_of
from segops_orchestration.dsl.models import (
    AgoWindow,
    Duration,
    EventCount,
    EventProperty,
    EventSequence,
    FirstEvent,
    FixedWindow,
    Monetary,
)
from segops_orchestration.dsl.values import parse_date

Windowed = EventCount | EventProperty | EventSequence | FirstEvent | Monetary

NOW = Span()


@dataclass(frozen=True)
class Window:
    """``T - oldest < occurred_at <= T - newest`` and ``start <= occurred_at < end``; None is no edge."""

    oldest: Span | None = None
    newest: Span = NOW
    start: datetime | None = None
    end: datetime | None = None

    def predicates(self, parameters: ScopedParameters, time: str = "occurred_at") -> list[str]:
        """That the instant ``time``, which is at or before T, lies in the window."""
        parts = []
        if self.oldest is not None:
            parts.append(f"{time} > {earlier(AT, self.oldest, 'window', parameters)}")
        if self.newest:
            parts.append(f"{time} <= {earlier(AT, self.newest, 'window_end', parameters)}")
        return [*parts, *self.fixed_predicates(parameters, time)]

    def fixed_predicates(self, parameters: ScopedParameters, time: str = "occurred_at") -> list[str]:
        """The same of the edges that do not move."""
        parts = []
        if self.start is not None:
            parts.append(f"{time} >= {parameters.instant('from', self.start)}")
        if self.end is not None:
            parts.append(f"{time} < {parameters.instant('to', self.end)}")
        return parts


ALWAYS = Window()


def window_of(condition: Windowed) -> Window:
    """The window that the condition gives in either of its fields; without one, all of the past."""
    if isinstance(condition, EventProperty):
        return _window(condition.window)
    if condition.window_days is not None:
        return Window(oldest=days_span(condition.window_days))
    return _window(condition.window)


def _window(window: Duration | FixedWindow | AgoWindow | None) -> Window:
    match window:
        case None:
            return ALWAYS
        case Duration():
            return Window(oldest=span_of(window))
        case FixedWindow():
            return Window(start=parse_date(window.from_), end=parse_date(window.to))
        case AgoWindow():
            oldest = None if window.from_ago is None else span(window.from_ago, window.unit)
            return Window(oldest, span(window.to_ago or 0, window.unit))
