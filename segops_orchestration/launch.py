"""``python -m segops_orchestration.launch TENANT``: run the job ``recompute`` for one tenant here and now.

What Materialize does in the UI, without a webserver or a daemon: the run executes in this process and is recorded in
the instance of DAGSTER_HOME, where the UI shows it later. Exits 1 when the run fails.

With ``--queue`` the run goes into the instance's queue instead, for its daemon to take: exits 3 when none does. With
``--status`` nothing runs: the states of the given runs are printed as JSON. The REST API works by these two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import dagster as dg
from dagster._cli.job import execute_launch_command
from dagster._daemon.controller import get_daemon_statuses
from dagster_shared.cli import WorkspaceOpts

from segops_orchestration.api.runs.queue import NO_DAEMON
from segops_orchestration.api.runs.work import JOB, Work
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


def enqueue(work: Work, run_id: str, instance: dg.DagsterInstance) -> bool:
    """Put a run of this id into the queue; False, and nothing done, when no daemon would take it from there."""
    queue = "QUEUED_RUN_COORDINATOR"
    if not get_daemon_statuses(instance, [queue], ignore_errors=True)[queue].healthy:
        return False
    if instance.has_run(run_id):
        return True
    instance.add_dynamic_partitions(TENANTS, [work.tenant])
    execute_launch_command(
        instance=instance,
        workspace_opts=WorkspaceOpts(module_name=("segops_orchestration.definitions",)),
        job_name=JOB,
        config_json=json.dumps(work.run_config),
        tags=json.dumps(work.tags),
        run_id=run_id,
    )
    return True


def statuses(run_ids: Sequence[str], instance: dg.DagsterInstance) -> dict[str, str]:
    """The states of the runs that the instance knows."""
    found = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids)))
    return {run.run_id: run.status.value for run in found}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m segops_orchestration.launch", description=__doc__)
    parser.add_argument("tenant", nargs="?")
    parser.add_argument("--mode", choices=[mode.value for mode in ComputeMode], default=ComputeMode.full.value)
    parser.add_argument("--queue", action="store_true", help="into the queue; needs --segment and --run-id")
    parser.add_argument("--segment", help="the slug of the segment to compute")
    parser.add_argument("--run-id", help="the id that the run gets")
    parser.add_argument("--status", nargs="+", metavar="RUN_ID", help="print how these runs stand")
    arguments = parser.parse_args()
    with dg.DagsterInstance.get() as instance:
        sys.exit(_run(arguments, parser, instance))


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser, instance: dg.DagsterInstance) -> int:
    """The exit code."""
    if arguments.status:
        sys.stdout.write(json.dumps(statuses(arguments.status, instance)) + "\n")
        return 0
    if arguments.tenant is None:
        parser.error("a tenant is missing")
    if not arguments.queue:
        return 0 if launch(arguments.tenant, ComputeMode(arguments.mode), instance) else 1
    if arguments.segment is None or arguments.run_id is None:
        parser.error("--queue needs --segment and --run-id")
    work = Work(arguments.tenant, arguments.segment, arguments.mode)
    return 0 if enqueue(work, arguments.run_id, instance) else NO_DAEMON


if __name__ == "__main__":
    main()
