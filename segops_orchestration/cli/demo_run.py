"""What ``segops demo`` does, step by step; the command itself prints it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from segops_orchestration.cli.demo_activation import CONNECTOR, ActivationOutcome, DemoPlatform, demo_platform
from segops_orchestration.cli.demo_data import CUSTOMERS, PURCHASES, DemoFiles, write_demo_files
from segops_orchestration.cli.segment_files import read_segment_files
from segops_orchestration.errors import Conflict, NotFound, SegOpsError
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.records import Computation, Mode, SegmentComputation
    from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

# A tenant of this name may be made anew; one of another name holds somebody's own data.
TENANT_NAME = "CDNOW demo"
_RUN_SECONDS = 300


class Steps(Protocol):
    """Is told what begins, and that the last step has ended."""

    def __call__(self, message: str) -> None: ...
    def done(self) -> None: ...


@dataclass(frozen=True)
class Counts:
    """One computation of one segment. ``candidates`` is None in a full one, which evaluates everyone."""

    members: int
    entered: int
    exited: int
    candidates: int | None
    milliseconds: int


@dataclass(frozen=True)
class SegmentOutcome:
    """A segment before and after the latest purchases."""

    slug: str
    full: Counts
    delta: Counts


@dataclass(frozen=True)
class ExportOutcome:
    """One exported file."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True)
class DemoOutcome:
    """The result of a demo."""

    tenant: str
    home: Path
    shift_days: int
    events: int
    customers: int
    segment_files: Path
    segments: tuple[SegmentOutcome, ...]
    exports: tuple[ExportOutcome, ...]
    activation: ActivationOutcome


def run_demo(settings: Settings, tenant: str, steps: Steps) -> DemoOutcome:
    """Do the whole job.

    Raises:
        Conflict: the tenant exists and is not an earlier demo's.
        SegOpsError: a Dagster run failed.
    """
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.warehouse.client import Warehouse
    from segops_orchestration.warehouse.embedded.lifecycle import status, stop

    was_running = settings.clickhouse_url is not None or status(settings).running
    with Catalog.open(settings) as catalog:
        _refuse_foreign(catalog, tenant)
        steps("starting ClickHouse" if not was_running else "connecting to ClickHouse")
        with closing(Warehouse.connect(settings)) as warehouse, demo_platform(catalog, tenant) as platform:
            outcome = _Demo(settings, catalog, warehouse, tenant, steps, platform).run()
    if not was_running:
        steps("stopping ClickHouse")
        stop(settings)
    steps.done()
    return outcome


def _refuse_foreign(catalog: Catalog, tenant: str) -> None:
    try:
        found = catalog.get_tenant(tenant)
    except NotFound:
        return
    if found.name != TENANT_NAME:
        raise Conflict(f"tenant {tenant!r} ({found.name}) is not from an earlier demo; choose another with --tenant")
    if found.status == "archived":
        catalog.restore_tenant(tenant)


class _Demo:
    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        warehouse: Warehouse,
        tenant: str,
        steps: Steps,
        platform: DemoPlatform,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._warehouse = warehouse
        self._tenant = tenant
        self._steps = steps
        self._platform = platform
        self._folder = settings.home / "demo"

    @property
    def _database(self) -> TenantWarehouse:
        return self._warehouse.tenant(self._tenant)

    def run(self) -> DemoOutcome:
        self._steps(f"writing {PURCHASES:,} purchases of {CUSTOMERS:,} customers as CSV")
        written = write_demo_files(self._folder)
        segment_files = self._write_segments()
        self._steps(f"making the tenant {self._tenant}")
        self._make_tenant()
        self._steps(f"ingesting customers and purchases up to {written.cut}")
        events = self._ingest_history(written)
        self._steps("applying the segments")
        documents = [file.document for file in read_segment_files([segment_files])]
        self._catalog.save_segments(self._tenant, documents)
        self._steps(f"creating the connector {CONNECTOR} to a stand-in for Klaviyo")
        self._platform.connect()
        self._steps(f"full computation of {len(documents)} segments, exports and first sync: a Dagster run")
        full = self._launch("full")
        first_sync = self._platform.last_sync()
        self._steps(f"ingesting the purchases after {written.cut}")
        events += self._ingest([written.latest], "order_placed")
        self._steps("delta computation, exports and sync of the difference: a second Dagster run")
        delta = self._launch("delta")
        return DemoOutcome(
            tenant=self._tenant,
            home=self._settings.home,
            shift_days=written.shift_days,
            events=events,
            customers=CUSTOMERS,
            segment_files=segment_files,
            segments=tuple(_side_by_side(full, delta)),
            exports=tuple(self._exports(delta)),
            activation=self._platform.outcome(first_sync),
        )

    def _write_segments(self) -> Path:
        folder = self._folder / "segments"
        with as_file(files("segops_orchestration.cli.demo_data").joinpath("segments")) as bundled:
            shutil.copytree(bundled, folder, dirs_exist_ok=True)
        return folder

    def _make_tenant(self) -> None:
        from segops_orchestration.cli.tenants import ensure_tenant

        # The dates depend on the day, so an earlier demo's events are not the same ones.
        self._database.drop()
        ensure_tenant(self._catalog, self._warehouse, self._tenant, TENANT_NAME)

    def _ingest_history(self, written: DemoFiles) -> int:
        return self._ingest([written.customers], "context_identified") + self._ingest([written.history], "order_placed")

    def _ingest(self, paths: list[Path], event_type: str) -> int:
        from segops_orchestration.warehouse.ingest import ColumnMapping, ingest_files

        mapping = ColumnMapping(user_id="customer_id", occurred_at="date", event_type=event_type)
        return sum(report.loaded for report in ingest_files(self._database, paths, mapping, strict=True))

    def _launch(self, mode: Mode) -> Computation:
        """Run the Dagster job in a process of its own, as the daemon would."""
        from segops_orchestration.cli.child_process import child_environment
        from segops_orchestration.cli.dagster_process import write_instance_config

        write_instance_config(self._settings)
        log = self._folder / f"{mode}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                [sys.executable, "-m", "segops_orchestration.launch", self._tenant, "--mode", mode],
                env=child_environment(self._settings, os.environ),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_RUN_SECONDS,
                check=False,
            )
        if done.returncode:
            raise SegOpsError(f"the Dagster run failed; {log} says why")
        return self._catalog.list_computations(self._tenant, limit=1)[0]

    def _exports(self, computation: Computation) -> Iterable[ExportOutcome]:
        members = {segment.slug: segment.members or 0 for segment in computation.segments}
        folder = self._settings.exports_dir / self._tenant
        for slug in sorted(members):
            for suffix in ("csv", "parquet"):
                path = folder / f"{slug}.{suffix}"
                yield ExportOutcome(path, members[slug], path.stat().st_size)


def _side_by_side(full: Computation, delta: Computation) -> Iterable[SegmentOutcome]:
    deltas = {segment.slug: segment for segment in delta.segments}
    for segment in sorted(full.segments, key=lambda segment: segment.slug):
        yield SegmentOutcome(segment.slug, _counts(segment), _counts(deltas[segment.slug]))


def _counts(segment: SegmentComputation) -> Counts:
    return Counts(
        members=segment.members or 0,
        entered=segment.entered or 0,
        exited=segment.exited or 0,
        candidates=segment.candidates,
        milliseconds=segment.milliseconds or 0,
    )
