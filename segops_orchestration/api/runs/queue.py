"""Runs by the queue of Dagster's instance: a process of ours puts them in, and looks how they go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from segops_orchestration.api.runs.work import LaunchFailed, Work, process_environment
from segops_orchestration.settings import Settings

# Exit code of launch.py when nobody takes runs from the queue.
NO_DAEMON = 3
_SECONDS = 180
_NO_DAEMON_SECONDS = 60.0


class NoDaemon(Exception):
    """No daemon takes runs from the queue."""


class DagsterQueue:
    """The queue of DAGSTER_HOME's instance, or of the one under SEGOPS_HOME. Slow: each call starts a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._look_at = 0.0

    def configured(self) -> bool:
        """Whether there is an instance, and it had a daemon when somebody last looked."""
        has_instance = "DAGSTER_HOME" in os.environ or (self._settings.dagster_home / "dagster.yaml").exists()
        return has_instance and time.monotonic() >= self._look_at

    def put(self, run_id: str, work: Work) -> None:
        """Put a run of this id into the queue.

        Raises:
            NoDaemon: nobody would take it from there.
            LaunchFailed: it could not be done.
        """
        code, _ = self._call(work.tenant, "--mode", work.mode, "--segment", work.slug, "--queue", "--run-id", run_id)
        if code == NO_DAEMON:
            self._look_at = time.monotonic() + _NO_DAEMON_SECONDS
            raise NoDaemon
        if code:
            raise LaunchFailed("the run could not be put into Dagster's queue; the service's log says why")

    def statuses(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Dagster's word for how each run stands; one that it does not know is left out.

        Raises:
            LaunchFailed: Dagster's storage does not answer.
        """
        code, said = self._call("--status", *run_ids)
        if code:
            raise LaunchFailed("Dagster's storage did not answer")
        try:
            found: dict[str, str] = json.loads(said)
        except ValueError as error:
            raise LaunchFailed("Dagster's storage answered something else than states") from error
        return found

    def _call(self, *arguments: str) -> tuple[int, str]:
        environment = process_environment(self._settings)
        environment.setdefault("DAGSTER_HOME", str(self._settings.dagster_home))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "segops_orchestration.launch", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=self._settings.home,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LaunchFailed("Dagster took too long") from error
        except OSError as error:
            raise LaunchFailed("no process could be started to ask Dagster") from error
        return done.returncode, done.stdout
