"""What a computation that somebody asked for consists of."""

from __future__ import annotations

import os
from dataclasses import dataclass

from segops_orchestration.catalog.records import Mode
from segops_orchestration.settings import Settings

# A request that Dagster has not given a run id yet goes by such a one.
PENDING = "pending-"


class LaunchFailed(Exception):
    """The computation could not be begun. Its text is for callers: it names no host and no statement."""


@dataclass(frozen=True)
class Work:
    """Compute one segment of one tenant."""

    tenant: str
    slug: str
    mode: Mode


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process of ours: the same installation, whatever the working directory."""
    environment = {
        **os.environ,
        "SEGOPS_HOME": str(settings.home),
        "SEGOPS_DATABASE_URL": settings.database_url,
        "PYTHONUNBUFFERED": "1",
    }
    if settings.clickhouse_url:
        environment["SEGOPS_CLICKHOUSE_URL"] = settings.clickhouse_url
    return environment
