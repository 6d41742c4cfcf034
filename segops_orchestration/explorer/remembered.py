"""Answers that are worked out once for all who ask within some seconds: dashboards poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from segops_orchestration.errors import SegOpsError

T = TypeVar("T")
_MOST_ENTRIES = 2_000
# Who waited for work that failed is told so, and does not try it once more, one after the other.
_FAILURE_KEPT = 2.0


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    state: Hashable = None
    answer: Any = None
    failure: SegOpsError | None = None
    failed_until: float = 0.0


class Remembered:
    """Answers by key, each worked out by one thread at a time; the others wait for that answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    def get(self, key: Hashable, seconds: float, work: Callable[[], T], *, state: Hashable = None) -> T:
        """The answer of ``work``, which may be so many seconds old.

        With a ``state`` that is the same as it was, an older one will do: nothing has changed. Work that failed fails
        alike for whoever asks within two seconds.
        """
        with self._lock:
            if key not in self._entries and len(self._entries) >= _MOST_ENTRIES:
                self._entries.clear()
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if self._clock() >= entry.until and (state is None or entry.until == 0.0 or state != entry.state):
                if entry.failure is not None and self._clock() < entry.failed_until:
                    raise entry.failure
                try:
                    entry.answer = work()
                except SegOpsError as error:
                    entry.failure, entry.failed_until = error, self._clock() + _FAILURE_KEPT
                    raise
                entry.until, entry.state = self._clock() + seconds, state
            return cast(T, entry.answer)
