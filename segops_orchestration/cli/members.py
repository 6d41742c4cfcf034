"""``segops members``: who is in a segment."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import format_instant, json_option, note

if TYPE_CHECKING:
    from segops_orchestration.compute.members import Member

DEFAULT_LIMIT = 100

# Many members entered at the same instant.
_instant = lru_cache(maxsize=1024)(format_instant)


@click.command()
@click.argument("tenant")
@click.argument("segment")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"At most so many. Default: {DEFAULT_LIMIT}.")
@click.option("--after", metavar="USER", help="Begin behind this user id: the last one of the page before.")
@click.option("--all", "everyone", is_flag=True, help="No limit.")
@json_option
def command(tenant: str, segment: str, limit: int | None, after: str | None, everyone: bool, as_json: bool) -> None:
    """List the members of a segment by user id: one a line, then a tab and when the user entered.

    Members are those of the last computation. A tab, line break or backslash inside a user id is written
    \\t, \\n, \\r or \\\\, so that a line is always one member. With --json, next_after is the --after of the
    next page, or null at the end.

    \b
    Example:
      segops members acme vip --limit 10
      segops members acme vip --all | cut -f1 > users.txt
    """
    from segops_orchestration.compute.members import count_members, iter_members

    if everyone and limit is not None:
        raise click.UsageError("--all and --limit exclude each other.")
    wanted = None if everyone else DEFAULT_LIMIT if limit is None else limit
    with open_tenant(tenant, [segment]) as opened:
        found = opened.catalog.get_segment(tenant, segment)
        count = count_members(opened.database, found.id)
        page = _Page(
            # One more than is shown tells whether there is another page.
            iter_members(opened.database, found.id, limit=None if wanted is None else wanted + 1, after=after),
            wanted,
        )
        if as_json:
            _print_json({"tenant": tenant, "segment": segment, "count": count}, page)
            return
        for member in page:
            _write(f"{_one_line(member.user_id)}\t{_instant(member.computed_at)}\n")
        if found.id not in opened.catalog.committed_state(tenant):
            note(f"Segment {segment} was never computed. Next: segops compute {tenant} {segment}")
        elif not count:
            note(f"Segment {segment} has no members.")
        elif page.last is not None and page.more:
            left = count_members(opened.database, found.id, after=page.last)
            note(f"{left:,} more of {count:,} members: --all, or --after {shlex.quote(page.last)} for the next page.")


class _Page:
    """Members up to a limit, passed on as they come; afterwards it knows the last one and whether more follow."""

    def __init__(self, members: Iterator[Member], limit: int | None) -> None:
        self._members = members
        self._limit = limit
        self.last: str | None = None
        self.more = False

    def __iter__(self) -> Iterator[Member]:
        for member in islice(self._members, self._limit):
            self.last = member.user_id
            yield member
        self.more = next(self._members, None) is not None


def _print_json(head: dict[str, object], page: _Page) -> None:
    """The document, written as the members come: there may be more of them than memory holds."""
    _write("{\n")
    for name, value in head.items():
        _write(f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},\n")
    _write('  "members": [')
    for line in _separated(page):
        _write(line)
    next_after = json.dumps(page.last if page.more else None, ensure_ascii=False)
    _write(f'],\n  "next_after": {next_after}\n}}\n')


def _separated(members: Iterable[Member]) -> Iterator[str]:
    separator = "\n    "
    for member in members:
        user_id = json.dumps(member.user_id, ensure_ascii=False)
        yield f'{separator}{{"user_id": {user_id}, "computed_at": "{_instant(member.computed_at)}"}}'
        separator = ",\n    "
    if separator.startswith(","):
        yield "\n  "


def _write(text: str) -> None:
    """Unlike click.echo this does not flush, which for a million lines would be most of the work."""
    sys.stdout.write(text)


def _one_line(user_id: str) -> str:
    return user_id.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
