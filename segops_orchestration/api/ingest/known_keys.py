"""Secret keys that were looked up, by their hash: whoever uses one asks again before it has an effect."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from segops_orchestration.api.gate import Sender
from segops_orchestration.catalog.api_keys import key_hash

_KEPT = 10_000
_KEPT_SECONDS = 60.0


class KnownKeys:
    """Remembers senders by their secret key; a role that is changed shows after a minute, a revocation at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Sender]] = OrderedDict()

    def get(self, key: str) -> Sender | None:
        """The sender with this key, if it is known."""
        found = self._known.get(key_hash(key))
        return None if found is None or found[0] < time.monotonic() else found[1]

    def remember(self, key: str, sender: Sender) -> None:
        """The key was looked up just now."""
        with self._lock:
            self._known[key_hash(key)] = (time.monotonic() + _KEPT_SECONDS, sender)
            self._known.move_to_end(key_hash(key))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def forget(self, key_id: int) -> None:
        """The key does not work any more."""
        with self._lock:
            for hashed, (_, sender) in list(self._known.items()):
                if sender.scope.caller.key is not None and sender.scope.caller.key.id == key_id:
                    del self._known[hashed]
