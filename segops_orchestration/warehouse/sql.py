"""Reading SQL text just far enough: where statements end, what kind they are, where an INSERT's data begins.

The engine has the only real parser. Here a tokenizer that knows comments, quotes and brackets is enough, and it
never guesses inside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
    (?P<blank>   \s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<quoted>  '(?:\\.|''|[^'\\])*(?:'|\Z) | "(?:\\.|""|[^"\\])*(?:"|\Z) | `(?:\\.|``|[^`\\])*(?:`|\Z) )
  | (?P<word>    [A-Za-z_][A-Za-z0-9_]* )
  | (?P<number>  [0-9][A-Za-z0-9_.]* )
  | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_READS = frozenset({b"SELECT", b"WITH", b"FROM"})
_OPEN, _CLOSE = frozenset(b"([{"), frozenset(b")]}")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: bytes
    start: int
    end: int
    depth: int

    @property
    def keyword(self) -> bytes:
        return self.text.upper() if self.kind == "word" else b""


def _tokens(sql: bytes) -> Iterator[_Token]:
    """All tokens but blanks and comments, each with its bracket depth."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "other"
        if kind == "blank":
            continue
        text = match.group()
        if kind == "other" and text[0] in _CLOSE:
            depth = max(0, depth - 1)
        yield _Token(kind, text, match.start(), match.end(), depth)
        if kind == "other" and text[0] in _OPEN:
            depth += 1


def split_statements(text: str) -> list[str]:
    """The statements of a file, separated by semicolons, without surrounding blanks; empty ones are left out."""
    source = text.encode()
    statements: list[str] = []
    start: int | None = None
    for token in _tokens(source):
        if token.text == b";" and token.depth == 0:
            if start is not None:
                statements.append(source[start : token.start].decode().strip())
            start = None
        elif start is None:
            start = token.start
    if start is not None:
        statements.append(source[start:].decode().strip())
    return statements


def first_keyword(sql: bytes) -> bytes:
    """The first word in capitals, past comments and opening brackets; empty if there is none."""
    for token in _tokens(sql):
        if token.text != b"(":
            return token.keyword
    return b""


def is_read(sql: bytes) -> bool:
    """Whether the statement is a SELECT in one of its spellings."""
    return first_keyword(sql) in _READS


@dataclass(frozen=True)
class Tail:
    """The end of a query: ``body`` before the FORMAT clause, ``format`` its name or None."""

    body: bytes
    format: str | None


def split_format(sql: bytes) -> Tail:
    """Take a trailing ``FORMAT name`` (and semicolons) off a query."""
    tokens = [token for token in _tokens(sql)]
    while tokens and tokens[-1].text == b";":
        tokens.pop()
    if not tokens:
        return Tail(b"", None)
    end = tokens[-1].end
    if len(tokens) >= 3 and tokens[-2].keyword == b"FORMAT" and tokens[-1].kind == "word":
        # A comment between the query and FORMAT may end without a newline only at the end of the text.
        return Tail(sql[: tokens[-2].start], tokens[-1].text.decode())
    return Tail(sql[:end], None)


@dataclass(frozen=True)
class InsertHead:
    """``INSERT INTO t (columns)`` split from the data that follows it.

    Attributes:
        target: the statement up to its SETTINGS or FORMAT clause.
        settings: the SETTINGS clause, keyword included, or empty.
        format: the input format's name.
        data_start: offset of the first data byte.
    """

    target: bytes
    settings: bytes
    format: str
    data_start: int


def insert_head(sql: bytes) -> InsertHead | None:
    """Find the end of ``INSERT ... FORMAT name``; None when the statement is anything else.

    ``INSERT ... VALUES`` and ``INSERT ... SELECT`` are ordinary statements: None.
    """
    tokens = _tokens(sql)
    first = next(tokens, None)
    if first is None or first.keyword != b"INSERT":
        return None
    settings_start: int | None = None
    for token in tokens:
        if token.depth > 0 or token.kind != "word":
            continue
        if token.keyword == b"FORMAT":
            return _head_at(sql, tokens, token.start, settings_start)
        if token.keyword in _READS or token.keyword == b"VALUES":
            return None
        if token.keyword == b"SETTINGS":
            settings_start = token.start
    return None


def _head_at(sql: bytes, rest: Iterator[_Token], format_start: int, settings_start: int | None) -> InsertHead | None:
    name = next(rest, None)
    if name is None or name.kind != "word":
        return None
    target_end = format_start if settings_start is None else settings_start
    blank = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?").match(sql, name.end)
    return InsertHead(
        target=sql[:target_end].rstrip(),
        settings=sql[target_end:format_start].strip(),
        format=name.text.decode(),
        data_start=blank.end() if blank else name.end,
    )
