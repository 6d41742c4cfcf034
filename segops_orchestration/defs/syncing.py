"""Syncing a tenant's connectors of one platform, each whatever becomes of the others. No Dagster in here."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Delivery
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.undelivered import undelivered
from segops_orchestration.errors import ConnectorBusy, SegOpsError

if TYPE_CHECKING:
    from segops_orchestration.activation.result import SyncResult

# A computation's run sends no more than this; the next computation of the tenant waits for it.
QUICK_USERS = 1_000
QUICK_FOLLOW_SECONDS = 5.0
QUICK_CALL_SECONDS = 10.0
# Otherwise: for another sync of the connector to end, and for jobs of the platform.
WAIT_SECONDS = 60.0
FOLLOW_SECONDS = 60.0


@dataclass(frozen=True)
class ConnectorOutcome:
    """What a run came to for one connector: a sync, or why there was none."""

    connector: str
    segment: str
    outcome: str
    note: str = ""
    result: SyncResult | None = None


@dataclass(frozen=True)
class TenantOutcome:
    """What a run came to for one tenant's connectors of a platform. ``failed`` is by connector, and why."""

    tenant: str
    connectors: tuple[ConnectorOutcome, ...]
    failed: dict[str, str] = field(default_factory=dict)
    permanent: bool = True


class Syncing:
    """The connectors of one platform, in one run."""

    def __init__(
        self,
        segops: SegOpsResource,
        platform: str,
        *,
        only_quick: bool,
        only_changed: bool,
        connectors: Sequence[str] | None,
        run_id: str,
        log: logging.Logger,
    ) -> None:
        self._segops = segops
        self._platform = platform
        self._only_quick = only_quick
        self._only_changed = only_changed
        self._connectors = connectors
        self._run_id = run_id
        self._log = log

    def tenant(self, tenant: str) -> TenantOutcome:
        """Sync those of a tenant. One that fails keeps none of the others waiting.

        Raises:
            NotFound: no such tenant.
        """
        catalog: Catalog = self._segops.catalog
        deliveries = [
            one
            for one in catalog.connectors.deliveries(tenant)
            if one.connector.type == self._platform
            and (self._connectors is None or one.connector.slug in self._connectors)
        ]
        if not deliveries:
            self._log.info("%s has no connector of type %s to sync", tenant, self._platform)
        outcomes: list[ConnectorOutcome] = []
        failed: dict[str, str] = {}
        permanent = True
        for one in deliveries:
            outcome = self._one(tenant, one)
            outcomes.append(outcome)
            if outcome.outcome == "failed":
                failed[outcome.connector] = outcome.note
                permanent = permanent and outcome.result is not None and outcome.result.permanent
        return TenantOutcome(tenant, tuple(outcomes), failed, permanent)

    def _one(self, tenant: str, delivery: Delivery) -> ConnectorOutcome:
        connector = delivery.connector
        kept, why = self._kept(delivery)
        if kept:
            self._log.info("%s/%s: %s: %s", tenant, connector.slug, kept, why)
            return ConnectorOutcome(connector.slug, connector.segment, kept, why)
        from segops_orchestration.activation.sync import sync
        from segops_orchestration.activation.work import Patience

        try:
            result = sync(
                self._segops.catalog,
                self._segops.warehouse,
                tenant,
                connector.slug,
                run_id=self._run_id,
                patience=Patience(
                    wait=0.0 if self._only_quick else WAIT_SECONDS,
                    follow=QUICK_FOLLOW_SECONDS if self._only_quick else FOLLOW_SECONDS,
                    call=QUICK_CALL_SECONDS if self._only_quick else None,
                ),
            )
        except ConnectorBusy as busy:
            kept = "left" if self._only_quick else "failed"
            return ConnectorOutcome(connector.slug, connector.segment, kept, str(busy))
        except SegOpsError as error:
            self._log.error("%s/%s: %s", tenant, connector.slug, error)
            return ConnectorOutcome(connector.slug, connector.segment, "failed", str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, the other connectors go on
            # Its words may quote anything, a secret too; where it happened does not.
            where = "".join(traceback.format_tb(error.__traceback__))
            self._log.error("%s/%s: %s\n%s", tenant, connector.slug, type(error).__name__, where)
            note = f"{type(error).__name__}, an error of segops itself; the log says where"
            return ConnectorOutcome(connector.slug, connector.segment, "failed", note)
        if result.outcome != "succeeded":
            self._log.warning("%s/%s: %s: %s", tenant, connector.slug, result.outcome, result.error or _held(result))
        note = result.error or _held(result)
        return ConnectorOutcome(connector.slug, connector.segment, result.outcome, note, result)

    def _kept(self, delivery: Delivery) -> tuple[str, str]:
        """Why nothing is sent, known without asking anybody: an outcome and its reason; empty to go ahead."""
        connector = delivery.connector
        if connector.status in ("paused", "error", "deleting"):
            return connector.status, connector.status_reason
        if connector.segment_status == "archived" and connector.when_archived == "leave":
            return "left", "its segment is archived and the audience stays as it is"
        if self._only_changed and _is_delivered(delivery):
            return "unchanged", ""
        return self._not_quick(delivery) if self._only_quick else ("", "")

    def _not_quick(self, delivery: Delivery) -> tuple[str, str]:
        """Why it is left to the job ``deliver``."""
        last = delivery.last
        if delivery.holder is not None:
            return "left", f"it is being synced by {delivery.holder}"
        if last is not None and last.unfinished:
            return "left", "its last sync failed or left something; the job deliver goes on with it"
        if delivery.changes > QUICK_USERS:
            return "left", f"about {delivery.changes:,} users changed; the job deliver sends them"
        return "", ""


def _is_delivered(delivery: Delivery) -> bool:
    # Refused users are tried again once they have said something about themselves, which only a sync can see.
    refused = delivery.last is not None and delivery.last.counts.refused > 0
    return not refused and undelivered(delivery, datetime.now(UTC)) is None


def _held(result: SyncResult) -> str:
    if result.hold is None:
        return ""
    return f"{result.hold.adds:,} to add and {result.hold.removes:,} to remove: {result.hold.cause}"
