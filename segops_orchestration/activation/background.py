"""Syncs that nobody waits for: each in a process of its own, a few at a time.

A sync works for minutes and computes; in the process that answers requests it would slow down every answer. Whatever
happens to its process, the next sync goes on: that is what ``sync`` is made for. So nothing is remembered here either.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import deque
from typing import Literal

from segops_orchestration.errors import ConnectorBusy, SegOpsError

_log = logging.getLogger("segops.activation")

Job = Literal["sync", "delete"]
AT_ONCE = 2
MOST_WAITING = 200
_STOP_SECONDS = 5.0
_LONGEST_LOGGED = 2_000
_OVER = "over\n"


class TooManyWaiting(SegOpsError):
    """So many syncs wait that another would not begin for long."""


class BackgroundSyncs:
    """Runs jobs of connectors, of each connector one at a time."""

    def __init__(self, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self._waiting: deque[tuple[Job, str, str]] = deque()
        self._children: set[subprocess.Popen[str]] = set()
        self._workers = 0
        self._closed = False

    def begin(self, job: Job, tenant: str, connector: str) -> None:
        """Start a sync of a connector, or its emptying and deletion, as soon as there is room.

        Raises:
            ConnectorBusy: one of this connector runs or waits here.
            TooManyWaiting: too many wait.
        """
        with self._lock:
            if (tenant, connector) in self._known:
                raise ConnectorBusy(tenant, connector, "this service")
            if self._closed or len(self._waiting) >= self._most_waiting:
                raise TooManyWaiting(f"{len(self._waiting)} syncs wait already; try again shortly")
            self._known.add((tenant, connector))
            self._waiting.append((job, tenant, connector))
            if self._workers < self._at_once:
                self._workers += 1
                threading.Thread(target=self._work, name="syncs", daemon=True).start()

    def close(self) -> None:
        """Start nothing more and end what runs."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            children = list(self._children)
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._workers -= 1
                    return
                job, tenant, connector = self._waiting.popleft()
            try:
                self._run(job, tenant, connector)
            finally:
                self._over(tenant, connector)

    def _over(self, tenant: str, connector: str) -> None:
        with self._lock:
            self._known.discard((tenant, connector))

    def _run(self, job: Job, tenant: str, connector: str) -> None:
        command = [sys.executable, "-m", "segops_orchestration.activation.background", job, tenant, connector]
        try:
            # Settings and the key of secrets are in the environment that it inherits, or under SEGOPS_HOME.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        except OSError as error:
            _log.error("a process for the %s of %s of %s did not start: %s", job, connector, tenant, error)
            return
        with self._lock:
            self._children.add(child)
            if self._closed:
                child.terminate()
        try:
            said = self._listen(child, tenant, connector)
        finally:
            with self._lock:
                self._children.discard(child)
        if child.wait():
            _log.warning("%s of %s of %s: %s", job, connector, tenant, said)

    def _listen(self, child: subprocess.Popen[str], tenant: str, connector: str) -> str:
        """The end of what the process says; once it says that its work is over, the next one may begin."""
        said = ""
        assert child.stdout is not None
        for line in child.stdout:
            if line == _OVER:
                self._over(tenant, connector)
            else:
                said = (said + line)[-_LONGEST_LOGGED:]
        child.stdout.close()
        return said.strip()


def main(arguments: list[str]) -> int:
    """One job, in this process; 0 when it came to its end."""
    from segops_orchestration.activation.emptying import delete_connector
    from segops_orchestration.activation.sync import sync
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.settings import Settings
    from segops_orchestration.warehouse.client import Warehouse

    job, tenant, connector = arguments
    settings = Settings.from_env()
    with Catalog.open(settings) as catalog:
        warehouse = Warehouse.connect(settings)
        try:
            if job == "delete":
                _, emptied = delete_connector(catalog, warehouse, tenant, connector, empty_first=True)
                return 0 if emptied is not None and emptied.outcome == "succeeded" else 1
            result = sync(catalog, warehouse, tenant, connector)
            return 1 if result.outcome in ("failed", "error") else 0
        except SegOpsError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        finally:
            # Closing and leaving take their time.
            sys.stdout.write(_OVER)
            sys.stdout.flush()
            warehouse.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
