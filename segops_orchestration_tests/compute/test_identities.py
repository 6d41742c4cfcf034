"""Ids that are one person's: what is said of them, and what the next computation makes of it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from segops_orchestration.catalog.leases import LeaseLost
from segops_orchestration.catalog.persons import PersonsCatalog
from segops_orchestration.compute import moving
from segops_orchestration.compute.identities import Joining, alias, canonical_id, identities_of, ids_of_person, merge
from segops_orchestration.compute.moving import move_joined_events
from segops_orchestration.errors import InvalidDocument, WarehouseError
from segops_orchestration_tests.compute.story import T0, T1, days, happened, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR, all_of, event_count

TWICE = all_of(event_count("gte", 2))
NEVER_LATELY = all_of(event_count("eq", 0, window_days=1))


@pytest.fixture
def shop(tenant: StoryTenant) -> StoryTenant:
    """Somebody who ordered once before and once after logging in, and somebody else; computed at T0."""
    tenant.define({"twice": TWICE, "never-lately": NEVER_LATELY})
    tenant.ingest([*ordered("anon"), *ordered("ann", at=T0 - days(3)), *ordered("ben", "ben"), *ordered("cleo")])
    tenant.compute(at=T0)
    return tenant


def join(tenant: StoryTenant, anonymous_id: str, user_id: str) -> Joining:
    return alias(tenant.catalog, tenant.database, anonymous_id, user_id)


def take(tenant: StoryTenant, source: str, target: str) -> Joining:
    return merge(tenant.catalog, tenant.database, source, target)


def assert_delta_is_full(tenant: StoryTenant) -> None:
    full = tenant.compute("full", at=T1 + 2 * HOUR)
    assert [segment.slug for segment in full.segments if segment.changed] == []
    assert {one.slug: one.members for one in tenant.catalog.segment_status(tenant.slug)} == {
        slug: len(users) for slug, users in tenant.all_members().items()
    }


def users(tenant: StoryTenant) -> set[str]:
    return {user for (user,) in tenant.database.query("SELECT DISTINCT user_id FROM users").result_rows}


def test_events_of_a_joined_id_count_as_the_persons(shop: StoryTenant) -> None:
    assert shop.all_members() == {"twice": {"ben"}, "never-lately": {"ann"}}
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    assert shop.all_members() == {"twice": {"ann", "ben"}, "never-lately": frozenset()}
    assert users(shop) == {"ann", "ben", "cleo"}
    assert_delta_is_full(shop)


def test_so_do_those_that_come_in_later_and_repeated_ones_count_once(shop: StoryTenant) -> None:
    join(shop, "anon", "cleo")
    shop.compute(at=T1)
    again = happened("anon", "order_placed", T0)
    shop.ingest([again])
    shop.compute(at=T1 + HOUR)
    shop.ingest([replace(again, ingested_at=again.ingested_at + timedelta(seconds=1))])
    shop.compute(at=T1 + HOUR)
    counts = "SELECT user_id, count() FROM events FINAL GROUP BY user_id ORDER BY user_id"
    assert shop.database.query(counts).result_rows == [("ann", 1), ("ben", 2), ("cleo", 3)]
    assert_delta_is_full(shop)


def test_the_first_alias_wins_and_the_answer_says_so(shop: StoryTenant) -> None:
    assert join(shop, "anon", "ann") == Joining("joined", "anon", "ann")
    assert join(shop, "anon", "ben") == Joining("kept", "anon", "ann", before="ann")
    assert join(shop, "anon", "ann") == Joining("already joined", "anon", "ann")
    assert canonical_id(shop.database, "anon") == "ann"


def test_a_merge_has_the_last_word_also_about_what_was_counted_before(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    assert take(shop, "anon", "cleo") == Joining("moved", "anon", "cleo", before="ann")
    shop.compute(at=T1 + HOUR)
    assert shop.all_members() == {"twice": {"ben", "cleo"}, "never-lately": {"ann"}}
    assert_delta_is_full(shop)


def test_who_is_left_without_events_is_no_user(shop: StoryTenant) -> None:
    join(shop, "anon", "dan")
    shop.compute(at=T1)
    assert "dan" in users(shop)
    take(shop, "anon", "cleo")
    shop.compute(at=T1 + HOUR)
    assert users(shop) == {"ann", "ben", "cleo"}
    assert_delta_is_full(shop)


def test_chains_lead_to_their_end(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    take(shop, "ann", "ben")
    take(shop, "ben", "cleo")
    assert {canonical_id(shop.database, one) for one in ("anon", "ann", "ben", "cleo")} == {"cleo"}
    assert ids_of_person(shop.database, "anon") == ["cleo", "ann", "anon", "ben"]
    shop.compute(at=T1 + HOUR)
    assert shop.all_members() == {"twice": {"cleo"}, "never-lately": frozenset()}
    assert_delta_is_full(shop)


def test_a_merge_that_would_lead_in_a_circle_turns_the_person_round(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    take(shop, "ann", "anon")
    assert [(one.user_id, one.parent) for one in identities_of(shop.database, "ann")] == [("ann", "anon")]
    shop.compute(at=T1 + HOUR)
    assert shop.members("twice") == {"anon", "ben"}
    assert users(shop) == {"anon", "ben", "cleo"}
    assert_delta_is_full(shop)


def test_an_alias_within_one_person_changes_nothing(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    assert join(shop, "ann", "anon") == Joining("already joined", "ann", "ann")


def test_who_is_left_with_the_future_alone_is_in_no_segment(shop: StoryTenant) -> None:
    shop.define({"once": all_of(event_count("gte", 1))})
    join(shop, "anon", "dan")
    shop.ingest([happened("dan", "order_placed", T1 + days(30))])
    shop.compute(at=T1)
    assert "dan" in shop.members("once")
    take(shop, "anon", "cleo")
    shop.compute(at=T1 + HOUR)
    assert "dan" not in shop.members("once")
    assert_delta_is_full(shop)


def test_a_crash_before_members_are_counted_anew_is_made_good(
    shop: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(shop, "ben", "cleo")

    def crash(*arguments: object, **named: object) -> None:
        raise WarehouseError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(PersonsCatalog, "recount_members", crash)
        with pytest.raises(WarehouseError):
            shop.compute(at=T1)
    shop.compute(at=T1)
    assert_delta_is_full(shop)


def test_who_has_lost_the_lease_takes_nothing_away(shop: StoryTenant) -> None:
    lease = shop.catalog.acquire_lease(shop.slug, "who slept")
    shop.catalog.release_lease(lease)
    join(shop, "anon", "ann")
    with pytest.raises(LeaseLost):
        move_joined_events(shop.catalog, shop.database, lease)
    assert users(shop) == {"ann", "anon", "ben", "cleo"}


def test_what_a_dead_process_left_running_is_ended_first(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    ended: list[str] = []

    def orphan() -> None:
        try:
            sql = "SELECT sum(sleepEachRow(1)) FROM numbers(60)"
            settings = {"log_comment": "segops identities", "max_block_size": 1}
            shop.warehouse.tenant(shop.slug).query(sql, None, settings)
        except WarehouseError as error:
            ended.append(str(error))

    thread = threading.Thread(target=orphan)
    thread.start()
    running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'segops identities'"
    for _ in range(200):
        if shop.database.query(running).result_rows[0][0]:
            break
        time.sleep(0.05)
    shop.compute(at=T1)
    thread.join(20)
    assert "QUERY_WAS_CANCELLED" in "".join(ended)


def test_the_id_under_which_an_event_came_in_is_told(shop: StoryTenant) -> None:
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    take(shop, "ann", "ben")
    shop.compute(at=T1 + HOUR)
    rows = shop.database.query("SELECT user_id, original_user_id FROM moved_events FINAL ORDER BY 2").result_rows
    assert rows == [("ben", "ann"), ("ben", "anon")]


@pytest.mark.parametrize("ids", [("", "ann"), ("a" * 513, "ann"), ("\ud800", "ann"), ("a\0", "ann"), ("ann", "ann")])
def test_what_is_no_user_id_is_refused(ids: tuple[str, str], shop: StoryTenant) -> None:
    with pytest.raises(InvalidDocument):
        join(shop, *ids)


@pytest.fixture(params=["at once", "in parts", "few ids at once"])
def in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, shop: StoryTenant) -> None:
    """Whether what is moved fits into memory, and into one call."""
    if request.param == "in parts":
        monkeypatch.setattr(moving, "_BYTES_PER_EVENT", shop.database.query_memory // 5)
        monkeypatch.setattr(moving, "_BYTES_PER_ID", shop.database.query_memory // 3)
    if request.param == "few ids at once":
        monkeypatch.setattr(moving, "_BYTES_OF_IDS", 1)


@pytest.mark.usefixtures("in_parts")
def test_more_than_fits_into_memory_is_moved_in_parts(shop: StoryTenant) -> None:
    for number in range(3):
        shop.ingest(ordered("anon", at=T0 - number * HOUR))
        shop.ingest(ordered(f"other-{number}"))
        join(shop, f"other-{number}", "ann")
    join(shop, "anon", "ann")
    shop.compute(at=T1)
    assert users(shop) == {"ann", "ben", "cleo"}
    assert events_of(shop) == {"ann": 8, "ben": 2, "cleo": 1}

    take(shop, "anon", "ben")
    take(shop, "other-2", "ben")
    shop.compute(at=T1 + HOUR)
    assert events_of(shop) == {"ann": 3, "ben": 7, "cleo": 1}
    assert_delta_is_full(shop)


def events_of(tenant: StoryTenant) -> dict[str, int]:
    sql = "SELECT user_id, count() FROM {} FINAL GROUP BY user_id"
    counts = [dict(tenant.database.query(sql.format(table)).result_rows) for table in ("events", "events_by_user")]
    assert counts[0] == counts[1]
    return counts[0]
