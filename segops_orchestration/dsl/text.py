"""YAML and JSON text into plain JSON values, for documents that people write.

YAML is read as the JSON it stands for: a word is text unless it is a JSON number, ``true``, ``false`` or ``null``.
Dates, ``yes``, ``on``, ``0777`` and ``12:30`` stay text; a number has one spelling. Anchors and aliases, tags and
several documents in one text are refused, and so is a key that occurs twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Literal

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from segops_orchestration.dsl.wording import child, element
from segops_orchestration.errors import InvalidDocument, Problem

Format = Literal["yaml", "json"]

MAX_TEXT_BYTES = 512 * 1024
MAX_TEXT_DEPTH = 100

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WORDS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}


def read_text(text: str | bytes, *, format: Format, source: str = "") -> object:
    """The JSON value that the text states.

    Raises InvalidDocument: not UTF-8, too large, a syntax error (with its line), or keys that occur twice.
    """
    try:
        decoded = _decoded(text)
        value, twice = _read_yaml(decoded) if format == "yaml" else _read_json(decoded)
    except _Unreadable as error:
        raise InvalidDocument([Problem("", str(error))], source) from None
    if twice:
        raise InvalidDocument(twice, source)
    return value


class _Unreadable(Exception):
    """The text as a whole cannot be read."""


def _decoded(text: str | bytes) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise _Unreadable(f"found a text of {size:,} bytes; allowed: {MAX_TEXT_BYTES:,}")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _Unreadable(f"found byte {error.object[error.start]:#04x} at {error.start}; allowed: UTF-8") from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise _Unreadable("found an empty text; allowed: a segment document")
    return text


# JSON


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys occurred twice."""

    twice: tuple[str, ...] = ()


def _read_json(text: str) -> tuple[object, list[Problem]]:
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _Unreadable(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise _Unreadable(_TOO_DEEP) from None
    except ValueError:  # Python refuses to convert integers of more than 4,300 digits
        raise _Unreadable(_LONG_INTEGER) from None
    return value, _repeated_keys(value)


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) < len(pairs):
        result.twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return result


def _repeated_keys(value: object) -> list[Problem]:
    """Walks without recursion, in document order."""
    problems = []
    pending: list[tuple[str, object]] = [("", value)]
    while pending:
        path, node = pending.pop()
        inner: list[tuple[str, object]] = []
        if isinstance(node, _Object):
            problems += [Problem(child(path, key), _TWICE) for key in node.twice]
            inner = [(child(path, key), item) for key, item in node.items()]
        elif isinstance(node, list):
            inner = [(element(path, index), item) for index, item in enumerate(node)]
        pending += reversed(inner)
    return problems


# YAML


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what a JSON document has no use for, before it can cost anything."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Unreadable(f"line {line}: anchors and aliases are not supported; write the value out")
        tag = getattr(event, "tag", None)
        if tag:
            raise _Unreadable(f"line {line}: tags ({tag}) are not supported; quote what is to be text")
        self.depth += 1
        if self.depth > MAX_TEXT_DEPTH:
            raise _Unreadable(f"line {line}: {_TOO_DEEP}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _read_yaml(text: str) -> tuple[object, list[Problem]]:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _Unreadable(_yaml_message(error)) from None
    if root is None:
        raise _Unreadable("found no document; allowed: a segment document")
    problems: list[Problem] = []
    return _plain("", root, problems), problems


def _plain(path: str, node: Node, problems: list[Problem]) -> object:
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, SequenceNode):
        return [_plain(element(path, index), item, problems) for index, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    result: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            problems.append(Problem(path, f"line {line}: a key is text; found an array or object"))
            continue
        key = _joined(str(key_node.value))
        if key in result:
            problems.append(Problem(child(path, key), f"{_TWICE} (again on line {line})"))
        result[key] = _plain(child(path, key), value_node, problems)
    return result


def _scalar(node: ScalarNode) -> object:
    text = _joined(str(node.value))
    if node.style is not None:
        return text  # quoted, or a block
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    if not text.lstrip("-").isdigit():
        return float(text)
    if len(text) > _MAX_DIGITS:
        raise _Unreadable(_LONG_INTEGER)
    return int(text)


def _joined(text: str) -> str:
    """JSON writes a character beyond 16 bits as two escapes; YAML takes each for a character."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def _yaml_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    parts = (getattr(error, name, None) for name in ("context", "problem", "reason"))
    return f"{where}not YAML: {', '.join(str(part) for part in parts if part) or 'cannot be read'}"


_MAX_DIGITS = 4_000
_LONG_INTEGER = "found an integer of thousands of digits"
_TOO_DEEP = f"nested too deep; allowed: {MAX_TEXT_DEPTH} levels of objects and arrays"
_TWICE = "the key occurs twice; allowed: once"
