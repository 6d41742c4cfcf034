"""Generated histories: after every computation, full or delta, the members are those that the oracle names.

``SEGOPS_HISTORIES`` sets how many histories a run tries (default 300 from a fixed seed and 300 fresh ones).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, seed, settings

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.oracle.histories import Compute, Define, History, Ingest, histories, replay

HISTORIES = int(os.environ.get("SEGOPS_HISTORIES", "300"))

bounded = settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


def _agrees(history: History, catalog: Catalog, warehouse: Warehouse) -> None:
    received_from = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with tenants(catalog, warehouse) as new_tenant:
        tenant = new_tenant()
        for step in replay(history, received_from=received_from):
            match step:
                case Define(slug, definition):
                    tenant.define({slug: definition})
                case Ingest(events):
                    tenant.ingest(events)
                case Compute(mode, at, expected):
                    tenant.compute("full" if mode == "full" else "delta", at=at)
                    assert {slug: tenant.members(slug) for slug in expected} == expected


@seed(20260131)
@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_from_a_fixed_seed(
    history: History, module_catalog: Catalog, warehouse: Warehouse
) -> None:
    _agrees(history, module_catalog, warehouse)


@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_on_fresh_histories(
    history: History, module_catalog: Catalog, warehouse: Warehouse
) -> None:
    _agrees(history, module_catalog, warehouse)
