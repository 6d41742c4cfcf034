"""Generated histories: after every computation, full or delta, the members are those that the oracle names.

One world at a time, which hypothesis can shrink to the last detail; ``test_machine`` tries many more, several at a
time. ``SEGOPS_HISTORIES`` sets how many a run tries (default 5 from a fixed seed and 5 fresh ones).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as hypothesis_settings

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.life import NewLife, lives
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.histories import Compute, Define, History, Ingest, histories, replay

HISTORIES = int(os.environ.get("SEGOPS_HISTORIES", "5"))

bounded = hypothesis_settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


@pytest.fixture(scope="module")
def new_life(
    settings: Settings, empty_catalog_file: Path, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewLife]:
    with lives(settings, warehouse, empty_catalog_file, tmp_path_factory.mktemp("histories")) as life:
        yield life


def _agrees(history: History, tenant: StoryTenant) -> None:
    received_from = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for step in replay(history, received_from):
        match step:
            case Define(slug, definition):
                tenant.define({slug: definition})
            case Ingest(events):
                tenant.ingest(events)
            case Compute(mode, at, expected):
                tenant.compute("full" if mode == "full" else "delta", at=at)
                assert tenant.all_members() == expected


@seed(20260131)
@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_from_a_fixed_seed(history: History, new_life: NewLife) -> None:
    with new_life() as tenant:
        _agrees(history, tenant)


@bounded
@given(history=histories())
def test_full_delta_and_oracle_agree_on_fresh_histories(history: History, new_life: NewLife) -> None:
    with new_life() as tenant:
        _agrees(history, tenant)
