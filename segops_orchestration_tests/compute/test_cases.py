"""Every hand-written case of the language, answered by the engine: in full, and by delta."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import AT, Case
from segops_orchestration_tests.oracle.cases import CASES

SEGMENT = "the_segment"


def _ready(tenant: StoryTenant, case: Case) -> None:
    tenant.define({str(slug): definition for slug, definition in case.segments.items()})
    tenant.define({SEGMENT: case.definition})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_full_and_delta_give_the_expected_members(case: Case, tenant: StoryTenant) -> None:
    _ready(tenant, case)
    # Computed before anything happened, so that what follows is a delta over all of the case's events.
    tenant.compute("full", at=case.at - timedelta(days=1))
    tenant.ingest(case.events, received_later=datetime.now(UTC) - AT)

    result = tenant.compute("delta", at=case.at)
    assert tenant.members(SEGMENT) == case.expected_members
    assert {segment.mode for segment in result.segments} == {"delta"}

    tenant.database.command("TRUNCATE TABLE segment_memberships")
    tenant.compute("full", at=case.at)
    assert tenant.members(SEGMENT) == case.expected_members
