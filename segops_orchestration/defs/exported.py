"""Which files of a tenant are still what its segments hold, so that a delta writes only what changed.

A manifest beside the files says up to which committed computation each file is current. A segment's file is stale
when a later one, committed by now, recorded a change of that segment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Segment
from segops_orchestration.errors import SegOpsError
from segops_orchestration.exports.export import FORMATS, export_segment
from segops_orchestration.warehouse.client import TenantWarehouse

_MANIFEST = ".manifest.json"
_LOCK_SECONDS = 600

_CHANGED = """SELECT segment_id, max(computation_id)
FROM membership_changes
WHERE segment_id IN {segment_ids:Array(UInt64)} AND computation_id > {after:UInt64}
GROUP BY segment_id"""


@dataclass(frozen=True)
class CurrentFile:
    """A file that lists a segment's members as of ``computation_id``. ``path`` is absolute; ``written`` just now."""

    segment: str
    path: str
    rows: int
    bytes: int
    computation_id: int
    written: bool = False


def export_tenant(
    catalog: Catalog, warehouse: TenantWarehouse, directory: Path, *, only_changed: bool
) -> list[CurrentFile]:
    """Bring the CSV and Parquet files of a tenant's computed active segments up to date, by slug and format.

    Args:
        only_changed: leave files alone that list the right members already.

    Raises:
        SegOpsError: a file cannot be written, or the directory is in use for too long.
    """
    with _locked(directory):
        manifest = _Manifest.read(directory)
        # Read before the members are: a computation committed meanwhile then makes the file stale, never missed.
        committed = catalog.committed_state(warehouse.slug)
        segments = [one for one in catalog.list_segments(warehouse.slug) if one.id in committed]
        current = {segment.id: committed[segment.id].computation_id for segment in segments}
        stale = _stale(warehouse, manifest, segments, current) if only_changed else {one.id for one in segments}
        files: list[CurrentFile] = []
        for segment in segments:
            if segment.id in stale:
                files += _write(warehouse, segment, current[segment.id], directory)
            else:
                files += manifest.kept(segment, current[segment.id])
            manifest.put(segment, files[-len(FORMATS) :])
        manifest.write(directory)
    return files


def _write(warehouse: TenantWarehouse, segment: Segment, computation_id: int, directory: Path) -> list[CurrentFile]:
    exported = [export_segment(warehouse, segment.id, segment.slug, fmt=fmt, directory=directory) for fmt in FORMATS]
    return [
        CurrentFile(segment.slug, str(file.path), file.rows, file.bytes, computation_id, written=True)
        for file in exported
    ]


def _stale(
    warehouse: TenantWarehouse, manifest: _Manifest, segments: Sequence[Segment], current: Mapping[int, int]
) -> set[int]:
    """Segments without intact files, and those with a committed change after their files."""
    stale = {segment.id for segment in segments if not manifest.is_intact(segment)}
    known = {one.id: manifest.computation(one) for one in segments if one.id not in stale}
    behind = [segment_id for segment_id, computation_id in known.items() if computation_id != current[segment_id]]
    if not behind:
        return stale
    after = min(known[segment_id] for segment_id in behind)
    changed = warehouse.query(_CHANGED, {"segment_ids": behind, "after": after}).result_rows
    return stale | {segment_id for segment_id, last in changed if last > known[segment_id]}


class _Manifest:
    """What is known of the files of one directory, by segment id."""

    def __init__(self, files: dict[str, list[CurrentFile]]) -> None:
        self._files = files

    @classmethod
    def read(cls, directory: Path) -> _Manifest:
        """The manifest; an empty one when it is absent or unreadable, so that everything is written anew."""
        try:
            document: dict[str, list[dict[str, Any]]] = json.loads((directory / _MANIFEST).read_text())
            return cls({key: [CurrentFile(**file) for file in files] for key, files in document.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls({})

    def write(self, directory: Path) -> None:
        temporary = directory / f"{_MANIFEST}.{os.getpid()}"
        document = {key: [{**asdict(file), "written": False} for file in files] for key, files in self._files.items()}
        temporary.write_text(json.dumps(document, indent=1))
        temporary.replace(directory / _MANIFEST)

    def put(self, segment: Segment, files: list[CurrentFile]) -> None:
        self._files[str(segment.id)] = files

    def kept(self, segment: Segment, computation_id: int) -> list[CurrentFile]:
        """The files as they are, current up to ``computation_id``."""
        return [
            CurrentFile(file.segment, file.path, file.rows, file.bytes, computation_id)
            for file in self._files[str(segment.id)]
        ]

    def computation(self, segment: Segment) -> int:
        return min(file.computation_id for file in self._files[str(segment.id)])

    def is_intact(self, segment: Segment) -> bool:
        files = self._files.get(str(segment.id), [])
        return len(files) == len(FORMATS) and all(map(_is_there, files))


def _is_there(file: CurrentFile) -> bool:
    try:
        return os.stat(file.path).st_size == file.bytes
    except OSError:
        return False


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / ".lock", timeout=_LOCK_SECONDS):
            yield
    except Timeout as error:
        raise SegOpsError(f"{directory}: another process has been exporting into it for too long") from error
    except OSError as error:
        raise SegOpsError(f"{directory}: cannot be written: {error.strerror}") from error
