"""The server process: ``python -m segops_orchestration.warehouse.embedded DIRECTORY``.

Started by lifecycle.py, which holds the start lock meanwhile. Ends on SIGTERM or SIGINT, after the queries that run.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from filelock import FileLock, Timeout

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.embedded.lifecycle import (
    DRAIN_SECONDS,
    Endpoint,
    Files,
    find_running,
    remove_endpoint,
    write_endpoint,
)
from segops_orchestration.warehouse.embedded.memory import bulk_settings, memory_limit

log = logging.getLogger("segops.warehouse")

_LOOK_EVERY_SECONDS = 2.0
_CONFIG = """<clickhouse>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
</clickhouse>
"""


def main(arguments: list[str]) -> int:
    """Serve the data directory until told to stop; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m segops_orchestration.warehouse.embedded DIRECTORY\n")
        return 2
    # The engine takes the machine's zone for its own; here everything is UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    # The engine's allocator keeps freed pages for seconds, which doubled the memory at its peak (chdb 4.4, 512 MiB
    # limit: 1.4 GB against 0.9 GB) and saved no time.
    os.environ.setdefault("JE_MALLOC_CONF", "dirty_decay_ms:200,muzzy_decay_ms:0")
    files = Files(Path(arguments[0]).absolute())
    os.umask(0o077)
    files.directory.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(files.log, maxBytes=5 << 20, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)sZ %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        _serve(files)
    except (SegOpsError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


def _serve(files: Files) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory = memory_limit(os.environ)
    with _owning(files, stopping):
        shutil.rmtree(files.scratch, ignore_errors=True)
        files.scratch.mkdir()
        files.config.write_text(_CONFIG.format(memory=memory))
        _serve_owned(files, memory, stopping)


@contextmanager
def _owning(files: Files, stopping: threading.Event) -> Iterator[None]:
    """Be the one server of the directory, waiting for a predecessor that is finishing its queries.

    Raises:
        SegOpsError: a server has the directory and keeps it.
    """
    lock = FileLock(files.owner_lock)
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            owner = find_running(files)
            if owner is not None or stopping.is_set() or time.monotonic() > deadline:
                raise SegOpsError(
                    f"{files.directory}: another server has it: {owner or 'one that is ending'}"
                ) from None
    with lock:
        yield


def _serve_owned(files: Files, memory: int, stopping: threading.Event) -> None:
    from segops_orchestration.warehouse.embedded.server import USERNAME, WarehouseServer
    from segops_orchestration.warehouse.embedded.sessions import Sessions

    try:
        sessions = Sessions(files.data, files.config, bulk_settings(memory))
    except RuntimeError as error:
        # The engine's message goes on with its stack.
        reason = str(error).partition("\n")[0]
        raise SegOpsError(f"{files.data}: cannot be opened: {reason}") from error
    password = secrets.token_urlsafe(32)
    server = WarehouseServer(sessions, password, port=0, scratch=files.scratch)
    threading.Thread(target=server.serve, name="serve", daemon=True).start()
    endpoint = Endpoint("127.0.0.1", server.port, USERNAME, password, os.getpid())
    log.info(
        "serving %s on 127.0.0.1:%d, pid %d, memory limit %d bytes. This is for one machine; "
        "SEGOPS_CLICKHOUSE_URL points SegOps at a ClickHouse server or cluster instead",
        files.data,
        endpoint.port,
        endpoint.pid,
        memory,
    )
    _stay_findable(files, endpoint, stopping)
    log.info("stopping: waiting up to %d s for running queries", DRAIN_SECONDS)
    remove_endpoint(files.endpoint, endpoint.pid)
    drained = server.stop(DRAIN_SECONDS)
    log.info("stopped" if drained else "stopped, though queries were still running")
    if not drained:
        # A query that ignores the end would keep the process; what was acknowledged is on disk.
        logging.shutdown()
        os._exit(1)
    sessions.close()


def _stay_findable(files: Files, endpoint: Endpoint, stopping: threading.Event) -> None:
    """Write the endpoint file, and again should it get lost, until told to stop or the directory is gone."""
    while True:
        if not files.endpoint.exists():
            if not files.directory.exists():
                log.warning("%s is gone", files.directory)
                return
            write_endpoint(files.endpoint, endpoint)
        if stopping.wait(_LOOK_EVERY_SECONDS):
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
