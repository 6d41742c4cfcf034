"""Every hand-written case of the language, answered by the engine: by delta, and in full.

Cases at the same instant share a tenant, each with users and a segment of its own, because one computation of many
segments is a hundred times quicker than as many computations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import AT, Case
from segops_orchestration_tests.oracle.cases import CASES, EXTENSION_CASES

EVERY_CASE = (*CASES, *EXTENSION_CASES)
ALONE = [case for case in EVERY_CASE if not case.segments]
REFERRING = [case for case in EVERY_CASE if case.segments]


@dataclass(frozen=True)
class Answers:
    """What the engine said, by case id."""

    delta: Mapping[str, frozenset[str]]
    full: Mapping[str, frozenset[str]]


def _compute_both(tenant: StoryTenant, cases: Sequence[Case], at: datetime) -> Answers:
    slugs = {case.id: f"case-{index}" for index, case in enumerate(cases)}
    tenant.define({slugs[case.id]: case.definition for case in cases})
    # Computed before anything happened, so that what follows is a delta over all of the cases' events.
    tenant.compute("full", at=at - timedelta(days=1))
    for case in cases:
        owned = [replace(event, user_id=f"{slugs[case.id]} {event.user_id}") for event in case.events]
        tenant.ingest(owned, received_later=datetime.now(UTC) - AT)

    def members(case: Case) -> frozenset[str]:
        prefix = f"{slugs[case.id]} "
        return frozenset(
            user.removeprefix(prefix) for user in tenant.members(slugs[case.id]) if user.startswith(prefix)
        )

    result = tenant.compute("delta", at=at)
    assert {segment.mode for segment in result.segments} == {"delta"}
    delta = {case.id: members(case) for case in cases}
    tenant.database.command("TRUNCATE TABLE segment_memberships")
    tenant.compute("full", at=at)
    return Answers(delta, {case.id: members(case) for case in cases})


@pytest.fixture(scope="module")
def answers(module_catalog: Catalog, warehouse: Warehouse) -> Iterator[Answers]:
    by_instant: defaultdict[datetime, list[Case]] = defaultdict(list)
    for case in ALONE:
        by_instant[case.at].append(case)
    delta: dict[str, frozenset[str]] = {}
    full: dict[str, frozenset[str]] = {}
    with tenants(module_catalog, warehouse) as new_tenant:
        for at, cases in by_instant.items():
            found = _compute_both(new_tenant(), cases, at)
            delta.update(found.delta)
            full.update(found.full)
        yield Answers(delta, full)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.id)
def test_a_delta_gives_the_expected_members(case: Case, answers: Answers) -> None:
    assert answers.delta[case.id] == case.expected_members


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.id)
def test_a_full_computation_gives_the_expected_members(case: Case, answers: Answers) -> None:
    assert answers.full[case.id] == case.expected_members


@pytest.mark.parametrize("case", REFERRING, ids=lambda case: case.id)
def test_references_are_computed_first(case: Case, tenant: StoryTenant) -> None:
    tenant.define({str(slug): definition for slug, definition in case.segments.items()})
    tenant.define({"the_segment": case.definition})
    tenant.compute("full", at=case.at - timedelta(days=1))
    tenant.ingest(case.events, received_later=datetime.now(UTC) - AT)

    tenant.compute("delta", at=case.at)
    assert tenant.members("the_segment") == case.expected_members

    tenant.database.command("TRUNCATE TABLE segment_memberships")
    tenant.compute("full", at=case.at)
    assert tenant.members("the_segment") == case.expected_members
