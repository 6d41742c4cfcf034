"""Writing a file so that its name only ever stands for the whole of it."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from segops_orchestration.errors import SegOpsError

# Of a process on another host nothing is known; its file is stale once nobody has written to it for this long.
_ABANDONED_SECONDS = 24 * 3600
_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<host>[^@]+)@(?P<pid>\d+)-[0-9a-f]{8}\.partial", re.DOTALL)


class WholeFile:
    """A file in the making. Errors name ``path``, the file as the user knows it."""

    def __init__(self, path: Path, handle: IO[bytes]) -> None:
        self.path = path
        self.handle = handle

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        with _explained(self.path):
            self.handle.write(chunk)

    def flush(self) -> None:
        """Hand all bytes to the operating system."""
        with _explained(self.path):
            self.handle.flush()

    def tell(self) -> int:
        """How many bytes were written so far."""
        return self.handle.tell()


@contextmanager
def whole_file(path: Path) -> Iterator[WholeFile]:
    """Write ``path`` under a temporary name in its directory, which is made if need be; rename it at the end.

    Leaving the block by an error removes what was written and leaves an earlier file of that name as it was. What
    processes that died left behind for the same name is removed first.

    Raises:
        SegOpsError: the file cannot be written: no permission, a full disk, a directory in its place.
    """
    partial = path.with_name(f".{path.name}.{socket.gethostname()}@{os.getpid()}-{secrets.token_hex(4)}.partial")
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        handle = partial.open("x+b")
    try:
        file = WholeFile(path, handle)
        yield file
        with _explained(path):
            handle.flush()
            os.fsync(handle.fileno())
            handle.close()
            partial.replace(path)
            _sync_directory(path.parent)
    finally:
        # Closing flushes once more, and fails once more when the disk is full.
        with suppress(OSError):
            handle.close()
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SegOpsError(f"{path}: cannot be written: {error.strerror or error}") from error


def _remove_stale(path: Path) -> None:
    for file in path.parent.iterdir():
        match = _PARTIAL.fullmatch(file.name)
        if match and match["name"] == path.name and _is_stale(file, match["host"], int(match["pid"])):
            file.unlink(missing_ok=True)


def _is_stale(file: Path, host: str, pid: int) -> bool:
    try:
        written_at = file.stat().st_mtime
    except FileNotFoundError:
        return False
    if host != socket.gethostname():
        return time.time() - written_at > _ABANDONED_SECONDS
    import psutil

    try:
        # A process that is younger than the file has only inherited the number of the one that wrote it.
        return psutil.Process(pid).create_time() > written_at
    except psutil.NoSuchProcess:
        return True


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets a directory be opened for that."""
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
