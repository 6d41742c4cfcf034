from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedCounts, PlannedSegment, StagedCounts
from segops_orchestration.errors import Conflict, NotFound
from segops_orchestration_tests.catalog.helpers import NOON, Clock, begin, commit, document, save, stage


def test_a_computation_begins_running_with_its_segments_planned(acme: Catalog) -> None:
    a, b = save(acme, document("a"), document("b"))

    computation = acme.begin_computation(
        "acme",
        mode="delta",
        at=NOON,
        watermark_block=2**40,
        watermark_at=NOON - timedelta(seconds=1),
        owner="run abc",
        run_id="abc",
        segments=[PlannedSegment(b.id, 1, "full", "new"), PlannedSegment(a.id, 1, "delta")],
    )

    assert (computation.tenant, computation.mode, computation.status) == ("acme", "delta", "running")
    assert (computation.owner, computation.run_id) == ("run abc", "abc")
    assert (computation.at, computation.started_at, computation.finished_at) == (NOON, NOON, None)
    assert (computation.watermark_block, computation.watermark_at) == (2**40, NOON - timedelta(seconds=1))
    assert [(one.slug, one.mode, one.reason, one.status) for one in computation.segments] == [
        ("b", "full", "new", "planned"),
        ("a", "delta", "", "planned"),
    ]
    assert acme.list_computations("acme") == [computation]


def test_instants_are_kept_in_utc_to_the_millisecond(acme: Catalog) -> None:
    at = (NOON + timedelta(microseconds=123_999)).astimezone(timezone(timedelta(hours=5, minutes=30)))

    computation = begin(acme, at=at, watermark_at=None)

    [read_back] = acme.list_computations("acme")
    assert computation.at == read_back.at == NOON + timedelta(milliseconds=123)
    assert read_back.at.utcoffset() == timedelta(0)
    assert read_back.watermark_at is None


def test_an_instant_without_a_timezone_is_a_mistake_of_the_caller(acme: Catalog) -> None:
    with pytest.raises(ValueError, match="needs a timezone"):
        begin(acme, at=NOON.replace(tzinfo=None))

    assert acme.list_computations("acme") == []


def test_the_membership_version_is_the_time_in_milliseconds(acme: Catalog) -> None:
    assert begin(acme).membership_version == round(NOON.timestamp() * 1000)


def test_membership_versions_grow_though_the_clock_stands_or_steps_back(acme: Catalog, clock: Clock) -> None:
    first = begin(acme)
    second = begin(acme)
    clock.move(-3600)
    third = begin(acme)
    clock.move(7200)
    fourth = begin(acme)

    assert [second.membership_version, third.membership_version] == [
        first.membership_version + 1,
        first.membership_version + 2,
    ]
    assert fourth.membership_version == first.membership_version + 3_600_000


def test_a_committed_segment_shows_what_was_counted(acme: Catalog, clock: Clock) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)
    acme.mark_staged(computation.id, [StagedCounts(vip.id, candidates=10, entered=3, exited=1, rows_read=2**33)])
    clock.move(5)
    acme.commit_segments(computation.id, [CommittedCounts(vip.id, members=42, milliseconds=40)])
    finished = acme.finish_computation(computation.id, "succeeded")

    [part] = finished.segments
    assert (finished.status, finished.finished_at) == ("succeeded", NOON + timedelta(seconds=5))
    assert (part.status, part.candidates, part.entered, part.exited) == ("committed", 10, 3, 1)
    assert (part.members, part.milliseconds, part.rows_read) == (42, 40, 2**33)
    assert part.committed_at == NOON + timedelta(seconds=5)


def test_a_segment_is_not_committed_before_its_changes_are_staged(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)

    with pytest.raises(Conflict, match="is planned and cannot become committed"):
        acme.commit_segments(computation.id, [CommittedCounts(vip.id, members=1, milliseconds=1)])

    assert acme.committed_state("acme") == {}


def test_staging_again_replaces_the_counts(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)
    acme.mark_staged(computation.id, [StagedCounts(vip.id, candidates=1, entered=1, exited=1, rows_read=1)])

    acme.mark_staged(computation.id, [StagedCounts(vip.id, candidates=9, entered=8, exited=7, rows_read=None)])

    [part] = acme.list_computations("acme")[0].segments
    assert (part.candidates, part.entered, part.exited, part.rows_read) == (9, 8, 7, None)


def test_what_is_committed_stays_committed(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)
    commit(acme, computation, vip)

    with pytest.raises(Conflict, match="is committed"):
        stage(acme, computation, vip)
    with pytest.raises(Conflict, match="is committed"):
        acme.abandon_segment(computation.id, vip.id)
    with pytest.raises(Conflict, match="is committed"):
        acme.commit_segments(computation.id, [CommittedCounts(vip.id, members=1, milliseconds=1)])


def test_what_is_abandoned_stays_abandoned(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)
    acme.abandon_segment(computation.id, vip.id)
    acme.abandon_segment(computation.id, vip.id)

    with pytest.raises(Conflict, match="is abandoned"):
        stage(acme, computation, vip)


def test_members_never_go_back_to_an_earlier_computation(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    earlier = begin(acme, vip)
    stage(acme, earlier, vip)
    later = begin(acme, vip)
    commit(acme, later, vip, members=5)

    with pytest.raises(Conflict, match=f"holds the members of computation {later.id}"):
        acme.commit_segments(earlier.id, [CommittedCounts(vip.id, members=4, milliseconds=1)])

    assert acme.committed_state("acme")[vip.id].members == 5


def test_a_segment_that_was_not_planned_is_not_found(acme: Catalog) -> None:
    a, b = save(acme, document("a"), document("b"))
    computation = begin(acme, a)

    with pytest.raises(NotFound, match=f"computation {computation.id} has no segment {b.id}"):
        stage(acme, computation, b)


def test_another_tenants_segment_cannot_be_planned(acme: Catalog) -> None:
    acme.create_tenant("beta")
    [theirs] = save(acme, document("vip"), tenant="beta")

    with pytest.raises(NotFound, match=f"no segment {theirs.id} in tenant 'acme'"):
        begin(acme, theirs)

    assert acme.list_computations("acme") == []


def test_a_computation_cannot_succeed_with_segments_left(acme: Catalog) -> None:
    a, b = save(acme, document("a"), document("b"))
    computation = begin(acme, a, b)
    commit(acme, computation, a)

    with pytest.raises(Conflict, match=rf"cannot succeed: segments {b.id} are not committed"):
        acme.finish_computation(computation.id, "succeeded")

    assert acme.list_computations("acme")[0].status == "running"


def test_a_failed_computation_abandons_what_was_planned_and_leaves_what_was_staged(acme: Catalog) -> None:
    a, b, c = save(acme, document("a"), document("b"), document("c"))
    computation = begin(acme, a, b, c)
    commit(acme, computation, a)
    stage(acme, computation, b)

    failed = acme.finish_computation(computation.id, "failed", "ClickHouse went away")

    assert (failed.status, failed.error) == ("failed", "ClickHouse went away")
    assert [one.status for one in failed.segments] == ["committed", "staged", "abandoned"]
    assert [one.segment_id for one in acme.unfinished("acme")] == [b.id]


def test_a_computation_keeps_its_first_outcome(acme: Catalog) -> None:
    computation = begin(acme)
    acme.finish_computation(computation.id, "failed", "first")

    again = acme.finish_computation(computation.id, "succeeded")

    assert (again.status, again.error) == ("failed", "first")


def test_an_unknown_computation_is_not_found(acme: Catalog) -> None:
    with pytest.raises(NotFound, match="no computation 99"):
        acme.finish_computation(99, "succeeded")


# Recovery


def test_what_a_crash_left_is_found_with_all_that_recovery_needs(acme: Catalog) -> None:
    a, b, c = save(acme, document("a"), document("b"), document("c"))
    computation = begin(acme, a, b, c, watermark_block=12)
    commit(acme, computation, a)
    stage(acme, computation, b)

    left = acme.unfinished("acme")

    assert [(one.slug, one.status) for one in left] == [("b", "staged"), ("c", "planned")]
    assert {one.computation_id for one in left} == {computation.id}
    assert {one.membership_version for one in left} == {computation.membership_version}
    assert (left[0].at, left[0].watermark_block, left[0].watermark_at) == (NOON, 12, NOON)
    assert (left[0].candidates, left[0].entered, left[0].exited) == (10, 3, 1)
    assert left[1].candidates is None


def test_nothing_is_unfinished_for_another_tenant(acme: Catalog) -> None:
    acme.create_tenant("beta")
    [vip] = save(acme, document("vip"))
    begin(acme, vip)

    assert acme.unfinished("beta") == []


def test_a_process_that_died_after_its_last_commit_leaves_no_computation_running(acme: Catalog) -> None:
    a, b = save(acme, document("a"), document("b"))
    whole = begin(acme, a)
    commit(acme, whole, a)
    part = begin(acme, a, b)
    commit(acme, part, a)
    acme.abandon_segment(part.id, b.id)
    open_one = begin(acme, b)

    now_running = begin(acme, a)

    status = {one.id: one.status for one in acme.list_computations("acme")}
    assert status == {
        whole.id: "succeeded",
        part.id: "abandoned",
        open_one.id: "running",
        now_running.id: "running",
    }


# Questions


def test_the_committed_state_is_the_last_committed_computation_of_each_segment(acme: Catalog) -> None:
    a, b, _ = save(acme, document("a"), document("b"), document("never"))
    first = begin(acme, a, b, at=NOON, watermark_block=1)
    commit(acme, first, a, members=1)
    commit(acme, first, b, members=2)
    later = NOON + timedelta(hours=1)
    second = begin(acme, b, mode="delta", at=later, watermark_block=9, watermark_at=later)
    commit(acme, second, b, members=3)
    third = begin(acme, a)
    stage(acme, third, a)

    state = acme.committed_state("acme")

    assert set(state) == {a.id, b.id}
    assert (state[a.id].computation_id, state[a.id].mode, state[a.id].members) == (first.id, "full", 1)
    assert (state[b.id].computation_id, state[b.id].mode, state[b.id].members) == (second.id, "delta", 3)
    assert (state[b.id].at, state[b.id].watermark_block, state[b.id].watermark_at) == (later, 9, later)
    assert (state[b.id].segment_version, state[b.id].committed_at) == (1, NOON)


def test_computations_are_listed_newest_first_and_limited(acme: Catalog) -> None:
    ids = [begin(acme).id for _ in range(3)]

    assert [one.id for one in acme.list_computations("acme", limit=2)] == [ids[2], ids[1]]


def test_computations_of_one_segment_show_that_segment_alone(acme: Catalog) -> None:
    a, b = save(acme, document("a"), document("b"))
    begin(acme, a)
    both = begin(acme, a, b)

    [found] = acme.list_computations("acme", segment="b")

    assert found.id == both.id
    assert [one.slug for one in found.segments] == ["b"]
    assert acme.list_computations("acme", segment=b.id) == [found]


def test_segment_status_says_what_each_segment_holds(acme: Catalog, clock: Clock) -> None:
    vip, _ = save(acme, document("vip", name="VIP"), document("new"))
    computation = begin(acme, vip, mode="delta", at=NOON - timedelta(seconds=1))
    clock.move(5)
    commit(acme, computation, vip, members=42)

    new, vip_status = acme.segment_status("acme")

    assert (new.slug, new.members, new.computed_at, new.mode, new.pending) == ("new", None, None, None, True)
    assert (vip_status.slug, vip_status.name, vip_status.version) == ("vip", "VIP", 1)
    assert (vip_status.members, vip_status.mode, vip_status.pending) == (42, "delta", False)
    assert vip_status.computed_at == NOON - timedelta(seconds=1)
    assert vip_status.committed_at == NOON + timedelta(seconds=5)


def test_a_definition_that_changed_since_it_was_computed_is_pending(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    commit(acme, begin(acme, vip), vip, members=42)

    save(acme, document("vip", orders=2))

    [status] = acme.segment_status("acme")
    assert (status.pending, status.version, status.computed_version, status.members) == (True, 2, 1, 42)


def test_an_archived_segment_has_a_status_only_when_asked_for(acme: Catalog) -> None:
    save(acme, document("a"), document("b"))
    acme.archive_segment("acme", "a")

    assert [one.slug for one in acme.segment_status("acme")] == ["b"]
    assert [one.slug for one in acme.segment_status("acme", include_archived=True)] == ["a", "b"]


def test_watermarks_are_the_lowest_over_the_active_segments(acme: Catalog) -> None:
    a, b, gone = save(acme, document("a"), document("b"), document("gone"))
    hour = timedelta(hours=1)
    old = begin(acme, gone, at=NOON - 5 * hour, watermark_block=1, watermark_at=NOON - 5 * hour)
    commit(acme, old, gone)
    first = begin(acme, a, at=NOON - hour, watermark_block=5, watermark_at=NOON - hour)
    commit(acme, first, a)
    second = begin(acme, b, at=NOON, watermark_block=6, watermark_at=NOON)
    commit(acme, second, b)
    acme.archive_segment("acme", "gone")

    watermark = acme.watermarks()["acme"]

    assert (watermark.segments, watermark.watermark_block, watermark.never_computed_or_changed) == (2, 5, False)
    assert (watermark.watermark_at, watermark.at) == (NOON - hour, NOON - hour)


def test_watermarks_tell_segments_that_were_never_computed(acme: Catalog) -> None:
    a, _ = save(acme, document("a"), document("b"))
    commit(acme, begin(acme, a, watermark_block=5), a)

    watermark = acme.watermarks()["acme"]

    assert (watermark.watermark_block, watermark.never_computed_or_changed) == (5, True)


def test_watermarks_tell_definitions_that_changed(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    commit(acme, begin(acme, vip), vip)
    assert acme.watermarks()["acme"].never_computed_or_changed is False

    save(acme, document("vip", orders=2))

    assert acme.watermarks()["acme"].never_computed_or_changed is True


def test_watermarks_cover_active_tenants_with_or_without_segments(acme: Catalog) -> None:
    acme.create_tenant("beta")
    acme.create_tenant("gone")
    acme.archive_tenant("gone")
    save(acme, document("vip"))

    watermarks = acme.watermarks()

    assert list(watermarks) == ["acme", "beta"]
    assert (watermarks["acme"].segments, watermarks["acme"].never_computed_or_changed) == (1, True)
    beta = watermarks["beta"]
    assert (beta.segments, beta.watermark_block, beta.at, beta.never_computed_or_changed) == (0, None, None, False)


def test_member_history_is_the_last_committed_counts_oldest_first(acme: Catalog) -> None:
    vip, other = save(acme, document("vip"), document("other"))
    for members in (1, 2, 3):
        commit(acme, begin(acme, vip), vip, members=members)
    stage(acme, begin(acme, vip), vip)

    assert acme.member_history("acme", [vip.id, other.id], limit=2) == {vip.id: [2, 3], other.id: []}
