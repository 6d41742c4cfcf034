"""Checks of every platform: does something wait for too long, and does a connector need a person?"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.catalog.connector_records import Connector, Delivery
from segops_orchestration.defs.metadata import markdown_table
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.undelivered import Undelivered, undelivered
from segops_orchestration.errors import SegOpsError

BACKLOG_AFTER = timedelta(minutes=30)
# Exact numbers of waiting users take a query for each connector; more than these are not counted.
_COUNTED, _COUNT_SECONDS = 20, 20.0

_BACKLOG = (
    f"Warns when an active connector has had something to deliver for more than {BACKLOG_AFTER.seconds // 60} minutes: "
    "its platform does not answer, or does not keep up. A connector that a person has paused, or that waits for one, "
    "is not counted."
)
_HEALTH = (
    "Fails when a connector has stopped because of an error that only a person can mend, and warns when one holds back "
    "a change that somebody should look at."
)

SPECS = [
    dg.AssetCheckSpec(name, asset=f"{platform}_sync", description=description)
    for platform in PLATFORMS
    for name, description in (("delivery_backlog", _BACKLOG), ("connector_health", _HEALTH))
]
DELIVERY_CHECKS = [spec.key for spec in SPECS]


@dg.multi_asset_check(specs=SPECS, name="deliveries", can_subset=True)
def deliveries(context: dg.AssetCheckExecutionContext, segops: SegOpsResource) -> Iterator[dg.AssetCheckResult]:
    """All of them, by the same queries."""
    every = segops.catalog.connectors.deliveries()
    for platform in PLATFORMS:
        those = [one for one in every if one.connector.type == platform]
        checks = {"delivery_backlog": delivery_backlog, "connector_health": connector_health}
        for name, check in checks.items():
            key = dg.AssetCheckKey(dg.AssetKey(f"{platform}_sync"), name)
            if key in context.selected_asset_check_keys:
                yield check(segops, key, those)


def delivery_backlog(segops: SegOpsResource, key: dg.AssetCheckKey, every: Sequence[Delivery]) -> dg.AssetCheckResult:
    """Active connectors that have had something left for too long."""
    now = datetime.now(UTC)
    late = sorted(
        (
            one
            for delivery in every
            if (one := undelivered(delivery, now)) is not None
            and one.connector.status == "active"
            and now - one.since > BACKLOG_AFTER
        ),
        key=lambda one: (one.since, one.connector.tenant, one.connector.slug),
    )
    counts = _pending(segops, late)
    rows = [
        (
            one.connector.tenant, one.connector.slug, counts.get(one.connector.id),
            one.since.isoformat(timespec="seconds"), one.reason, _last_error(one),
        )
        for one in late
    ]  # fmt: skip
    columns = ("tenant", "connector", "users waiting", "since", "why", "last error")
    return _result(
        key,
        every,
        [one.connector for one in late],
        dg.AssetCheckSeverity.WARN,
        {
            "late": len(late),
            "oldest_minutes": round((now - late[0].since).total_seconds() / 60) if late else 0,
            **({"late_connectors": dg.MetadataValue.md(markdown_table(columns, rows))} if late else {}),
        },
    )


def connector_health(segops: SegOpsResource, key: dg.AssetCheckKey, every: Sequence[Delivery]) -> dg.AssetCheckResult:
    """Connectors that wait for a person, and what to do."""
    connectors = [one.connector for one in every]
    sick = [one for one in connectors if one.status in ("error", "held")]
    stopped = sum(one.status == "error" for one in sick)
    rows = [(one.tenant, one.slug, one.status, " ".join(one.status_reason.split()), _advice(one)) for one in sick]
    columns = ("tenant", "connector", "status", "why", "what to do")
    return _result(
        key,
        every,
        sick,
        dg.AssetCheckSeverity.ERROR if stopped else dg.AssetCheckSeverity.WARN,
        {
            "stopped": stopped,
            "held": len(sick) - stopped,
            "paused": sum(one.status == "paused" for one in connectors),
            **({"waiting_for_a_person": dg.MetadataValue.md(markdown_table(columns, rows))} if sick else {}),
        },
    )


def _result(
    key: dg.AssetCheckKey,
    every: Sequence[Delivery],
    wrong: Sequence[Connector],
    severity: dg.AssetCheckSeverity,
    metadata: dict[str, Any],
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not wrong,
        severity=severity,
        description=", ".join(f"{one.tenant}/{one.slug}" for one in wrong[:20]),
        metadata={"connectors": len(every), **metadata},
    )


def _advice(connector: Connector) -> str:
    name = f"{connector.tenant} {connector.slug}"
    if connector.status == "held":
        return f"`segops connectors show {name}`, then `segops connectors approve {name}`"
    return f"`segops connectors test {name}`; mend it; `segops connectors resume {name}`"


def _last_error(one: Undelivered) -> str:
    last = one.delivery.last
    return " ".join((last.error or "").split()) if last is not None else ""


def _pending(segops: SegOpsResource, late: Sequence[Undelivered]) -> dict[int, int]:
    """How many users wait, by connector, of those for which there is the time to count."""
    from segops_orchestration.activation.pending import pending

    give_up = time.monotonic() + _COUNT_SECONDS
    counts: dict[int, int] = {}
    for one in late[:_COUNTED]:
        if time.monotonic() > give_up:
            break
        connector = one.connector
        try:
            found = pending(segops.catalog, segops.warehouse, connector.tenant, [connector.slug])
        except SegOpsError:
            continue  # It is late all the same; how many wait is not known.
        counts[connector.id] = found[connector.slug].pending
    return counts
