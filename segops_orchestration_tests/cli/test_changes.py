"""``segops changes`` and ``segops members --as-of``: what earlier computations found."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from segops_orchestration.cli.output import format_instant
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop
from segops_orchestration_tests.compute.story import T0

NEW: dict[str, object] = {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 5.5}


def day(number: int) -> datetime:
    return T0 - timedelta(days=10 - number)


def compute(segops: Segops, shop: Shop, at: datetime) -> int:
    number: int = segops("compute", shop.slug, "--at", at.isoformat(), "--json").json["computation_id"]
    return number


@pytest.fixture
def told(segops: Segops, shop: Shop) -> tuple[Shop, list[int]]:
    """Who ordered within 5.5 days: ann on day 0, bob on day 3; computed for days 1, 4, 7, and then for day 2."""
    shop.define("new", NEW)
    shop.define("all", ORDERED)
    days_back = (datetime.now(T0.tzinfo) - T0).total_seconds() / 86_400
    shop.orders("ann", days_ago=days_back + 10)
    shop.orders("bob", days_ago=days_back + 7)
    return shop, [compute(segops, shop, day(number)) for number in (1, 4, 7, 2)]


def as_of(segops: Segops, shop: Shop, at: datetime, segment: str = "new") -> list[str]:
    answer = segops("members", shop.slug, segment, "--as-of", at.isoformat(), "--json").json
    assert answer["count"] == len(answer["members"])
    return [member["user_id"] for member in answer["members"]]


def test_members_as_of_an_instant_are_those_of_the_latest_computation_for_it_or_earlier(
    segops: Segops, told: tuple[Shop, list[int]]
) -> None:
    shop, _ = told

    assert as_of(segops, shop, day(1)) == ["ann"]
    assert as_of(segops, shop, day(4)) == ["ann", "bob"]
    assert as_of(segops, shop, day(6)) == ["ann", "bob"]
    assert as_of(segops, shop, day(8)) == ["bob"]


def test_a_computation_for_an_earlier_instant_answers_for_that_and_leaves_later_ones_as_they_were(
    segops: Segops, told: tuple[Shop, list[int]]
) -> None:
    shop, numbers = told
    stored = segops("members", shop.slug, "new", "--json").json["members"]

    answer = segops("members", shop.slug, "new", "--as-of", day(3).isoformat())

    assert [member["user_id"] for member in stored] == ["ann"]  # The last computation was the one for day 2.
    assert answer.out.split("\t")[0] == "ann"
    assert answer.err == f"As computed for {format_instant(day(2))} (computation {numbers[3]}, version 1).\n"
    assert as_of(segops, shop, day(8)) == ["bob"]


def test_before_the_first_computation_there_is_no_answer(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, _ = told

    answer = segops("members", shop.slug, "new", "--as-of", day(0).isoformat())
    document = segops("members", shop.slug, "new", "--as-of", day(0).isoformat(), "--json").json

    assert (answer.exit_code, answer.out) == (0, "")
    assert answer.err.startswith(f"Segment new was not computed up to {format_instant(day(0))}. See: segops changes")
    assert (document["computation"], document["count"], document["members"]) == (None, 0, [])


def test_pages_of_members_as_of_an_instant(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, _ = told
    at = ("--as-of", day(4).isoformat())

    first = segops("members", shop.slug, "new", *at, "--limit", "1")
    second = segops("members", shop.slug, "new", *at, "--after", "ann")

    assert (first.out.split("\t")[0], second.out.split("\t")[0]) == ("ann", "bob")
    assert first.err.endswith("1 more of 2 members: --all, or --after ann for the next page.\n")


def test_changes_are_told_computation_by_computation_newest_first(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, numbers = told

    changes = segops("changes", shop.slug, "new", "--json").json["changes"]

    assert [(one["computation_id"], one["entered"], one["exited"], one["members"]) for one in changes] == [
        (numbers[3], 1, 1, 1),
        (numbers[2], 0, 1, 1),
        (numbers[1], 1, 0, 2),
        (numbers[0], 1, 0, 1),
    ]
    assert changes[0]["at"] == format_instant(day(2))
    assert (changes[0]["slug"], changes[0]["segment_id"]) == ("new", shop.catalog.get_segment(shop.slug, "new").id)


def test_changes_between_instants_and_of_all_segments(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, numbers = told

    between = segops("changes", shop.slug, "--since", day(4).isoformat(), "--until", day(7).isoformat(), "--json").json
    limited = segops("changes", shop.slug, "--limit", "1")

    assert [(one["computation_id"], one["slug"]) for one in between["changes"]] == [
        (numbers[2], "new"),
        (numbers[1], "all"),
        (numbers[1], "new"),
    ]
    assert (between["more"], len(limited.out.splitlines())) == (False, 2)
    assert "There are older ones" in limited.err


def test_computations_that_moved_nobody_are_shown_when_asked(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, _ = told

    moved = segops("changes", shop.slug, "all", "--json").json["changes"]
    every = segops("changes", shop.slug, "all", "--all", "--json").json["changes"]

    assert ([one["entered"] - one["exited"] for one in moved], len(every)) == ([-1, 1, 1], 4)


def test_the_users_of_one_computation(segops: Segops, told: tuple[Shop, list[int]]) -> None:
    shop, numbers = told

    answer = segops("changes", shop.slug, "--users", str(numbers[3]))
    document = segops("changes", shop.slug, "new", "--users", str(numbers[3]), "--json").json
    unknown = segops("changes", shop.slug, "--users", "999999")

    assert answer.out == "new\tentered\tann\nnew\texited\tbob\nall\texited\tbob\n"
    assert [(one["user_id"], one["change"]) for one in document["users"]] == [("ann", "entered"), ("bob", "exited")]
    assert (unknown.exit_code, "no computation 999999" in unknown.err) == (1, True)
    assert segops("changes", shop.slug, "--users", "1", "--since", "2026-01-01").exit_code == 2
