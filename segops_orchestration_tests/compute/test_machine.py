"""Whatever happens to a tenant, in whatever order: every computation leaves the members that the oracle names.

``SEGOPS_HISTORIES`` sets about how many histories a run tries (default 24), half from a fixed seed and half fresh
ones; with ``--log-cli-level=INFO`` it says how many they were. A history is one world: some users, some segments about
them, and what happens to both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.life import NewLife, lives
from segops_orchestration_tests.compute.machine import MEAN_WORLDS, TenantMachine

HISTORIES = int(os.environ.get("SEGOPS_HISTORIES", "24"))

log = logging.getLogger(__name__)

bounded = hypothesis_settings(
    max_examples=max(1, round(HISTORIES / 2 / MEAN_WORLDS)),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.fixture(scope="module")
def new_life(
    settings: Settings, empty_catalog_file: Path, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewLife]:
    with lives(settings, warehouse, empty_catalog_file, tmp_path_factory.mktemp("machine")) as life:
        yield life


@pytest.fixture
def machine(new_life: NewLife) -> Iterator[type[TenantMachine]]:
    """The machine, with lives for its tenants; each test its own, since a seed stays with the class."""
    made = type("DrivenTenant", (TenantMachine,), {"new_life": staticmethod(new_life)})
    driven = cast("type[TenantMachine]", made)
    yield driven
    log.info("%s histories, %s computations of a world", driven.histories, driven.computations)


def test_a_tenant_is_right_whatever_happens_to_it_from_a_fixed_seed(machine: type[TenantMachine]) -> None:
    seed(20260131)(machine)
    run_state_machine_as_test(machine, settings=bounded)


def test_a_tenant_is_right_whatever_happens_to_it_afresh(machine: type[TenantMachine]) -> None:
    run_state_machine_as_test(machine, settings=bounded)
