"""A server as a child of ``segops dev``: started, listened to, stopped to the last process."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    import psutil

# It stops its services in turn, then what is under way is interrupted, then nothing is asked any more.
_QUIT_SECONDS = 20.0
_TERMINATE_SECONDS = 20.0
_KILL_SECONDS = 2.0
_POLL_SECONDS = 0.1

# In the environment of everything that `segops dev` starts, and of nothing else.
MARK = "SEGOPS_DEV"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Show = Callable[[str], None]


def child_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the servers: every path absolute, because they run in another directory."""
    return {
        **environ,
        "SEGOPS_HOME": str(settings.home),
        "SEGOPS_DATABASE_URL": _absolute(settings.database_url),
        "DAGSTER_HOME": str(settings.dagster_home),
        "PYTHONUNBUFFERED": "1",
    }


def _absolute(database_url: str) -> str:
    scheme, mark, path = database_url.partition(":///")
    if not scheme.startswith("sqlite") or not mark or path.startswith("/"):
        return database_url
    return f"{scheme}:///{Path(path).absolute()}"


def stop_leftovers(settings: Settings) -> int:
    """Stop what an earlier ``segops dev`` of this home left behind when it was killed; returns how many processes.

    A second daemon over the same history would launch every run twice.
    """
    import psutil

    stopped = 0
    # Dagster's processes start one another again, so look until none is there.
    while found := [process for process in psutil.process_iter() if _is_leftover(process, settings)]:
        stopped += len(found)
        for process in found:
            with suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(found, timeout=_TERMINATE_SECONDS)[1]:
            with suppress(psutil.Error):
                process.kill()
    return stopped


def _is_leftover(process: psutil.Process, settings: Settings) -> bool:
    import psutil

    try:
        environ = process.environ()
        ours = MARK in environ and environ.get("DAGSTER_HOME") == str(settings.dagster_home)
        # The warehouse belongs to everybody, whoever started it.
        return ours and "segops_orchestration.warehouse.embedded" not in process.cmdline()
    except (psutil.Error, OSError):
        return False


@dataclass(frozen=True)
class ChildProcess:
    """A server and all its descendants, which form one process group."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    _stopping: threading.Event = field(default_factory=threading.Event)

    # What is asked to know whether it works, and what it is called.
    health: ClassVar[str]
    name: ClassVar[str]

    @classmethod
    def launch(
        cls,
        command: Sequence[str],
        url: str,
        directory: Path,
        log: Path,
        environ: Mapping[str, str],
        *,
        verbose: bool,
        show: Show,
    ) -> Self:
        """Start it in ``directory``. All it says goes to its log, errors (``verbose``: everything) also to ``show``."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=directory,
            env={**environ, MARK: "1"},
            # Its own process group: Ctrl-C reaches us alone, and we stop the others in order.
            start_new_session=True,
        )
        started = cls(process, url, log)
        threading.Thread(target=started._listen, args=(verbose, show), name=f"{cls.name}-log", daemon=True).start()
        return started

    def shows(self, line: str, before: bool) -> bool:
        """Whether a line of its log is an error; ``before`` says whether the line before it was."""
        raise NotImplementedError

    def _listen(self, verbose: bool, show: Show) -> None:
        shown = False
        with self.log.open("w") as file:
            for line in self.process.stdout or ():
                file.write(line)
                file.flush()
                plain = _COLOURS.sub("", line.rstrip())
                shown = self.shows(plain, shown)
                # What we interrupt ourselves is no news.
                if plain and (verbose or shown) and not self._stopping.is_set():
                    show(f"{self.name.lower()} | {plain}")

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self.process.poll() is None

    def answers(self) -> bool:
        """Whether it answers requests."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=2)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        try:
            said = _COLOURS.sub("", self.log.read_text(errors="replace")).splitlines()
        except OSError:
            said = []
        return "\n".join(said[-lines:]) or "It said nothing."

    def stop(self, hurry: threading.Event) -> None:
        """End the whole process group: services first, then what is under way, which Dagster records as interrupted.

        ``hurry`` (a second Ctrl-C) cuts the waiting short.
        """
        self._stopping.set()
        if self.is_alive:
            self.process.send_signal(signal.SIGINT)
        _wait_until(lambda: not self.is_alive, _QUIT_SECONDS, hurry)
        self._signal_group(signal.SIGTERM)
        _wait_until(lambda: not self._group_exists(), _TERMINATE_SECONDS, hurry)
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        _wait_until(lambda: not self._group_exists(), _KILL_SECONDS, threading.Event())

    def _group_exists(self) -> bool:
        self.process.poll()  # Reaps it, so that it does not count itself.
        return self._signal_group(0)

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _wait_until(done: Callable[[], bool], seconds: float, hurry: threading.Event) -> None:
    deadline = time.monotonic() + seconds
    while not done() and not hurry.is_set() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def connectable(host: str) -> str:
    """Where to reach a server that listens on ``host``."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
