"""Which tenants a run is already at work for, or soon will be, and whose last runs failed."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from segops_orchestration.defs.partitions import SEGMENTS, TENANTS, tenant_of

# The job that goes on with what is left to deliver.
DELIVER = "deliver"

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

IN_FLIGHT = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_MOST_RUNS = 1000
# Where Dagster's default launcher says which code server it gave a run to.
_LAUNCHED_BY_TAG = ".dagster/grpc_info"
_LAUNCH_GRACE = timedelta(seconds=15)
# Failures longer ago than this no longer hold a tenant back.
_FAILURES_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True)
class InFlight:
    """Tenants with a run in flight, and how many runs there are; those of ``deliver`` apart.

    A delivery can take hours, and no computation waits for it.
    """

    tenants: frozenset[str]
    runs: int
    delivering: frozenset[str]


@dataclass(frozen=True)
class FailedRun:
    """A run that failed or was cancelled."""

    run_id: str
    created_at: datetime
    ended_at: datetime
    tags: Mapping[str, str]


def in_flight(instance: dg.DagsterInstance) -> InFlight:
    """One query for all tenants, whoever launched the runs: sensor, schedule, backfill or a person."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(IN_FLIGHT)), limit=_MOST_RUNS)
    tenants: set[str] = set()
    delivering: set[str] = set()
    runs = 0
    for record in records:
        run = record.dagster_run
        if run.job_name == DELIVER:
            delivering |= tenants_of_run(instance, run.tags)
            continue
        tenants |= tenants_of_run(instance, run.tags)
        runs += 1
    return InFlight(frozenset(tenants), runs, frozenset(delivering))


def failed_runs(instance: dg.DagsterInstance, job_name: str) -> dict[str, list[FailedRun]]:
    """Recently failed runs of a job by tenant, newest first. One query."""
    records = instance.get_run_records(
        dg.RunsFilter(
            job_name=job_name,
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
            created_after=datetime.now(UTC) - _FAILURES_REMEMBERED,
        ),
        limit=_MOST_RUNS,
    )
    by_tenant: defaultdict[str, list[FailedRun]] = defaultdict(list)
    for record in records:
        run = record.dagster_run
        created = record.create_timestamp
        ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else created
        if PARTITION_TAG in run.tags:
            by_tenant[tenant_of(run.tags[PARTITION_TAG])].append(FailedRun(run.run_id, created, ended, run.tags))
    return by_tenant


def fail_orphans(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose code server on this machine is gone, and their process with it.

    A killed server leaves its runs looking alive, and each would keep its tenant waiting until ``max_runtime_seconds``.
    Dagster's default launcher notes in a tag where it launched a run; other launchers watch their runs themselves.
    """
    launched = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for record in instance.get_run_records(dg.RunsFilter(statuses=launched), limit=_MOST_RUNS):
        is_recent = datetime.now(UTC) - record.update_timestamp < _LAUNCH_GRACE
        if not is_recent and _server_is_gone(record.dagster_run.tags.get(_LAUNCHED_BY_TAG, "")):
            instance.report_run_failed(record.dagster_run, "The process died with the code server that launched it.")


def _server_is_gone(launched_by: str) -> bool:
    try:
        path = json.loads(launched_by or "{}").get("socket")
    except ValueError:
        return False
    if not path or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(1)
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def tenants_of_run(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> set[str]:
    """The tenants that a run with these tags works for."""
    if PARTITION_TAG in tags:
        return {tenant_of(tags[PARTITION_TAG])}
    if RANGE_START_TAG not in tags or RANGE_END_TAG not in tags:
        return set()
    start, end = tags[RANGE_START_TAG], tags[RANGE_END_TAG]
    if start == end:
        return {tenant_of(start)}
    # Lists all keys, but only while a range of them is being worked on.
    keys = instance.get_dynamic_partitions(SEGMENTS if "/" in start else TENANTS)
    return {tenant_of(key) for key in _between(keys, start, end)}


def _between(keys: Sequence[str], start: str, end: str) -> Iterable[str]:
    """The keys of a range: those from ``start`` to ``end`` in the order in which they were added."""
    if start not in keys or end not in keys:
        return (start, end)
    return keys[keys.index(start) : keys.index(end) + 1]
