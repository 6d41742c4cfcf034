"""Writing SQL that people can read: one clause a line, subqueries indented."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from segops_orchestration.compiler.parameters import ScopedParameters
from segops_orchestration.dsl.durations import Span


def select(
    columns: str | Sequence[str],
    relation: str,
    where: Sequence[str] = (),
    *,
    group_by: str | None = None,
    having: str | None = None,
) -> str:
    """A SELECT. ``relation`` is a table or, when it begins with SELECT, a subquery."""
    listed = columns if isinstance(columns, str) else ", ".join(columns)
    source = f"(\n{indent(relation)}\n)" if relation.startswith("SELECT") else relation
    lines = [f"SELECT {listed}", f"FROM {source}"]
    if where:
        lines.append("WHERE " + "\n  AND ".join(where))
    if group_by:
        lines.append(f"GROUP BY {group_by}")
    if having:
        lines.append(f"HAVING {having}")
    return "\n".join(lines)


def indent(text: str) -> str:
    """Two spaces before every line."""
    return textwrap.indent(text, "  ")


def earlier(instant: str, span: Span, name: str, parameters: ScopedParameters) -> str:
    """The instant ``span`` before ``instant``, the span being a bound parameter."""
    return f"{instant} - {interval(span, name, parameters)}" if span else instant


def later(instant: str, span: Span, name: str, parameters: ScopedParameters) -> str:
    """The instant ``span`` after ``instant``."""
    return f"{instant} + {interval(span, name, parameters)}" if span else instant


def interval(span: Span, name: str, parameters: ScopedParameters) -> str:
    """A span of time as a bound parameter."""
    # ClickHouse takes the last day of a month that lacks the day, as the language does.
    if span.months:
        return f"toIntervalMonth({parameters.integer(f'{name}_months', span.months)})"
    return f"toIntervalMillisecond({parameters.integer(f'{name}_ms', span.milliseconds)})"
