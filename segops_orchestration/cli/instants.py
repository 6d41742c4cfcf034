"""Instants on the command line."""

from __future__ import annotations

from datetime import datetime

import click

_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def instant(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """The value of an option that takes an ISO date or time, read as in segment definitions."""
    from segops_orchestration.dsl.values import parse_date

    if text is None:
        return None
    found = parse_date(text)
    if found is None:
        raise click.BadParameter(
            f"{text!r} is no instant; write 2026-01-31 (midnight UTC) or 2026-01-31T10:00:00Z: "
            "with Z, with an offset such as +02:00, or with neither for UTC"
        )
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise click.BadParameter(
            f"{text!r} is out of range; the years are {_FIRST_YEAR} to {_LAST_YEAR}, as for events"
        )
    return found
