"""A process of its own that exports: to measure it, to kill it, to take its disk away."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from segops_orchestration.errors import SegOpsError
from segops_orchestration.exports.export import FORMATS, export_segment
from segops_orchestration.exports.whole_file import WholeFile
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse


def measure(tenant: TenantWarehouse, directory: Path) -> str:
    """Export in both formats; by how many bytes the process grew, and what was written."""
    import pyarrow.parquet  # noqa: F401  a library's own weight is not the question

    tenant.query("SELECT 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files = [export_segment(tenant, 1, "vip", fmt=fmt, directory=directory) for fmt in FORMATS]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return json.dumps([grown, *[[file.format, file.rows, file.bytes] for file in files]])


def die(tenant: TenantWarehouse, directory: Path) -> str:
    """Be killed when some bytes are on the disk."""

    def write(file: WholeFile, chunk: bytes) -> None:
        file.handle.write(chunk)
        file.handle.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    WholeFile.write = write  # type: ignore[method-assign, assignment]
    export_segment(tenant, 1, "vip", fmt="csv", directory=directory)
    return "still alive"


def fill(tenant: TenantWarehouse, directory: Path) -> str:
    """Have room for 100 kB alone."""
    tenant.query("SELECT 1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        export_segment(tenant, 1, "vip", fmt="csv", directory=directory)
    except SegOpsError as error:
        return str(error)
    return "written"


if __name__ == "__main__":
    action, slug, folder = sys.argv[1:]
    connection = Warehouse.connect(Settings.from_env())
    said = {"measure": measure, "die": die, "fill": fill}[action](connection.tenant(slug), Path(folder))
    sys.stdout.write(said + "\n")
