"""``python -m segops_orchestration.launch TENANT``: run the job ``recompute`` for one tenant here and now.

What Materialize does in the UI, without a webserver or a daemon: the run executes in this process and is recorded in
the instance of DAGSTER_HOME, where the UI shows it later. Exits 1 when the run fails.
"""

from __future__ import annotations

import argparse
import sys

import dagster as dg

from segops_orchestration.definitions import defs
from segops_orchestration.defs.exports import ExportsConfig
from segops_orchestration.defs.jobs import MODE_TAG, TENANT_TAG
from segops_orchestration.defs.memberships import ComputeMode, MembershipsConfig
from segops_orchestration.defs.partitions import TENANTS


def launch(tenant: str, mode: ComputeMode, instance: dg.DagsterInstance) -> bool:
    """Execute the run; returns whether it succeeded."""
    instance.add_dynamic_partitions(TENANTS, [tenant])
    config = dg.RunConfig(
        ops={"segment_memberships": MembershipsConfig(mode=mode), "segment_exports": ExportsConfig(only_changed=False)}
    )
    result = defs.resolve_job_def("recompute").execute_in_process(
        run_config=config,
        partition_key=tenant,
        instance=instance,
        tags={TENANT_TAG: tenant, MODE_TAG: mode.value},
        raise_on_error=False,
    )
    return result.success


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m segops_orchestration.launch", description=__doc__)
    parser.add_argument("tenant")
    parser.add_argument("--mode", choices=[mode.value for mode in ComputeMode], default=ComputeMode.full.value)
    arguments = parser.parse_args()
    with dg.DagsterInstance.get() as instance:
        succeeded = launch(arguments.tenant, ComputeMode(arguments.mode), instance)
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main()
