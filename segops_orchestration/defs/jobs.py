"""Jobs: what sensors and schedules launch."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from segops_orchestration.defs.activation import SYNC_NAMES, SyncConfig
from segops_orchestration.defs.delivery_checks import DELIVERY_CHECKS
from segops_orchestration.defs.exports import ExportsConfig
from segops_orchestration.defs.in_flight import DELIVER
from segops_orchestration.defs.memberships import ComputeMode, MembershipsConfig
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.swing import MEMBERSHIP_SWING

TENANT_TAG = "segops/tenant"
MODE_TAG = "segops/mode"
# The mode of runs that deliver; dagster.yaml bounds how many there are at once.
DELIVER_MODE = "deliver"
RUNS_KEPT_DAYS = 30
SYNCS_KEPT_DAYS = 90

FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

recompute = dg.define_asset_job(
    "recompute",
    selection=dg.AssetSelection.assets("segment_memberships", "segment_exports", *SYNC_NAMES).without_checks()
    | dg.AssetSelection.checks(MEMBERSHIP_SWING.key),
    description=(
        "Compute the memberships of a tenant, in full unless the run config says delta; then export them and sync them "
        "to the tenant's platforms."
    ),
)

deliver = dg.define_asset_job(
    DELIVER,
    selection=dg.AssetSelection.assets(*SYNC_NAMES).without_checks(),
    description=(
        "Send to a tenant's platforms what is left: what was too much for the run that computed it, and what failed. "
        "Computations of the tenant go on meanwhile."
    ),
)

tenant_checks = dg.define_asset_job(
    "tenant_checks",
    selection=dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("segment_memberships"), "stale_tenants"),
        dg.AssetCheckKey(dg.AssetKey("segment_memberships"), "delta_equals_full"),
        *DELIVERY_CHECKS,
    ),
    description=(
        "Look for tenants that fall behind, verify a sample of stored members, and look for connectors that do not "
        "deliver."
    ),
)


def recompute_request(
    tenant: str, mode: ComputeMode, *, run_key: str | None = None, tags: dict[str, str] | None = None
) -> dg.RunRequest:
    """Ask for a run of ``recompute`` for one tenant. A delta run writes only the files that changed.

    It sends what is quickly sent, so that the tenant's next computation does not wait for a platform.
    """
    config = dg.RunConfig(
        ops={
            "segment_memberships": MembershipsConfig(mode=mode),
            "segment_exports": ExportsConfig(only_changed=mode is ComputeMode.delta),
            **{name: SyncConfig(only_quick=True, only_changed=mode is ComputeMode.delta) for name in SYNC_NAMES},
        }
    )
    return dg.RunRequest(
        run_key=run_key,
        partition_key=tenant,
        run_config=config,
        tags={TENANT_TAG: tenant, MODE_TAG: mode.value, **(tags or {})},
    )


class PurgeConfig(dg.Config):
    """Run config of ``purge_old_runs``."""

    days: int = Field(default=RUNS_KEPT_DAYS, ge=1, description="Runs that ended longer ago are deleted.")
    limit: int = Field(default=500, ge=1, description="Delete no more than this many; the next night goes on.")


@dg.op
def delete_old_runs(context: dg.OpExecutionContext, config: PurgeConfig) -> None:
    """Delete runs that ended long ago, oldest first, with their events.

    A tenant's newest materializations are never among them as long as the nightly reconciliation runs.
    """
    before = datetime.now(UTC) - timedelta(days=config.days)
    old = dg.RunsFilter(statuses=list(FINISHED), created_before=before)
    records = context.instance.get_run_records(old, limit=config.limit, ascending=True)
    for record in records:
        context.instance.delete_run(record.dagster_run.run_id)
    context.log.info("deleted %d runs from before %s", len(records), before.isoformat(timespec="seconds"))


class PurgeSyncsConfig(dg.Config):
    """Run config of ``delete_old_syncs``."""

    days: int = Field(
        default=SYNCS_KEPT_DAYS, ge=1, description="Syncs of connectors that ended longer ago are deleted."
    )


@dg.op
def delete_old_syncs(context: dg.OpExecutionContext, config: PurgeSyncsConfig, segops: SegOpsResource) -> None:
    """Delete lines of the sync log, with their jobs and holds; of each connector the newest of each outcome stays."""
    before = datetime.now(UTC) - timedelta(days=config.days)
    forgotten = segops.catalog.connectors.forget_syncs(before)
    context.log.info("deleted %d syncs from before %s", forgotten, before.isoformat(timespec="seconds"))


@dg.job(description=("Keep Dagster's history and the sync log small. Ticks are purged by `retention` in dagster.yaml."))
def purge_old_runs() -> None:
    delete_old_runs()
    delete_old_syncs()
