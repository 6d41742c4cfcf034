"""Segment documents on disk: which files there are, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from segops_orchestration.dsl.segment_file import SegmentDocument, parse_segment_text
from segops_orchestration.dsl.text import Format
from segops_orchestration.errors import InvalidDocument, NotFound, Problem, SegOpsError

FORMATS: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_ALLOWED = ", ".join(f"*{suffix}" for suffix in FORMATS)

paths_argument: Callable[[Callable[..., Any]], Callable[..., Any]] = click.argument(
    "paths", metavar="DIR_OR_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)


@dataclass(frozen=True)
class SegmentFile:
    """A segment and the file that it was read from, as the user named it."""

    path: Path
    document: SegmentDocument


def read_segment_files(paths: Iterable[Path]) -> list[SegmentFile]:
    """Every segment in these files and directories (not deeper), in the order given, a directory's by file name.

    Raises:
        NotFound: a path does not exist, or a directory holds no segment file.
        InvalidDocument: every problem of every file; also two files with one slug.
        SegOpsError: a file cannot be read, or is of another kind.
    """
    result: list[SegmentFile] = []
    problems: list[Problem] = []
    for path in _files(paths):
        try:
            document = parse_segment_text(_read(path), format=FORMATS[path.suffix.lower()])
        except InvalidDocument as error:
            problems += [_in_file(path, problem) for problem in error.problems]
        else:
            result.append(SegmentFile(path, document))
    problems += _slugs_used_twice(result)
    if problems:
        raise InvalidDocument(problems)
    return result


def require_directories(paths: Iterable[Path]) -> None:
    """Refuse --prune with single files: of those nobody can say what they no longer have."""
    files = [str(path) for path in paths if not path.is_dir()]
    if files:
        raise click.UsageError(f"--prune archives what directories no longer have; {', '.join(files)} is none.")


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files to read, each once though it may be named twice."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _expand(path):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _expand(path: Path) -> Sequence[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS and file.is_file())
        if not files:
            raise NotFound(f"{path}: no segment file ({_ALLOWED}) in this directory")
        return files
    if not path.exists():
        raise NotFound(f"{path}: no such file or directory")
    if path.suffix.lower() not in FORMATS:
        raise SegOpsError(f"{path}: not a segment file; allowed: {_ALLOWED}")
    return [path]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegOpsError(f"{path}: cannot be read: {error.strerror}") from error


def _in_file(path: Path, problem: Problem) -> Problem:
    where = f"{path}: {problem.path}" if problem.path else str(path)
    return Problem(where, problem.message)


def _slugs_used_twice(files: Iterable[SegmentFile]) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for file in files:
        slug = file.document.slug
        if slug in first:
            yield Problem(f"{file.path}: slug", f"{slug!r} is the slug of {first[slug]} too; each file needs its own")
        first.setdefault(slug, file.path)
