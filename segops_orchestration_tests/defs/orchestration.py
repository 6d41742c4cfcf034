"""The code location on an instance, driven as the daemon and the UI drive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from segops_orchestration.definitions import defs
from segops_orchestration.defs.activation import SYNCS
from segops_orchestration.defs.exports import segment_exports
from segops_orchestration.defs.in_flight import RANGE_END_TAG, RANGE_START_TAG
from segops_orchestration.defs.memberships import segment_memberships, segments
from segops_orchestration.defs.partitions import SEGMENTS, TENANTS, register
from segops_orchestration.defs.resources import SegOpsResource
from segops_orchestration.settings import Settings

_ASSETS = [segment_memberships, segments, segment_exports, *SYNCS]


@dataclass(frozen=True)
class Tick:
    """What one round of the sensor came to."""

    requests: list[dg.RunRequest]
    skipped: str
    observations: list[dg.AssetObservation]

    @property
    def tenants(self) -> list[str]:
        """Whom it wants to be computed, in order."""
        return [request.partition_key or "" for request in self.requests]


@dataclass
class Orchestration:
    """What a test asks of Dagster."""

    instance: dg.DagsterInstance
    settings: Settings
    cursor: str | None = field(default=None)

    def register(self, *tenants: str) -> None:
        register(self.instance, TENANTS, list(tenants))

    def materialize(
        self,
        asset: str,
        *keys: str,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        raise_on_error: bool = True,
    ) -> dg.ExecuteInProcessResult:
        """Materialize one partition, or all from the first to the last of ``keys``."""
        register(self.instance, SEGMENTS if asset == "segments" else TENANTS, keys)
        one = {"partition_key": keys[0]} if len(keys) == 1 else {}
        ranged = {} if one else {RANGE_START_TAG: keys[0], RANGE_END_TAG: keys[-1]}
        return dg.materialize(
            _ASSETS,
            selection=dg.AssetSelection.assets(asset),
            instance=self.instance,
            resources={"segops": SegOpsResource()},
            run_config={"ops": {asset: {"config": dict(config)}}} if config else None,
            tags={**ranged, **(tags or {})},
            raise_on_error=raise_on_error,
            **one,
        )

    def tick(self, sensor: str = "new_events") -> Tick:
        """One round of a sensor, with its cursor kept. Its run requests are validated as the daemon does."""
        context = dg.build_sensor_context(
            instance_ref=self.instance.get_ref(),
            definitions=defs,
            resources={"segops": SegOpsResource()},
            cursor=self.cursor,
        )
        with context:
            data = defs.resolve_sensor_def(sensor).evaluate_tick(context)
        self.cursor = data.cursor
        for request in data.dynamic_partitions_requests or ():
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        observations = [event for event in data.asset_events if isinstance(event, dg.AssetObservation)]
        return Tick(list(data.run_requests or ()), data.skip_message or "", observations)

    def run(self, request: dg.RunRequest, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
        """Carry out a run request of ``recompute``."""
        job = defs.resolve_job_def("recompute")
        return job.execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags=dict(request.tags),
            raise_on_error=raise_on_error,
        )

    def reported(self, asset: str) -> list[tuple[str, dict[str, Any]]]:
        """(partition, metadata values) of the asset's materializations, oldest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset), limit=1000, ascending=True).records
        found = [record.asset_materialization for record in records]
        return [(one.partition or "", plain(one.metadata)) for one in found if one is not None]

    def partitions(self, name: str) -> Sequence[str]:
        return self.instance.get_dynamic_partitions(name)


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as plain values."""
    return {key: value.value for key, value in metadata.items()}
