"""The sensor that goes on with what is left to deliver: failed syncs, open jobs, retries, approvals, notices."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from segops_orchestration.defs.activation import SyncConfig
from segops_orchestration.defs.in_flight import RANGE_END_TAG, RANGE_START_TAG, in_flight
from segops_orchestration.defs.jobs import DELIVER_MODE, MODE_TAG, TENANT_TAG, deliver
from segops_orchestration.defs.partitions import TENANTS, missing_keys
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.undelivered import Undelivered, fingerprint, undelivered

MOST_REQUESTS = 25
BUDGET_SECONDS = 20.0

# A computation's own run delivers what it changed; so long it is given the time to.
GRACE = timedelta(seconds=60)
# A run key is never run twice. One that came to nothing, because its process died, is asked for again after this time.
_ASK_AGAIN_SECONDS = 600


@dg.sensor(
    name="pending_deliveries",
    job=deliver,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks at the connectors of all tenants with a handful of queries of the catalogue and requests a run of "
        "`deliver` for each tenant with something left: changes that no run has sent, a sync that failed or left "
        "something (after a growing pause), refused users whose next try has come, an approved change, a connector "
        "that was resumed or edited, notices that are due."
    ),
)
def pending_deliveries(context: dg.SensorEvaluationContext, segops: SegOpsResource) -> dg.SensorResult:
    """One tick."""
    return _Look(context.instance, segops, give_up=time.monotonic() + BUDGET_SECONDS).result()


class _Look:
    """What there is to deliver now. It may be asked for twice: a connector is synced by one run at a time."""

    def __init__(self, instance: dg.DagsterInstance, segops: SegOpsResource, *, give_up: float) -> None:
        self._instance = instance
        self._give_up = give_up
        self._now = datetime.now(UTC)
        self._told: Mapping[str, datetime] = segops.catalog.webhooks.due()
        self._left: defaultdict[str, list[Undelivered]] = defaultdict(list)
        self._held_back: Counter[str] = Counter()
        for delivery in segops.catalog.connectors.deliveries():
            one = undelivered(delivery, self._now)
            # A held change waits for a person; the runs that compute see whether it is smaller by now.
            if one is not None and one.connector.status == "active":
                self._left[one.connector.tenant].append(one)

    def result(self) -> dg.SensorResult:
        requests = self._requests()
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else self._skip_reason())

    def _requests(self) -> list[dg.RunRequest]:
        tenants = sorted({*self._left, *self._told}, key=lambda tenant: (self._since(tenant), tenant))
        if not tenants:
            return []
        running = in_flight(self._instance)
        unregistered = set(missing_keys(self._instance, TENANTS, tenants))
        requests: list[dg.RunRequest] = []
        for tenant in tenants:
            due = self._due(tenant, is_computing=tenant in running.tenants)
            if not due and tenant not in self._told:
                continue
            if tenant in running.delivering:
                self._held_back["a run in flight"] += 1
            elif tenant in unregistered or time.monotonic() > self._give_up:
                self._held_back["their turn in the next tick"] += 1
            elif len(running.delivering) + len(requests) >= MOST_REQUESTS:
                self._held_back["room in the queue"] += 1
            else:
                requests.append(self._request(tenant, due))
        return requests

    def _since(self, tenant: str) -> datetime:
        return min([*(one.since for one in self._left.get(tenant, ())), self._told.get(tenant, self._now)])

    def _due(self, tenant: str, *, is_computing: bool) -> list[Undelivered]:
        due = []
        for one in self._left.get(tenant, ()):
            if one.delivery.holder is not None:
                self._held_back["another sync to finish"] += 1
            elif one.due_at > self._now:
                self._held_back["time to pass since the last sync"] += 1
            elif one.is_new and is_computing and self._now - one.since < GRACE:
                self._held_back["the run that computes to send them"] += 1
            else:
                due.append(one)
        return due

    def _request(self, tenant: str, due: Sequence[Undelivered]) -> dg.RunRequest:
        """One run for what is due of a tenant: only the platforms and connectors that it concerns.

        It names the tenant as a range of one: with a partition tag, the tenant's next computation would wait for it.
        """
        slugs: dict[str, list[str]] = {"webhook": []} if tenant in self._told else {}
        for one in due:
            slugs.setdefault(one.connector.type, []).append(one.connector.slug)
        names = {f"{platform}_sync": SyncConfig(connectors=sorted(found)) for platform, found in slugs.items()}
        told_since = self._told.get(tenant)
        asked = int(self._now.timestamp()) // _ASK_AGAIN_SECONDS
        return dg.RunRequest(
            run_key=f"{tenant}:{fingerprint(due, told_since)}:{asked}",
            run_config=dg.RunConfig(ops=dict(names)),
            asset_selection=[dg.AssetKey(name) for name in names],
            tags={
                RANGE_START_TAG: tenant,
                RANGE_END_TAG: tenant,
                TENANT_TAG: tenant,
                MODE_TAG: DELIVER_MODE,
            },
        )

    def _skip_reason(self) -> str:
        if not self._held_back:
            return "everything is delivered, or waits for a person"
        reasons = ", ".join(f"{count} for {reason}" for reason, count in sorted(self._held_back.items()))
        return f"waiting: {reasons}"
