"""The event sensor: it says who needs a computation. How far each is computed is the computations' own business."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from segops_orchestration.catalog.records import TenantWatermark
from segops_orchestration.defs.cursor import Cursor
from segops_orchestration.defs.in_flight import FailedRun, fail_orphans, failed_runs, in_flight
from segops_orchestration.defs.jobs import recompute, recompute_request
from segops_orchestration.defs.memberships import ComputeMode
from segops_orchestration.defs.partitions import (
    SEGMENTS,
    TENANTS,
    missing_keys,
    segment_key,
    segment_partitions,
    tenant_partitions,
)
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.defs.waiting import (
    Arrivals,
    WaitingTenant,
    definitions_fingerprint,
    read_arrivals,
    retry_at,
    waiting_tenants,
)

# Of one tick. A tick is lost as a whole after 60 s, so it stops looking for more work long before that.
MOST_REQUESTS = 25
MOST_OBSERVATIONS = 25
MOST_NEW_PARTITIONS = 100
BUDGET_SECONDS = 20.0

# The daemon comes round every 5 s. A tick that finds nothing to do goes on looking for most of that time, which takes
# seconds off the way from an event to its membership; looking is kept to a tenth of the time.
WATCH_SECONDS = 4.0
_PAUSE_SECONDS = 0.4
_PAUSE_PER_LOOK = 10

_A_RUN_IN_FLIGHT = "a run in flight"

DEFINITIONS_TAG = "segops/definitions"


@dg.sensor(
    name="new_events",
    job=recompute,
    # With 5, a tick that began a millisecond late would make the next round skip its own.
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks at the arrivals of all tenants with one query and requests a delta run for each tenant that has "
        "new events or definitions and no run in flight. Registers new tenants and segments as partitions, and "
        "reports arrivals as observations."
    ),
)
def new_events(context: dg.SensorEvaluationContext, segops: SegOpsResource) -> dg.SensorResult:
    """One tick."""
    started = time.monotonic()
    cursor = Cursor.parse(context.cursor)
    fail_orphans(context.instance)
    observations: list[dg.AssetObservation] = []
    while True:
        looked = time.monotonic()
        look = _Look(context.instance, segops, cursor, observations, give_up=started + BUDGET_SECONDS)
        result = look.result()
        pause = max(_PAUSE_SECONDS, _PAUSE_PER_LOOK * (time.monotonic() - looked))
        # Observations alone do not end the tick while a run is awaited: the next tick comes seconds after its end.
        found = result.run_requests or result.dynamic_partitions_requests or (observations and not look.awaits_a_run)
        if found or time.monotonic() + pause > started + WATCH_SECONDS:
            return result
        time.sleep(pause)


class _Look:
    """What there is to do now. All of it may be done again: a tick can be lost or repeated.

    ``observations`` are those of the tick's earlier looks; its own are added. ``awaits_a_run``: a tenant has news and a
    run in flight.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        segops: SegOpsResource,
        cursor: Cursor,
        observations: list[dg.AssetObservation],
        *,
        give_up: float,
    ) -> None:
        self.awaits_a_run = False
        self._observed = observations
        self._give_up = give_up
        self._now = datetime.now(UTC)
        self._instance = instance
        self._segops = segops
        self._cursor = cursor
        self._watermarks: Mapping[str, TenantWatermark] = segops.catalog.watermarks()
        # Without tenants, do not even wake the warehouse.
        self._arrivals = read_arrivals(segops.warehouse) if self._watermarks else {}
        self._waiting = waiting_tenants(self._watermarks, self._arrivals)

    def result(self) -> dg.SensorResult:
        self._forget_absent_tenants()
        new_tenants = missing_keys(self._instance, TENANTS, list(self._watermarks))[:MOST_NEW_PARTITIONS]
        new_segments = self._new_segments()
        unregistered = set(missing_keys(self._instance, TENANTS, list(self._watermarks))) - set(new_tenants)
        requests, held_back = self._requests(unregistered)
        self.awaits_a_run = held_back[_A_RUN_IN_FLIGHT] > 0
        self._observed += self._observations(unregistered)
        adds = [
            definition.build_add_request(keys)
            for definition, keys in ((tenant_partitions, new_tenants), (segment_partitions, new_segments))
            if keys
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else self._skip_reason(held_back),
            cursor=self._cursor.text(),
            dynamic_partitions_requests=adds,
            asset_events=self._observed,
        )

    def _forget_absent_tenants(self) -> None:
        waiting = {one.tenant for one in self._waiting}
        cursor = self._cursor
        cursor.observed = {key: value for key, value in cursor.observed.items() if key in self._watermarks}
        cursor.registered = {key: value for key, value in cursor.registered.items() if key in self._watermarks}
        cursor.waiting_since = {key: value for key, value in cursor.waiting_since.items() if key in waiting}
        for tenant in waiting:
            cursor.waiting_since.setdefault(tenant, int(self._now.timestamp()))

    def _new_segments(self) -> list[str]:
        """Keys to add, of tenants whose segments changed since they were last looked at."""
        found: list[str] = []
        for tenant, watermark in self._watermarks.items():
            if not self._has_new_segments(watermark):
                continue
            if self._is_late() or len(found) >= MOST_NEW_PARTITIONS:
                break
            keys = [segment_key(tenant, one.slug) for one in self._segops.catalog.list_segments(tenant)]
            missing = missing_keys(self._instance, SEGMENTS, keys)
            room = MOST_NEW_PARTITIONS - len(found)
            found += missing[:room]
            if len(missing) <= room:
                self._cursor.registered[tenant] = watermark.segments
        return found

    def _has_new_segments(self, watermark: TenantWatermark) -> bool:
        return (
            watermark.never_computed_or_changed
            or self._cursor.registered.get(watermark.tenant, 0) != watermark.segments
        )

    def _requests(self, unregistered: set[str]) -> tuple[list[dg.RunRequest], Counter[str]]:
        """Delta runs to request, and why the other waiting tenants get none now."""
        held_back: Counter[str] = Counter()
        if not self._waiting:
            return [], held_back
        running = in_flight(self._instance)
        failures = failed_runs(self._instance, recompute.name)
        requests: list[dg.RunRequest] = []
        for one in self._waiting:
            if one.tenant in running.tenants:
                held_back[_A_RUN_IN_FLIGHT] += 1
            elif one.tenant in unregistered or self._is_late():
                held_back["their turn in the next tick"] += 1
            elif running.runs + len(requests) >= MOST_REQUESTS:
                held_back["room in the queue"] += 1
            elif self._segops.catalog.lease_holder(one.tenant) is not None:
                held_back["another computation to finish"] += 1
            elif (request := self._request(one, failures.get(one.tenant, []))) is None:
                held_back["time to pass since a failure"] += 1
            else:
                requests.append(request)
        return requests, held_back

    def _request(self, one: WaitingTenant, failures: list[FailedRun]) -> dg.RunRequest | None:
        """The run for one tenant; None while its failures hold it back.

        Dagster remembers a run key for ever and never runs it again, so the key names what is to be done (arrivals
        and definitions) and, after a failure, also the run that failed.
        """
        fingerprint = definitions_fingerprint(self._segops.catalog.list_segments(one.tenant))
        in_a_row = [run for run in failures if self._still_counts(run, one.watermark, fingerprint)]
        run_key = f"{one.tenant}:{one.arrivals.block}:{fingerprint}"
        if in_a_row:
            last = max(in_a_row, key=lambda run: run.ended_at)
            if self._now < retry_at(len(in_a_row), last.ended_at):
                return None
            run_key += f":after-{last.run_id}"
        return recompute_request(one.tenant, ComputeMode.delta, run_key=run_key, tags={DEFINITIONS_TAG: fingerprint})

    def _still_counts(self, run: FailedRun, watermark: TenantWatermark, fingerprint: str) -> bool:
        """Not once the tenant has been computed since, or its definitions are others now."""
        computed_since = watermark.at is not None and watermark.at > run.created_at
        return not computed_since and run.tags.get(DEFINITIONS_TAG, fingerprint) == fingerprint

    def _observations(self, unregistered: set[str]) -> list[dg.AssetObservation]:
        """Of the tenants whose arrivals changed since they were last reported."""
        news = [
            tenant
            for tenant in self._watermarks
            if tenant not in unregistered
            and tenant in self._arrivals
            and self._arrivals[tenant].block != self._cursor.observed.get(tenant, 0)
        ]
        observations: list[dg.AssetObservation] = []
        for tenant in news[:MOST_OBSERVATIONS]:
            arrivals = self._arrivals[tenant]
            self._cursor.observed[tenant] = arrivals.block
            observations.append(self._events_observation(tenant, arrivals))
            if arrivals.identification_rows:
                observations.append(
                    dg.AssetObservation(
                        "user_properties", partition=tenant, metadata={"rows": arrivals.identification_rows}
                    )
                )
        return observations

    def _events_observation(self, tenant: str, arrivals: Arrivals) -> dg.AssetObservation:
        since = self._cursor.waiting_since.get(tenant)
        lag = 0 if since is None else max(0, int(self._now.timestamp()) - since)
        metadata = {"rows": arrivals.event_rows, "lag_seconds": lag, "arrival_block": arrivals.block}
        return dg.AssetObservation("events", partition=tenant, metadata=metadata)

    def _skip_reason(self, held_back: Counter[str]) -> str:
        if not self._watermarks:
            return "there are no tenants yet"
        if not self._waiting:
            return f"computed up to their newest events: {len(self._watermarks)} of {len(self._watermarks)} tenants"
        reasons = ", ".join(f"{count} for {reason}" for reason, count in sorted(held_back.items()))
        return f"waiting: {len(self._waiting)} of {len(self._watermarks)} tenants ({reasons})"

    def _is_late(self) -> bool:
        return time.monotonic() > self._give_up
