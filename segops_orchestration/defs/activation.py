"""What platforms have of the segments: an asset for each platform, a partition for each tenant."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from segops_orchestration.activation.platforms import PLATFORMS, common_name
from segops_orchestration.defs.memberships import segment_memberships
from segops_orchestration.defs.metadata import OWNERS, markdown_table, table_metadata
from segops_orchestration.defs.partitions import SPINE_BACKFILLS, tenant_partitions
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.syncing import ConnectorOutcome, Syncing, TenantOutcome
from segops_orchestration.defs.telling import with_notices
from segops_orchestration.defs.tenant_work import tenants_in_use

GROUP = "activation"

# What one can expect of a platform that is out of order for a minute; afterwards the sensor tries again, hours if need
# be. Errors that only a person can mend are not tried again.
RETRIES = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

STATE_COLUMNS = (
    ("connector_id", "UInt64", "the connector's id in the catalogue"),
    ("user_id", "String", "whom the platform was told about"),
    ("state", "Enum8", "adding, delivered, removing, removed, rejected or parked"),
    ("reason", "String", "the platform's words, when it refused the user"),
    ("at", "DateTime64(3, 'UTC')", "when that became known"),
)

# Outcomes that are counted; of the others, the table says more.
_OUTCOMES = ("held", "paused", "error", "failed", "left")


class SyncConfig(dg.Config):
    """Run config of the assets that sync."""

    only_quick: bool = Field(
        default=False,
        description=(
            "Leave to the job `deliver` what may take long: a connector with more than 1,000 users to send, or whose "
            "last sync failed. So it is in the runs that compute, lest the next computation wait for a platform."
        ),
    )
    only_changed: bool = Field(
        default=False,
        description="Leave connectors alone of which nothing is known that they should send.",
    )
    connectors: list[str] | None = Field(
        default=None, description="Slugs of the connectors to sync; all of the platform's if left out."
    )


def sync_asset(platform: str) -> dg.AssetsDefinition:
    """The asset ``<platform>_sync``."""
    title = common_name(platform)

    @dg.asset(
        name=f"{platform}_sync",
        deps=[segment_memberships],
        partitions_def=tenant_partitions,
        backfill_policy=SPINE_BACKFILLS,
        group_name=GROUP,
        kinds={platform},
        owners=OWNERS,
        tags={"layer": "activation", "grain": "tenant"},
        metadata=table_metadata("activation_state", STATE_COLUMNS),
        retry_policy=RETRIES,
        pool=platform,
        description=(
            f"The members of segments in {title}: each connector of the tenant sends who is new and who has left since "
            "its last sync. Materializing a partition syncs all its active connectors; the sensor "
            "`pending_deliveries` goes on with whatever is left. A connector that is paused, held or stopped is not "
            "an error: its row in the table of connectors says so."
        ),
    )
    def sync_platform(context: dg.AssetExecutionContext, config: SyncConfig, segops: SegOpsResource) -> None:
        syncing = Syncing(
            segops,
            platform,
            only_quick=config.only_quick,
            only_changed=config.only_changed,
            connectors=config.connectors,
            run_id=context.run.run_id,
            log=context.log,
        )
        outcomes: list[TenantOutcome] = []
        for tenant in tenants_in_use(segops, context.partition_keys, context.log):
            outcome = syncing.tenant(tenant)
            metadata = sync_metadata(outcome.connectors)
            if platform == "webhook":
                outcome, notices = with_notices(segops.catalog, outcome, only_quick=config.only_quick)
                metadata |= notices
            outcomes.append(outcome)
            context.add_asset_metadata(metadata, partition_key=tenant)
        _require_success(outcomes, tries_later=config.only_quick)

    return sync_platform


def sync_metadata(outcomes: Sequence[ConnectorOutcome]) -> dict[str, Any]:
    """What a run came to: totals that plot, and a table of the connectors."""
    results = [one.result for one in outcomes if one.result is not None]
    added, removed = (sum(getattr(one, name) for one in results) for name in ("added", "removed"))
    metadata: dict[str, Any] = {
        "connectors": len(outcomes),
        "synced": len(results),
        "sent": added + removed,
        "added": added,
        "removed": removed,
        "rejected": sum(one.rejected for one in results),
        "pending": sum(one.pending for one in results),
        "requests": sum(one.requests for one in results),
        "retries": sum(one.retries for one in results),
        "milliseconds": sum(one.milliseconds for one in results),
        **{name: sum(one.outcome == name for one in outcomes) for name in _OUTCOMES},
    }
    if results:
        metadata["audience"] = sum(one.backlog.audience for one in results)
    if outcomes:
        metadata["by_connector"] = dg.MetadataValue.md(_connector_table(outcomes))
    return metadata


def _connector_table(outcomes: Sequence[ConnectorOutcome]) -> str:
    columns = (
        "connector", "segment", "outcome", "added", "removed", "rejected", "pending", "audience", "requests",
        "retries", "ms", "note",
    )  # fmt: skip
    rows = []
    for one in outcomes:
        found = one.result
        numbers: tuple[object, ...] = ("",) * 8
        if found is not None:
            numbers = (
                found.added, found.removed, found.rejected, found.pending, found.backlog.audience, found.requests,
                found.retries, found.milliseconds,
            )  # fmt: skip
        rows.append((one.connector, one.segment, one.outcome, *numbers, " ".join(one.note.split())))
    return markdown_table(columns, rows)


def _require_success(outcomes: Sequence[TenantOutcome], *, tries_later: bool) -> None:
    """Raise what failed, after everything else was done.

    Raises:
        dg.Failure: some connector failed. It is retried unless only people can help, or the sensor will.
    """
    failed = [one for one in outcomes if one.failed]
    if not failed:
        return
    lines = [f"{one.tenant}/{slug}: {why}" for one in failed for slug, why in one.failed.items()]
    if tries_later and not all(one.permanent for one in failed):
        lines.append("The sensor pending_deliveries has it tried again after a pause.")
    connectors = [outcome for one in failed for outcome in one.connectors]
    raise dg.Failure(
        description="\n".join(lines),
        metadata={
            "failed_connectors": [f"{one.tenant}/{slug}" for one in failed for slug in one.failed],
            "by_connector": dg.MetadataValue.md(_connector_table(connectors)),
        },
        allow_retries=not tries_later and not all(one.permanent for one in failed),
    )


SYNCS = [sync_asset(platform) for platform in PLATFORMS]
SYNC_NAMES = [f"{platform}_sync" for platform in PLATFORMS]
