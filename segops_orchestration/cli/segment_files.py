"""Segment documents on disk: which files there are, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from segops_orchestration.cli.document_files import SEGMENT, read_documents
from segops_orchestration.cli.document_files import paths_argument as paths_argument
from segops_orchestration.dsl.segment_file import SegmentDocument, parse_segment_text


@dataclass(frozen=True)
class SegmentFile:
    """A segment and the file that it was read from, as the user named it."""

    path: Path
    document: SegmentDocument


def read_segment_files(paths: Iterable[Path]) -> list[SegmentFile]:
    """Every segment in these files and directories (not deeper), in the order given, a directory's by file name.

    The connector files of a directory are left alone.

    Raises:
        NotFound: a path does not exist, or a directory holds no segment file.
        InvalidDocument: every problem of every file; also two files with one slug.
        SegOpsError: a file cannot be read, or is of another kind.
    """
    files = read_documents(
        paths,
        SEGMENT,
        lambda text, format: parse_segment_text(text, format=format),
        lambda document: document.slug,
    )
    return [SegmentFile(path, document) for path, document in files]


def require_directories(paths: Iterable[Path]) -> None:
    """Refuse --prune with single files: of those nobody can say what they no longer have."""
    files = [str(path) for path in paths if not path.is_dir()]
    if files:
        raise click.UsageError(f"--prune archives what directories no longer have; {', '.join(files)} is none.")
