"""The code location: wiring, nothing else."""

import dagster as dg

from segops_orchestration.defs import (
    activation,
    checks,
    delivery_checks,
    delivery_sensor,
    exports,
    jobs,
    memberships,
    schedules,
    sensors,
)
from segops_orchestration.defs.resources import SegOpsResource

defs = dg.Definitions(
    assets=[
        memberships.events,
        memberships.user_properties,
        memberships.segment_memberships,
        memberships.segments,
        exports.segment_exports,
        *activation.SYNCS,
    ],
    asset_checks=[checks.stale_tenants, checks.delta_equals_full, delivery_checks.deliveries],
    jobs=[jobs.recompute, jobs.deliver, jobs.tenant_checks, jobs.purge_old_runs],
    schedules=[
        schedules.clock_tick,
        schedules.full_reconciliation,
        schedules.hourly_checks,
        schedules.run_history_cleanup,
    ],
    sensors=[sensors.new_events, delivery_sensor.pending_deliveries],
    resources={"segops": SegOpsResource()},
    # One step after another in the run's own process: another process a step would cost seconds each.
    executor=dg.in_process_executor,
)
