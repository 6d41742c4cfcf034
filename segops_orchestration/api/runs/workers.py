"""Worker processes of the service, so many at a time; further computations wait."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass

from segops_orchestration.api.runs.work import Work, process_environment
from segops_orchestration.catalog.compute_requests import ComputeRequests
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

AT_A_TIME = 2
_POLL_SECONDS = 0.1
_STOPPED = "the service was stopped before the computation began; ask again"

_log = logging.getLogger("segops.api.runs")


@dataclass(frozen=True)
class _Waiting:
    run_id: str
    work: Work


class Workers:
    """Runs computations in processes of their own. A process that runs outlives the service, and says how it ends."""

    def __init__(self, settings: Settings, requests: ComputeRequests) -> None:
        self._settings = settings
        self._requests = requests
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []

    def put(self, run_id: str, work: Work) -> None:
        """Run it as soon as a process is free."""
        with self._changed:
            self._waiting.append(_Waiting(run_id, work))
            if len(self._threads) < AT_A_TIME:
                thread = threading.Thread(target=self._work, name="segops-worker", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def waiting(self) -> list[str]:
        """The runs that no process has begun with."""
        with self._changed:
            return [one.run_id for one in self._waiting]

    def close(self) -> None:
        """Begin with no more; those that wait have failed."""
        with self._changed:
            self._closing = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for one in left:
            self._requests.finish(one.run_id, "failed", _STOPPED)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                one = self._waiting.popleft()
            try:
                self._run(one)
            except (OSError, SegOpsError) as error:
                _log.error("run %s: %s", one.run_id, error)

    def _run(self, one: _Waiting) -> None:
        work = one.work
        command = [sys.executable, "-m", "segops_orchestration.api.runs.worker"]
        try:
            process = subprocess.Popen(
                [*command, one.run_id, work.tenant, work.slug, work.mode],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=process_environment(self._settings),
                # Ctrl-C is for the service.
                start_new_session=True,
            )
        except OSError:
            self._requests.finish(one.run_id, "failed", "no worker process could be started")
            raise
        while process.poll() is None:
            with self._changed:
                if self._closing:
                    return
            _pause()
        # Without effect when it has said itself how it ended.
        self._requests.finish(one.run_id, "failed", f"its worker process ended with code {process.returncode}")


def _pause() -> None:
    threading.Event().wait(_POLL_SECONDS)
