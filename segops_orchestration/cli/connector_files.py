"""Connector documents on disk: which files there are, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segops_orchestration.cli.document_files import CONNECTOR, read_documents

if TYPE_CHECKING:
    from segops_orchestration.activation.connector_file import ConnectorDocument


@dataclass(frozen=True)
class ConnectorFile:
    """A connector and the file that it was read from, as the user named it."""

    path: Path
    document: ConnectorDocument


def read_connector_files(paths: Iterable[Path]) -> list[ConnectorFile]:
    """Every connector in these files and directories (not deeper), in the order given, a directory's by file name.

    The segment files of a directory are left alone.

    Raises:
        NotFound: a path does not exist, or a directory holds no connector file.
        InvalidDocument: every problem of every file; also two files with one slug.
        SegOpsError: a file cannot be read, or is of another kind.
    """
    from segops_orchestration.activation.connector_file import parse_connector_text

    files = read_documents(
        paths,
        CONNECTOR,
        lambda text, format: parse_connector_text(text, format=format),
        lambda document: document.spec.slug,
    )
    return [ConnectorFile(path, document) for path, document in files]
