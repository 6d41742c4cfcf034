"""All that imports dagster: partitions, resources, assets, checks, jobs, sensors, schedules and the storage class."""
