"""Every property operator against every kind of value: one tenant, over a thousand segments, judged by the oracle.

A run takes every sixth of the segments, from a place drawn anew; ``SEGOPS_GRID_STEP=1`` takes all.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import AT
from segops_orchestration_tests.oracle.evaluate import members_of_all
from segops_orchestration_tests.oracle.grid import grid_definitions, grid_events

STEP = int(os.environ.get("SEGOPS_GRID_STEP", "6"))
FIRST = secrets.randbelow(STEP)
DEFINITIONS = dict(list(grid_definitions().items())[FIRST::STEP])


@pytest.fixture(scope="module")
def grid_tenant(module_catalog: Catalog, warehouse: Warehouse) -> Iterator[StoryTenant]:
    with tenants(module_catalog, warehouse) as new_tenant:
        tenant = new_tenant()
        tenant.define({str(slug): definition for slug, definition in DEFINITIONS.items()})
        tenant.compute("full", at=AT - timedelta(days=1))
        tenant.ingest(grid_events(), received_later=datetime.now(UTC) - AT)
        yield tenant


def _stored(tenant: StoryTenant) -> Mapping[str, frozenset[str]]:
    rows = tenant.database.query("SELECT segment_id, user_id FROM segment_memberships FINAL").result_rows
    members: dict[int, set[str]] = {segment.id: set() for segment in tenant.catalog.list_segments(tenant.slug)}
    for segment_id, user_id in rows:
        members[segment_id].add(user_id)
    return {segment.slug: frozenset(members[segment.id]) for segment in tenant.catalog.list_segments(tenant.slug)}


def test_a_delta_and_then_a_full_computation_agree_with_the_oracle(grid_tenant: StoryTenant) -> None:
    expected = {str(slug): found for slug, found in members_of_all(DEFINITIONS, grid_events(), AT).items()}

    result = grid_tenant.compute("delta", at=AT)
    assert {segment.mode for segment in result.segments} == {"delta"}
    assert _differences(_stored(grid_tenant), expected) == {}

    grid_tenant.database.command("TRUNCATE TABLE segment_memberships")
    grid_tenant.compute("full", at=AT)
    assert _differences(_stored(grid_tenant), expected) == {}


def _differences(
    found: Mapping[str, frozenset[str]], expected: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    return {slug: found[slug] ^ expected[slug] for slug in expected if found[slug] != expected[slug]}
