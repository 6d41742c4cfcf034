"""``segops members``: who is in a segment."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.instants import instant
from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import format_instant, json_option, note

if TYPE_CHECKING:
    from segops_orchestration.catalog.records import Segment
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
@click.option("--as-of", callback=instant, metavar="INSTANT", help="Who was in then, from the recorded changes.")
@json_option
def command(
    tenant: str,
    segment: str,
    limit: int | None,
    after: str | None,
    everyone: bool,
    as_of: datetime | None,
    as_json: bool,
) -> None:
    """List the members of a segment by user id: one a line, then a tab and when the user entered.

    Members are those of the last computation. A tab, line break or backslash inside a user id is written
    \\t, \\n, \\r or \\\\, so that a line is always one member. With --json, next_after is the --after of the
    next page, or null at the end.

    With --as-of, members are those that the computation of the latest instant up to that one found; of several for
    the same instant the last counts. One that was made for an earlier instant afterwards (compute --at) answers for its
    own instant and changes nothing in what later ones had found.

    \b
    Example:
      segops members acme vip --limit 10
      segops members acme vip --all | cut -f1 > users.txt
      segops members acme vip --as-of 2026-01-31
    """
    if everyone and limit is not None:
        raise click.UsageError("--all and --limit exclude each other.")
    wanted = None if everyone else DEFAULT_LIMIT if limit is None else limit
    with open_tenant(tenant, [segment]) as opened:
        found = opened.catalog.get_segment(tenant, segment)
        members = _now(opened, found) if as_of is None else _then(opened, found, as_of)
        count = members.count(None)
        # One more than is shown tells whether there is another page.
        page = _Page(members.listed(None if wanted is None else wanted + 1, after), wanted)
        if as_json:
            head = {"tenant": tenant, "segment_id": found.id, "slug": found.slug, "status": found.status}
            _print_json({**head, **members.said, "count": count}, page)
            return
        for member in page:
            _write(f"{one_line(member.user_id)}\t{_instant(member.computed_at)}\n")
        _tell(members, found, count, page)


@dataclass(frozen=True)
class _Members:
    """The members at one instant: how to count them (behind a user id) and list them, and what is to be said of them.

    ``note`` is for people, ``said`` for JSON; ``missing`` says why there is nothing to list, else it is empty.
    """

    count: Callable[[str | None], int]
    listed: Callable[[int | None, str | None], Iterator[Member]]
    note: str
    said: Mapping[str, object]
    missing: str = ""


def _now(opened: OpenTenant, segment: Segment) -> _Members:
    from segops_orchestration.compute.members import count_members, iter_members

    last = opened.catalog.committed_state(opened.slug).get(segment.id)
    missing = "" if last else f"was never computed. Next: segops compute {opened.slug} {segment.slug}"
    note = ""
    if segment.status == "archived" and last is not None:
        note = (
            f"Segment {segment.slug} is archived: these are the members of its last computation, {_instant(last.at)}."
        )
    return _Members(
        lambda after: count_members(opened.database, segment.id, after=after),
        lambda limit, after: iter_members(opened.database, segment.id, limit=limit, after=after),
        note,
        {},
        missing,
    )


def _then(opened: OpenTenant, segment: Segment, at: datetime) -> _Members:
    from segops_orchestration.compute.history import count_members_as_of, iter_members_as_of

    found = opened.catalog.change_as_of(opened.slug, segment.id, at)
    if found is None:
        said: dict[str, object] = {"as_of": _instant(at), "computation": None}
        missing = f"was not computed up to {_instant(at)}. See: segops changes {opened.slug} {segment.slug} --all"
        return _Members(lambda after: 0, lambda limit, after: iter(()), "", said, missing)
    number = found.computation_id
    computation = {"computation_id": number, "at": _instant(found.at), "mode": found.mode, "version": found.version}
    return _Members(
        lambda after: count_members_as_of(opened.database, segment.id, number, after=after),
        lambda limit, after: iter_members_as_of(opened.database, segment.id, number, limit=limit, after=after),
        f"As computed for {_instant(found.at)} (computation {number}, version {found.version}).",
        {"as_of": _instant(at), "computation": computation},
    )


def _tell(members: _Members, segment: Segment, count: int, page: _Page) -> None:
    if members.missing:
        note(f"Segment {segment.slug} {members.missing}")
        return
    if members.note:
        note(members.note)
    if not count:
        note(f"Segment {segment.slug} has no members." if not members.said else "Nobody was in.")
    elif page.last is not None and page.more:
        left = members.count(page.last)
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


def one_line(user_id: str) -> str:
    """A user id without anything that would end a line or a column."""
    return user_id.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
