"""The REST API as a child of ``segops dev``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import ClassVar, Self

from segops_orchestration.cli.child_process import ChildProcess, Show, child_environment, connectable
from segops_orchestration.settings import DAGSTER_URL_VARIABLE, Settings

_SEGOPS = "from segops_orchestration.cli.main import main; main()"
_SHOWN_LEVELS = ("error", "critical")


class ApiProcess(ChildProcess):
    """``segops serve``."""

    health: ClassVar[str] = "/api/ready/"
    name: ClassVar[str] = "API"

    @classmethod
    def start(
        cls,
        settings: Settings,
        host: str,
        port: int,
        dagster: str,
        environ: Mapping[str, str],
        *,
        verbose: bool,
        show: Show,
    ) -> Self:
        """Start it; what callers have computed is launched through the webserver at ``dagster``."""
        return cls.launch(
            [sys.executable, "-c", _SEGOPS, "serve", "--host", host, "--port", str(port)],
            f"http://{connectable(host)}:{port}",
            settings.home,
            settings.home / "api.log",
            {**child_environment(settings, environ), DAGSTER_URL_VARIABLE: dagster},
            verbose=verbose,
            show=show,
        )  # fmt: skip

    def shows(self, line: str, before: bool) -> bool:
        """Whether it is an error: lines are JSON, and what is not belongs to the line before."""
        try:
            level = json.loads(line)["level"]
        except (ValueError, TypeError, KeyError):
            return before
        return level in _SHOWN_LEVELS
