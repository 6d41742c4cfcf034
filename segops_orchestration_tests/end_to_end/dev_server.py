"""A real ``segops dev``: warehouse, webserver, daemon, code server, in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

_SEGOPS = "from segops_orchestration.cli.main import main; main()"
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class DevServer:
    """A running ``segops dev``."""

    process: subprocess.Popen[str]
    url: str
    api_url: str
    home: Path

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The data of a GraphQL answer."""
        response = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": dict(variables or {})}, timeout=60
        )
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def processes(self) -> list[psutil.Process]:
        """All its descendants, and every process that works in its home."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in " ".join((*process.cmdline(), process.environ().get("SEGOPS_HOME", ""))):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.pid != os.getpid()]


@contextmanager
def dev_server(home: Path, directory: Path, *options: str, **environment: str) -> Iterator[DevServer]:
    """Start it in ``directory``, wait until it answers, and stop it as Ctrl-C does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEGOPS_", "DAGSTER_"))}
    with (directory / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _SEGOPS, "dev", "--port", "0", "--api-port", "0", "--json", *options],
            cwd=directory,
            env={**inherited, "SEGOPS_HOME": str(home), **environment},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            assert process.stdout is not None
            announced = _one_document(process.stdout)
            yield DevServer(process, announced["url"], announced["api_url"], home)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()


def _one_document(stream: Any) -> dict[str, Any]:
    text = ""
    for line in stream:
        text += line
        if line.rstrip() == "}":
            break
    document: dict[str, Any] = json.loads(text)
    return document


def wait_until(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """Ask until the answer is true; returns it. Fails with ``what`` when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := done():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s still not: {what}")
