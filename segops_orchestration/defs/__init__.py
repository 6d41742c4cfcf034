"""All that imports dagster: partitions, resources, assets, checks, jobs, sensors, schedules and the storage class."""

import warnings

import dagster as dg

# Used on purpose; the definitions are loaded by every process, and each would say it again.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)
