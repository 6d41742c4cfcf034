"""When keys were last used, written beside the requests: at most once a minute a key, and no request waits for it."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.errors import SegOpsError

_log = logging.getLogger("segops.api")
_EVERY_SECONDS = 60.0


class KeyUse:
    """Notes the use of keys. ``close`` waits for what is under way."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._noted: dict[int, float] = {}
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="key-use")

    def note(self, key_id: int) -> None:
        """The key was used just now."""
        now = time.monotonic()
        with self._lock:
            if now < self._noted.get(key_id, -_EVERY_SECONDS) + _EVERY_SECONDS:
                return
            self._noted[key_id] = now
        self._writer.submit(self._write, key_id)

    def close(self) -> None:
        """Write what is left."""
        self._writer.shutdown()

    def _write(self, key_id: int) -> None:
        try:
            self._catalog.people.note_key_use(key_id)
        except SegOpsError as error:
            _log.warning("the use of API key %d was not written down: %s", key_id, error)
