"""Writing SQL that people can read: one clause a line, subqueries indented."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from segops_orchestration.compiler.parameters import AT, ScopedParameters
from segops_orchestration.dsl.durations import days_to_milliseconds


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


def interval(name: str, milliseconds: int, parameters: ScopedParameters) -> str:
    """A span of time as a bound parameter."""
    return f"toIntervalMillisecond({parameters.integer(name, milliseconds)})"


def window_start(window_days: float, parameters: ScopedParameters) -> str:
    """The lower edge of ``T - N*24h < occurred_at <= T``; every source sets the upper edge."""
    return f"occurred_at > {AT} - {interval('window_ms', days_to_milliseconds(window_days), parameters)}"
