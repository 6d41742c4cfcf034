"""When a segment is computed in full although a delta was asked for, and what is computed at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from segops_orchestration.compute.result import ComputationResult
from segops_orchestration.errors import NotFound
from segops_orchestration_tests.compute.clocks import clock_ahead
from segops_orchestration_tests.compute.story import T0, T1, days, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import MS, all_of, event_count, membership

BUYERS = all_of(event_count("gte", 1))


def reasons(result: ComputationResult) -> dict[str, tuple[str, str]]:
    return {segment.slug: (segment.mode, segment.reason) for segment in result.segments}


def test_a_new_segment_was_never_computed(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)
    tenant.define({"more": BUYERS})

    assert reasons(tenant.compute(at=T1)) == {"buyers": ("delta", ""), "more": ("full", "never computed")}


def test_an_edited_segment_goes_full_once(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest([*ordered("ann", "bob"), *ordered("bob")])
    tenant.compute(at=T0)
    tenant.define({"buyers": all_of(event_count("gte", 2))})

    assert reasons(tenant.compute(at=T0)) == {"buyers": ("full", "definition edited: version 1 -> 2")}
    assert tenant.members("buyers") == {"bob"}
    assert reasons(tenant.compute(at=T0)) == {"buyers": ("delta", "")}


def test_an_edit_of_a_reference_reaches_the_segments_that_refer_to_it(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.define({"in": all_of(membership("buyers"))})
    tenant.ingest([*ordered("ann", "bob"), *ordered("bob")])
    tenant.compute(at=T0)
    tenant.define({"buyers": all_of(event_count("gte", 2))})

    result = tenant.compute(at=T0)

    assert reasons(result)["in"] == ("delta", "")
    assert tenant.members("in") == {"bob"}


def test_an_instant_before_the_last_one_goes_full(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann", at=T1))
    tenant.compute(at=T1)

    result = tenant.compute(at=T1 - MS)

    assert reasons(result) == {"buyers": ("full", "the instant lies before that of the last computation")}
    assert tenant.members("buyers") == set()


def test_a_watermark_older_than_the_arrivals_that_are_kept_goes_full(
    tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)

    reason = "last computed more than 13 days ago; older arrivals are not kept"
    assert reasons(_compute_later(tenant, monkeypatch, days(13) + timedelta(minutes=5))) == {"buyers": ("full", reason)}


def test_a_watermark_of_thirteen_days_is_good_enough(tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)

    later = _compute_later(tenant, monkeypatch, days(13) - timedelta(minutes=5))

    assert reasons(later) == {"buyers": ("delta", "")}


def _compute_later(tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch, by: timedelta) -> ComputationResult:
    """Compute when the warehouse's clock has gone on."""
    clock_ahead(monkeypatch, by)
    return tenant.compute(at=T1)


def test_arrivals_that_began_anew_go_full(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0)
    tenant.database.command("TRUNCATE TABLE arrivals")

    assert reasons(tenant.compute(at=T1)) == {"buyers": ("full", "the sequence of arrivals began anew")}


def test_full_that_was_asked_for_says_so(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.compute(at=T0)

    result = tenant.compute("full", at=T1)

    assert reasons(result) == {"buyers": ("full", "requested")}
    assert [segment.candidates for segment in result.segments] == [None]


def test_a_named_segment_brings_what_it_refers_to_to_the_same_instant(tenant: StoryTenant) -> None:
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    tenant.define({"in": all_of(membership("recent")), "another": BUYERS})
    tenant.define({"in-in": all_of(membership("in"))})
    tenant.ingest(ordered("leaves", at=T1 - days(1)))
    tenant.compute("full", at=T0)
    assert tenant.members("in-in") == {"leaves"}

    result = tenant.compute("full", at=T1, segments=["in-in"])

    assert reasons(result) == {"recent": ("delta", ""), "in": ("delta", ""), "in-in": ("full", "requested")}
    assert tenant.members("in-in") == tenant.members("recent") == set()


def test_who_refers_to_a_segment_that_was_computed_alone_catches_up_later(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    tenant.define({"in": all_of(membership("buyers"))})
    tenant.compute(at=T0)
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0, segments=["buyers"])
    assert tenant.members("in") == set()

    tenant.compute(at=T1)

    assert tenant.members("in") == {"ann"}


def test_an_archived_segment_is_not_computed(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS, "old": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0)
    tenant.catalog.archive_segment(tenant.slug, "old")
    tenant.ingest(ordered("bob"))

    assert list(reasons(tenant.compute("full", at=T1))) == ["buyers"]
    assert tenant.members("buyers") == {"ann", "bob"}
    assert tenant.members("old") == {"ann"}
    with pytest.raises(NotFound, match="no active segment 'old'"):
        tenant.compute(segments=["old"])


def test_a_segment_that_is_taken_back_into_use_is_right_again(tenant: StoryTenant) -> None:
    tenant.define({"old": BUYERS})
    tenant.ingest(ordered("ann"))
    tenant.compute(at=T0)
    tenant.catalog.archive_segment(tenant.slug, "old")
    tenant.ingest(ordered("bob"))
    tenant.define({"old": BUYERS})

    tenant.compute(at=T1)

    assert tenant.members("old") == {"ann", "bob"}


def test_a_tenant_without_segments_has_an_empty_computation(tenant: StoryTenant) -> None:
    assert tenant.compute().segments == ()


def test_an_unknown_segment_is_refused_and_the_tenant_is_free_again(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})

    with pytest.raises(NotFound, match=r"no active segment 'buyer' in tenant .*; did you mean 'buyers'"):
        tenant.compute(segments=["buyer"])

    assert tenant.catalog.lease_holder(tenant.slug) is None
