"""How commands speak: tables and messages for people, one JSON document on stdout for scripts (``--json``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from segops_orchestration.errors import InvalidDocument, SegOpsError

_PIPE_WIDTH = 100_000

json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of a table."
)


def format_instant(value: datetime | None) -> str:
    """``2026-01-31T10:00:00.000Z``; an empty text for None."""
    if value is None:
        return ""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Path | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_json(document: object) -> None:
    """Write one JSON document to stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_encode))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Write a table to stdout. Numbers are right-aligned with thousands separators, None is empty."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in body)
        # On a narrow terminal text goes on in the next line; nothing is cut off.
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in body:
        table.add_row(*[Text(_cell(value)) for value in row])
    # A pipe has no width: let rows be as long as they are there, so that grep and cut see whole lines.
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(width=width, highlight=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value)


def note(message: str) -> None:
    """Tell a person how the work goes: on stderr, so that stdout stays clean for results."""
    click.echo(message, err=True)


def fail(error: SegOpsError, *, as_json: bool = False) -> None:
    """Print an error on stderr, for a person or as JSON: ``{"error": {"type", "message", "problems"}}``."""
    if not as_json:
        click.echo(click.style("Error: ", fg="red", bold=True, reset=True) + str(error), err=True)
        return
    body: dict[str, object] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, InvalidDocument):
        body["problems"] = [asdict(problem) for problem in error.problems]
    _print_error(body)


def fail_usage(error: click.ClickException) -> None:
    """Print a mistake in what was typed on stderr, as JSON."""
    _print_error({"type": "Usage", "message": error.format_message()})


def _print_error(body: dict[str, object]) -> None:
    click.echo(json.dumps({"error": body}, indent=2, ensure_ascii=False), err=True)
