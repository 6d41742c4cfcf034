"""A file to ingest: what format it is, how to read its bytes, and what identifies its content."""

from __future__ import annotations

import codecs
import difflib
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from segops_orchestration.errors import NotFound, SegOpsError

FORMATS = ("csv", "jsonl", "parquet")
_EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_EXPECTED = "the name must end in .csv, .tsv, .jsonl, .ndjson (each also .gz), .parquet or .pq, or say --format"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or spreadsheet",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
}
_BLOCK = 1 << 20
# Stands for one byte that is not UTF-8: as long as what it replaces, so that readers get the size they asked for.
NOT_UTF8 = "\x1a"


@dataclass(frozen=True)
class Source:
    """A regular, readable, non-empty file whose content looks like its format.

    ``mark`` tells whether the file was written to since; ``name`` is the file as the user gave it.
    """

    path: Path
    name: str
    format: str
    gzipped: bool
    delimiter: str
    size: int
    mark: tuple[int, ...]

    def error(self, message: str) -> SegOpsError:
        """An error about this file."""
        return SegOpsError(f"{self.name}: {message}")

    def check_unchanged(self) -> None:
        """Refuse a file that was written to while it was read: rows and ids would not belong together.

        Raises:
            SegOpsError: size, modification time or inode changed since ``inspect``.
        """
        try:
            now = _mark(self.path.stat())
        except OSError as error:
            raise self.error(f"gone while it was read ({error.strerror})") from None
        if now != self.mark:
            raise self.error("the file was written to while it was read; ingest it again when it is complete")


def inspect(path: Path | str, *, format: str | None = None, delimiter: str | None = None) -> Source:
    """Look at a file's name and first bytes.

    Args:
        format: one of ``FORMATS``; None goes by the extension.
        delimiter: of CSV; None is a tab for .tsv, else a comma.

    Raises:
        NotFound: there is no such file.
        SegOpsError: a directory, not a regular file, unreadable, empty, or not of the format it claims.
    """
    name, path = str(path), Path(path)
    status = _status(path, name)
    kind = format or _format_of(path, name)
    head = _head(path, name)
    if not head:
        raise SegOpsError(f"{name}: the file is empty")
    gzipped = head.startswith(_GZIP)
    _check_content(name, kind, head, gzipped)
    stem = path.name[: -len(".gz")] if path.name.endswith(".gz") else path.name
    default = "\t" if stem.lower().endswith(".tsv") else ","
    return Source(path, name, kind, gzipped, delimiter or default, status.st_size, _mark(status))


def _status(path: Path, name: str) -> os.stat_result:
    try:
        status = path.stat()
    except FileNotFoundError:
        close = difflib.get_close_matches(path.name, _neighbours(path), n=1)
        hint = f"; did you mean {str(path.with_name(close[0]))!r}?" if close else ""
        raise NotFound(f"{name}: no such file{hint}") from None
    except OSError as error:
        raise SegOpsError(f"{name}: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        raise SegOpsError(f"{name}: is a directory; name its files, for instance {path / '*.csv'}")
    if not stat.S_ISREG(status.st_mode):
        raise SegOpsError(f"{name}: not a regular file; a file is read more than once, so a pipe cannot be ingested")
    return status


def _neighbours(path: Path) -> list[str]:
    try:
        return [each.name for each in path.parent.iterdir()]
    except OSError:
        return []


def _format_of(path: Path, name: str) -> str:
    suffixes = [each.lower() for each in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = _EXTENSIONS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise SegOpsError(f"{name}: cannot tell the format; {_EXPECTED} {'|'.join(FORMATS)}")
    return kind


def _head(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise SegOpsError(f"{name}: {error.strerror}") from None


def _check_content(name: str, kind: str, head: bytes, gzipped: bool) -> None:
    if kind == "parquet":
        if not head.startswith(_PARQUET):
            what = "gzip data; Parquet is compressed inside, gunzip it first" if gzipped else "something else"
            raise SegOpsError(f"{name}: expected Parquet, found {what}")
        return
    if name.lower().endswith(".gz") and not gzipped:
        raise SegOpsError(f"{name}: the name ends in .gz but the content is not gzip")
    if head.startswith(_PARQUET):
        raise SegOpsError(f"{name}: expected {kind}, found Parquet; say --format parquet")
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise SegOpsError(f"{name}: expected {kind} in UTF-8, found {what}")


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ino, status.st_size, status.st_mtime_ns)


class Bytes:
    """The file's bytes with gzip undone, read front to back. A context manager."""

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            self._raw: IO[bytes] = source.path.open("rb")
        except OSError as error:
            raise source.error(str(error.strerror)) from None
        self._file: IO[bytes] = gzip.GzipFile(fileobj=self._raw) if source.gzipped else self._raw  # type: ignore[assignment]

    def __enter__(self) -> Bytes:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self._raw.tell()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end.

        Raises:
            SegOpsError: the file cannot be read, it has grown, or its gzip data is broken or cut short.
        """
        if self.position > self._source.size:
            # A log that grows as fast as it is read would never end.
            self._source.check_unchanged()
        try:
            return self._file.read(size)
        except EOFError:
            raise self._source.error("the gzip data is cut short; copy or download the file again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._source.error(f"the gzip data is broken ({error})") from None
        except OSError as error:
            raise self._source.error(str(error.strerror or error)) from None


def content_digest(source: Source, progress: Callable[[int], None] | None = None) -> bytes:
    """SHA-256 of the content, gzip undone: ``events.csv`` and ``events.csv.gz`` are the same file.

    Raises:
        SegOpsError: the file cannot be read to its end.
    """
    digest = hashlib.sha256()
    with Bytes(source) as data:
        while block := data.read(_BLOCK):
            digest.update(block)
            if progress is not None:
                progress(data.position)
    return digest.digest()


def _mark_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return NOT_UTF8 * (error.end - error.start), error.end


codecs.register_error("segops_not_utf8", _mark_bytes)


class Utf8(io.RawIOBase):
    """The bytes of a text file, made valid UTF-8: a byte that is not becomes ``NOT_UTF8``.

    A byte order mark at the front is left out. ``broken`` tells whether any byte was replaced so far.
    """

    def __init__(self, data: Bytes) -> None:
        super().__init__()
        self._data = data
        self._carry = b""
        self._first = True
        self.broken = False
        self.tail = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes (at least four), ending between characters; none at the end of the file."""
        wanted = max(4, size if size is not None and size >= 0 else _BLOCK)
        block = self._carry + self._data.read(wanted - len(self._carry))
        last = len(block) == len(self._carry)
        self._carry = b""
        if self._first:
            block = block.removeprefix(codecs.BOM_UTF8)
            self._first = False
        try:
            _, used = codecs.utf_8_decode(block, "strict", last)
            text = block[:used]
        except UnicodeDecodeError:
            self.broken = True
            decoded, used = codecs.utf_8_decode(block, "segops_not_utf8", last)
            text = decoded.encode()
        self._carry = block[used:]
        if not text and self._carry:
            return self.read(size)
        if text:
            self.tail = text
        return text
