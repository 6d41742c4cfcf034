"""Dagster's webserver and daemon as a child of ``segops dev``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Self

from segops_orchestration.cli.child_process import ChildProcess, Show, child_environment, connectable
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .* - (?P<level>[A-Z]+) - ")
_SHOWN_LEVELS = ("ERROR", "CRITICAL")


def write_instance_config(settings: Settings) -> Path:
    """Put the package's dagster.yaml into ``SEGOPS_HOME/dagster``, for DAGSTER_HOME; returns that directory."""
    home = settings.dagster_home
    content = (files("segops_orchestration") / "dagster.yaml").read_text()
    temporary = home / f".dagster.yaml.{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content)
        temporary.replace(home / "dagster.yaml")
    except OSError as error:
        raise SegOpsError(f"cannot write {home / 'dagster.yaml'}: {error.strerror}") from error
    return home


class DagsterProcess(ChildProcess):
    """``dagster dev``."""

    health: ClassVar[str] = "/server_info"
    name: ClassVar[str] = "Dagster"

    @classmethod
    def start(
        cls, settings: Settings, host: str, port: int, environ: Mapping[str, str], *, verbose: bool, show: Show
    ) -> Self:
        """Start it."""
        home = write_instance_config(settings)
        command = ["dev", "-m", "segops_orchestration.definitions", "--host", host, "--port", str(port)]
        return cls.launch(
            [sys.executable, "-m", "dagster", *command],
            f"http://{connectable(host)}:{port}",
            # Away from the user's directory: Dagster would read a .env or dagster.yaml that is meant for others.
            home,
            home / "dev.log",
            child_environment(settings, environ),
            verbose=verbose,
            show=show,
        )

    def shows(self, line: str, before: bool) -> bool:
        """Whether it is an error; a traceback's lines have no level of their own, they belong to the record before."""
        record = _RECORD.match(line)
        return record["level"] in _SHOWN_LEVELS if record else before
