"""What a computation that somebody asked for consists of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.catalog.records import Mode
from segops_orchestration.settings import Settings

# Names in the code location, which is not imported here: it would bring dagster with it. A test compares them.
JOB = "recompute"
TENANT_PARTITIONS = "tenants"

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

    @property
    def run_config(self) -> dict[str, Any]:
        """The run config of Dagster's job: what is quickly written and sent goes in the same run."""
        changed = {"only_changed": self.mode == "delta"}
        ops: dict[str, Any] = {
            "segment_memberships": {"config": {"mode": self.mode, "segments": [self.slug]}},
            "segment_exports": {"config": changed},
        }
        ops.update({f"{platform}_sync": {"config": {"only_quick": True, **changed}} for platform in PLATFORMS})
        return {"ops": ops}

    @property
    def tags(self) -> dict[str, str]:
        """By the first Dagster knows the partition, and lets no two runs of a tenant go at once."""
        return {
            "dagster/partition": self.tenant,
            "segops/tenant": self.tenant,
            "segops/mode": self.mode,
            "segops/requested_by": "api",
        }


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
