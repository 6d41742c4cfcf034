"""Documents on disk: which files there are, and what is wrong with them. Segments and connectors lie side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from segops_orchestration.dsl.text import Format
from segops_orchestration.errors import InvalidDocument, NotFound, Problem, SegOpsError

FORMATS: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}

paths_argument: Callable[[Callable[..., Any]], Callable[..., Any]] = click.argument(
    "paths", metavar="DIR_OR_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)

Document = TypeVar("Document")


@dataclass(frozen=True)
class Kind:
    """What a file holds, told by its name: ``mark`` stands before the suffix, ``command`` reads it."""

    name: str
    mark: str
    command: str

    @property
    def allowed(self) -> str:
        """How its files are called."""
        return ", ".join(f"*{self.mark}{suffix}" for suffix in FORMATS)


SEGMENT = Kind("segment", "", "segops segments apply")
CONNECTOR = Kind("connector", ".connector", "segops connectors apply")


def kind_of(path: Path) -> Kind | None:
    """What a file of this name holds; None for neither."""
    if path.suffix.lower() not in FORMATS:
        return None
    return CONNECTOR if path.stem.lower().endswith(CONNECTOR.mark) else SEGMENT


def read_documents(
    paths: Iterable[Path],
    kind: Kind,
    parse: Callable[[bytes, Format], Document],
    slug: Callable[[Document], str],
) -> list[tuple[Path, Document]]:
    """Every document of a kind in these files and directories (not deeper), in order, a directory's by file name.

    Raises:
        NotFound: a path does not exist, or a directory holds no file of the kind.
        InvalidDocument: every problem of every file; also two files with one slug.
        SegOpsError: a file cannot be read, or is of another kind.
    """
    result: list[tuple[Path, Document]] = []
    problems: list[Problem] = []
    for path in _files(paths, kind):
        try:
            document = parse(_read(path), FORMATS[path.suffix.lower()])
        except InvalidDocument as error:
            problems += [in_file(path, problem) for problem in error.problems]
        else:
            result.append((path, document))
    problems += _slugs_used_twice((path, slug(document)) for path, document in result)
    if problems:
        raise InvalidDocument(problems)
    return result


def in_file(path: Path, problem: Problem) -> Problem:
    """The problem, with the file that it is in."""
    return Problem(f"{path}: {problem.path}" if problem.path else str(path), problem.message)


def _files(paths: Iterable[Path], kind: Kind) -> list[Path]:
    """The files to read, each once though it may be named twice."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _expand(path, kind):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _expand(path: Path, kind: Kind) -> Sequence[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if kind_of(file) == kind and file.is_file())
        if not files:
            raise NotFound(f"{path}: no {kind.name} file ({kind.allowed}) in this directory")
        return files
    if not path.exists():
        raise NotFound(f"{path}: no such file or directory")
    found = kind_of(path)
    if found is None:
        raise SegOpsError(f"{path}: not a {kind.name} file; allowed: {kind.allowed}")
    if found != kind:
        raise SegOpsError(f"{path}: a {found.name} file by its name, not a {kind.name} file; {found.command} reads it")
    return [path]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegOpsError(f"{path}: cannot be read: {error.strerror}") from error


def _slugs_used_twice(files: Iterable[tuple[Path, str]]) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, slug in files:
        if slug in first:
            yield Problem(f"{path}: slug", f"{slug!r} is the slug of {first[slug]} too; each file needs its own")
        first.setdefault(slug, path)
