"""Files of members that callers ask for: written beside the requests, so many at a time, and taken away in the end."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.service_records import ExportFormat, SegmentExport
from segops_orchestration.errors import SegOpsError
from segops_orchestration.exports.export import export_segment
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse

AT_A_TIME = 2
KEPT = timedelta(hours=1)
# A service that gave no sign of life for so long is dead, and another writes its file.
SILENT_FOR = timedelta(seconds=60)
_PATIENCE = timedelta(hours=1)
# How often a service looks for what others have left behind, and for what has expired.
_LOOK_SECONDS = 15.0
_FAILED = "the file could not be written; the service's log says why"

_log = logging.getLogger("segops.api.exports")


def files_of_service(settings: Settings) -> Path:
    """Where the files are. Not the folder of Dagster's asset, whose files stay."""
    return settings.home / "api_exports"


class ExportFiles:
    """Writes the files that are asked for, those too that another service left unwritten."""

    def __init__(self, settings: Settings, catalog: Catalog, database: Callable[[str], TenantWarehouse]) -> None:
        self._directory = files_of_service(settings)
        self._catalog = catalog
        self._requests = catalog.service.exports
        self._database = database
        self._stop = threading.Event()
        self._asked = threading.Semaphore(0)
        self._writing: set[int] = set()
        names = [f"segops-export-{number}" for number in range(AT_A_TIME)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        self._threads.append(threading.Thread(target=self._keep, name="segops-exports", daemon=True))

    def start(self) -> None:
        """Begin to write, and to take away."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Begin with no more files; one that is being written is finished first."""
        self._stop.set()
        self._asked.release(AT_A_TIME)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def ask(self, tenant: str, segment_id: int, fmt: ExportFormat, actor: Actor) -> SegmentExport:
        """Have a file written. Raises NotFound, Conflict."""
        asked = self._requests.ask(tenant, segment_id, fmt, actor, patience=_PATIENCE)
        self._asked.release()
        return asked

    def path(self, export: SegmentExport) -> Path | None:
        """The file of an export that is ready, if it is here."""
        if export.status != "ready" or export.file_name is None:
            return None
        path = self._directory / export.file_name
        return path if path.is_file() else None

    def take_away(self) -> int:
        """Delete the files whose time is over; returns how many."""
        overdue = self._requests.overdue()
        for export in overdue:
            shutil.rmtree(self._directory / export.tenant / str(export.id), ignore_errors=True)
        if overdue:
            self._requests.forget([export.id for export in overdue])
        return len(overdue)

    def _work(self) -> None:
        while True:
            self._asked.acquire()
            if self._stop.is_set():
                return
            try:
                while not self._stop.is_set() and (export := self._requests.claim(SILENT_FOR)):
                    self._write(export)
            except SegOpsError as error:
                # The catalogue is out of reach: the next look finds what is left.
                _log.warning("exports: %s", error)
            except Exception:  # noqa: BLE001  # Without its writers no export would ever end.
                _log.exception("exports: unforeseen error")

    def _write(self, export: SegmentExport) -> None:
        self._writing.add(export.id)
        try:
            self._export(export)
        except SegOpsError as error:
            _log.error("export %s of %s failed: %s", export.id, export.tenant, error)
            self._requests.fail(export.id, _FAILED)
        except Exception:  # noqa: BLE001  # A fault of ours has to end the export too, and not the thread.
            _log.exception("export %s of %s failed", export.id, export.tenant)
            self._requests.fail(export.id, _FAILED)
        finally:
            self._writing.discard(export.id)

    def _export(self, export: SegmentExport) -> None:
        segment = self._catalog.get_segment(export.tenant, export.segment_id)
        folder = self._directory / export.tenant / str(export.id)
        written = export_segment(
            self._database(export.tenant), segment.id, segment.slug, fmt=export.format, directory=folder
        )
        name = str(written.path.relative_to(self._directory.absolute()))
        if self._requests.ready(export.id, name, written.rows, written.bytes, kept=KEPT):
            return
        # Somebody has let it expire meanwhile. Or this service seemed dead and another has made it ready: then the file
        # is that one's, of the same name, and stays.
        if self._requests.get(export.tenant, export.id).status != "ready":
            shutil.rmtree(folder, ignore_errors=True)

    def _keep(self) -> None:
        while True:
            try:
                self.take_away()
            except SegOpsError as error:
                _log.warning("exports: %s", error)
            except Exception:  # noqa: BLE001  # Without its keeper no export gives a sign of life, and none expires.
                _log.exception("exports: unforeseen error")
            self._asked.release()
            if self._stop.wait(_LOOK_SECONDS):
                return
            if writing := list(self._writing):
                with suppress(SegOpsError):
                    self._requests.alive(writing)
