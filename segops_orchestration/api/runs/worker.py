"""``python -m segops_orchestration.api.runs.worker RUN_ID TENANT SEGMENT MODE``: one computation, in this process.

It says in the catalogue how it goes; the service need not live that long.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Mode
from segops_orchestration.compute.compute import compute
from segops_orchestration.errors import (
    Conflict,
    InvalidDocument,
    NotFound,
    QueryMemoryExceeded,
    SegOpsError,
    TenantBusy,
)
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse

SIGN_OF_LIFE_SECONDS = 5.0
# How long to wait while somebody else computes the tenant.
_WAIT_SECONDS = 3600.0

_log = logging.getLogger("segops.api.runs")


def run(settings: Settings, run_id: str, tenant: str, slug: str, mode: Mode) -> bool:
    """Compute, and write down how it ends; returns whether it succeeded."""
    with Catalog.open(settings) as catalog:
        if not catalog.service.computations.running(run_id):
            _log.warning("run %s has ended before it began", run_id)
            return False
        ended = threading.Event()
        signs = threading.Thread(target=_give_signs, args=(catalog, run_id, ended), daemon=True)
        signs.start()
        try:
            error = _compute(settings, catalog, run_id, tenant, slug, mode)
        finally:
            ended.set()
            signs.join()
        catalog.service.computations.finish(run_id, "failed" if error else "succeeded", error)
    return error is None


def _compute(settings: Settings, catalog: Catalog, run_id: str, tenant: str, slug: str, mode: Mode) -> str | None:
    """What callers are told went wrong; None when nothing did."""
    try:
        warehouse = Warehouse.connect(settings)
        try:
            compute(catalog, warehouse, tenant, [slug], mode=mode, run_id=run_id, wait_seconds=_WAIT_SECONDS)
        finally:
            warehouse.close()
    except SegOpsError as error:
        _log.error("run %s of %s/%s failed: %s", run_id, tenant, slug, error)
        return told(error)
    except Exception:  # noqa: BLE001  # A fault of ours has to end the request too.
        _log.exception("run %s of %s/%s failed", run_id, tenant, slug)
        return told(None)
    return None


def told(error: SegOpsError | None) -> str:
    """An error as callers may read it: what speaks of hosts and statements is for the log."""
    if isinstance(error, NotFound | Conflict | TenantBusy | InvalidDocument):
        return str(error)
    if isinstance(error, QueryMemoryExceeded):
        return "the segment needs more memory than a query may hold"
    return "the computation failed; the service's log says why"


def _give_signs(catalog: Catalog, run_id: str, ended: threading.Event) -> None:
    while not ended.wait(SIGN_OF_LIFE_SECONDS):
        # The catalogue may be out of reach for a moment.
        with suppress(SegOpsError):
            catalog.service.computations.running(run_id)


def main() -> None:
    """The command."""
    run_id, tenant, slug, mode = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    sys.exit(0 if run(Settings.from_env(), run_id, tenant, slug, "full" if mode == "full" else "delta") else 1)


if __name__ == "__main__":
    main()
