"""Telling a tenant's endpoints what was committed, in the time that a run has for it. No Dagster in here."""

from __future__ import annotations

from dataclasses import replace

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.defs.syncing import TenantOutcome
from segops_orchestration.errors import SegOpsError

_QUICK_SECONDS, _SECONDS = 5.0, 60.0


def with_notices(catalog: Catalog, outcome: TenantOutcome, *, only_quick: bool) -> tuple[TenantOutcome, dict[str, int]]:
    """Write and send the notices of a tenant: its outcome with what failed in that, and counts if there was any."""
    try:
        counts = _tell(catalog, outcome.tenant, only_quick=only_quick)
    except SegOpsError as error:
        return replace(outcome, failed={**outcome.failed, "notices": str(error)}), {}
    return outcome, {name: count for name, count in counts.items() if any(counts.values())}


def _tell(catalog: Catalog, tenant: str, *, only_quick: bool) -> dict[str, int]:
    # Whoever did not answer lately may take his time again: the job deliver sends the messages.
    if only_quick and any(one.attempts for one in catalog.webhooks.messages(tenant, status="pending", limit=100)):
        return {"notices_written": catalog.webhooks.write(tenant)}
    # The HTTP library takes its time to load; most tenants have no endpoint.
    if not catalog.webhooks.every(tenant):
        return {}
    from segops_orchestration.activation.notices import announce

    told = announce(catalog, tenant, seconds=_QUICK_SECONDS if only_quick else _SECONDS)
    return {
        "notices_written": told.written,
        "notices_delivered": told.delivered,
        "notices_failed": told.failed,
        "notices_dead": told.dead,
    }
