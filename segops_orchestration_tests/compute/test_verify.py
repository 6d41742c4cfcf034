"""``verify()``: stored members against an evaluation anew, for a sample of users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from segops_orchestration.compute.verify import SegmentVerification, Verification, verify
from segops_orchestration.errors import Conflict, TenantBusy
from segops_orchestration_tests.compute.tenant import StoryTenant, an_event
from segops_orchestration_tests.oracle.case import ORDER, VIEW, all_of, event_count, membership

BUYERS = all_of(event_count("gte", 1))
VIEWERS = all_of(event_count("gte", 1, VIEW))


def verified(tenant: StoryTenant, sample_users: int = 1000, bucket: int | None = None) -> Verification:
    return verify(tenant.catalog, tenant.warehouse, tenant.slug, sample_users=sample_users, bucket=bucket)


def segment(verification: Verification, slug: str) -> SegmentVerification:
    (found,) = [one for one in verification.segments if one.slug == slug]
    return found


def bought(tenant: StoryTenant, *users: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    tenant.ingest(an_event(user, ORDER, now, number=abs(hash((user, now)))) for user in users)


@pytest.fixture
def computed(tenant: StoryTenant) -> StoryTenant:
    tenant.define({"buyers": BUYERS, "viewers": VIEWERS})
    bought(tenant, "ann", "bob", "cid")
    tenant.compute()
    return tenant


def store(tenant: StoryTenant, slug: str, user: str, *, is_deleted: int) -> None:
    """Change what is stored behind the engine's back."""
    tenant.database.command(
        "INSERT INTO segment_memberships"
        " SELECT {id:UInt64}, {user:String}, now64(3), {version:UInt64}, {deleted:UInt8}",
        {
            "id": tenant.catalog.get_segment(tenant.slug, slug).id,
            "user": user,
            "version": 1 << 60,
            "deleted": is_deleted,
        },
    )


def test_members_that_were_computed_agree(computed: StoryTenant) -> None:
    verification = verified(computed)
    assert verification.mismatches == ()
    assert verification.users == 3
    assert [one.skipped for one in verification.segments] == ["", ""]


def test_a_member_that_is_missing_and_one_too_many_are_found(computed: StoryTenant) -> None:
    store(computed, "buyers", "bob", is_deleted=1)
    store(computed, "viewers", "ann", is_deleted=0)
    assert verified(computed).mismatches == (
        SegmentVerification("buyers", users=3, missing=1, examples=("bob",)),
        SegmentVerification("viewers", users=3, surplus=1, examples=("ann",)),
    )


def test_each_user_is_in_one_of_the_samples(computed: StoryTenant) -> None:
    store(computed, "buyers", "bob", is_deleted=1)
    samples = [verified(computed, sample_users=1, bucket=bucket) for bucket in range(3)]
    assert {sample.buckets for sample in samples} == {3}
    assert sum(sample.users for sample in samples) == 3
    assert [one.missing for sample in samples for one in sample.mismatches] == [1]


def test_the_evaluation_is_of_the_committed_instant(tenant: StoryTenant) -> None:
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    bought(tenant, "ann")
    tenant.compute("full", at=datetime.now(UTC) + timedelta(days=2))
    assert tenant.members("recent") == frozenset()
    assert segment(verified(tenant), "recent") == SegmentVerification("recent", users=1)


def test_users_of_whom_events_have_arrived_since_are_not_judged_and_counted_as_drift(computed: StoryTenant) -> None:
    bought(computed, "cid", "dan")
    computed.database.command("OPTIMIZE TABLE arrivals FINAL")
    store(computed, "buyers", "cid", is_deleted=1)
    assert segment(verified(computed), "buyers") == SegmentVerification("buyers", users=4, drifted=2)


def test_other_users_are_judged_though_events_keep_arriving(computed: StoryTenant) -> None:
    bought(computed, "dan")
    store(computed, "buyers", "bob", is_deleted=1)
    found = segment(verified(computed), "buyers")
    assert (found.drifted, found.missing, found.examples) == (1, 1, ("bob",))


def test_of_a_segment_with_few_members_all_users_are_looked_at(computed: StoryTenant) -> None:
    bought(computed, *(f"user {number}" for number in range(20)))
    computed.compute()
    store(computed, "viewers", "ann", is_deleted=0)
    for bucket in range(8):
        verification = verified(computed, sample_users=3, bucket=bucket)
        assert verification.users < 23
        assert segment(verification, "viewers") == SegmentVerification(
            "viewers", users=23, surplus=1, examples=("ann",)
        )
        assert segment(verification, "buyers").users == verification.users


def test_how_far_the_members_are_behind_is_told(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    bought(tenant, "ann")
    tenant.compute(at=datetime.now(UTC) - timedelta(hours=2))
    behind = verified(tenant).behind
    assert behind is not None
    assert timedelta(hours=2) <= behind < timedelta(hours=3)


def test_a_segment_that_was_edited_or_never_computed_is_not_judged(computed: StoryTenant) -> None:
    computed.define({"viewers": BUYERS, "new": BUYERS})
    verification = verified(computed)
    assert segment(verification, "viewers").skipped == "its definition was edited since"
    assert segment(verification, "new").skipped == "never computed"
    assert segment(verification, "buyers").skipped == ""


def test_a_tenant_that_was_never_computed_is_not_judged(tenant: StoryTenant) -> None:
    tenant.define({"buyers": BUYERS})
    assert [one.skipped for one in verified(tenant).segments] == ["never computed"]


def test_a_segment_is_judged_against_references_of_the_same_instant_only(computed: StoryTenant) -> None:
    computed.define({"both": all_of(membership("buyers"), membership("viewers"))})
    computed.compute()
    assert segment(verified(computed), "both").skipped == ""
    computed.compute("full", segments=["buyers"])
    assert segment(verified(computed), "both").skipped == "a segment that it refers to was computed at another instant"


def test_nobody_computes_meanwhile(computed: StoryTenant) -> None:
    lease = computed.catalog.acquire_lease(computed.slug, "another program")
    with pytest.raises(TenantBusy, match="another program"):
        verified(computed)
    computed.catalog.release_lease(lease)
    verified(computed)
    assert computed.catalog.lease_holder(computed.slug) is None


def test_an_archived_tenant_is_refused(computed: StoryTenant) -> None:
    computed.catalog.archive_tenant(computed.slug)
    with pytest.raises(Conflict):
        verified(computed)
