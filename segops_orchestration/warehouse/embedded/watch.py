"""Notices clients that go away while their query computes, and cancels the query."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY_SECONDS = 0.5


class DisconnectWatch:
    """Looks at the sockets of running queries; ``cancel(marker)`` is called once for each that was closed."""

    def __init__(self, cancel: Callable[[str], None]) -> None:
        self._cancel = cancel
        self._sockets: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._look, name="disconnects", daemon=True).start()

    @contextmanager
    def watching(self, connection: socket.socket | None, marker: str) -> Iterator[None]:
        """Watch a socket during the block; None is not watched."""
        if connection is None:
            yield
            return
        with self._lock:
            self._sockets[marker] = connection
        try:
            yield
        finally:
            with self._lock:
                self._sockets.pop(marker, None)

    def _look(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY_SECONDS):
            with self._lock:
                gone = [marker for marker, connection in self._sockets.items() if _closed(connection)]
                for marker in gone:
                    del self._sockets[marker]
            for marker in gone:
                self._cancel(marker)


def _closed(connection: socket.socket) -> bool:
    """Whether the other side has closed; bytes of a next request do not count."""
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
