from __future__ import annotations

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop


def buyers(segops: Segops, shop: Shop, *users: str) -> str:
    """Make these users the members of a segment; the instant at which they entered."""
    shop.define("buyers", ORDERED)
    shop.orders(*users)
    at: str = segops("compute", shop.slug, "--json").json["at"]
    return at


def test_a_line_is_a_member_a_tab_and_the_entry(segops: Segops, shop: Shop) -> None:
    at = buyers(segops, shop, "bob", "ann", "Ünï 用户")

    answer = segops("members", shop.slug, "buyers")

    assert (answer.exit_code, answer.err) == (0, "")
    assert answer.out == f"ann\t{at}\nbob\t{at}\nÜnï 用户\t{at}\n"


def test_a_user_id_with_line_breaks_stays_one_line(segops: Segops, shop: Shop) -> None:
    at = buyers(segops, shop, "a\tb\nc\\d\r")

    assert segops("members", shop.slug, "buyers").out == f"a\\tb\\nc\\\\d\\r\t{at}\n"
    assert segops("members", shop.slug, "buyers", "--json").json["members"] == [
        {"user_id": "a\tb\nc\\d\r", "computed_at": at}
    ]


def test_a_hundred_are_listed_and_the_rest_is_announced(segops: Segops, shop: Shop) -> None:
    buyers(segops, shop, *[f"user {number:04}" for number in range(1_250)])

    answer = segops("members", shop.slug, "buyers")

    assert len(answer.out.splitlines()) == 100
    assert answer.err == "1,150 more of 1,250 members: --all, or --after 'user 0099' for the next page.\n"
    everyone = segops("members", shop.slug, "buyers", "--all")
    assert (len(everyone.out.splitlines()), everyone.err) == (1_250, "")


def test_pages_in_json_follow_by_next_after(segops: Segops, shop: Shop) -> None:
    at = buyers(segops, shop, "a", "b", "c")

    first = segops("members", shop.slug, "buyers", "--limit", "2", "--json").json
    second = segops("members", shop.slug, "buyers", "--limit", "2", "--after", first["next_after"], "--json").json

    assert first == {
        "tenant": shop.slug,
        "segment_id": 1,
        "slug": "buyers",
        "status": "active",
        "count": 3,
        "members": [{"user_id": "a", "computed_at": at}, {"user_id": "b", "computed_at": at}],
        "next_after": "b",
    }
    assert [member["user_id"] for member in second["members"]] == ["c"]
    assert (second["count"], second["next_after"]) == (3, None)


def test_a_last_page_that_is_full_has_no_next(segops: Segops, shop: Shop) -> None:
    buyers(segops, shop, "a", "b")

    assert segops("members", shop.slug, "buyers", "--limit", "2", "--json").json["next_after"] is None
    assert segops("members", shop.slug, "buyers", "--limit", "2").err == ""


def test_nobody_is_said_apart_from_not_computed(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    before = segops("members", shop.slug, "buyers")
    segops("compute", shop.slug)
    after = segops("members", shop.slug, "buyers")

    assert before.err == f"Segment buyers was never computed. Next: segops compute {shop.slug} buyers\n"
    assert after.err == "Segment buyers has no members.\n"
    assert before.out == after.out == ""
    assert segops("members", shop.slug, "buyers", "--json").json["members"] == []


def test_members_of_an_archived_segment_are_shown_with_a_word(segops: Segops, shop: Shop) -> None:
    at = buyers(segops, shop, "ann")
    shop.catalog.archive_segment(shop.slug, "buyers")

    answer = segops("members", shop.slug, "buyers")

    assert (answer.exit_code, answer.out) == (0, f"ann\t{at}\n")
    assert answer.err == f"Segment buyers is archived: these are the members of its last computation, {at}.\n"
    assert segops("members", shop.slug, "buyers", "--json").json["status"] == "archived"


def test_wrong_use_is_refused(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)

    assert segops("members", shop.slug, "buyers", "--all", "--limit", "3").exit_code == 2
    assert segops("members", shop.slug, "buyers", "--limit", "0").exit_code == 2
    unknown = segops("members", shop.slug, "buyer")
    assert (unknown.exit_code, unknown.out) == (1, "")
    assert "did you mean 'buyers'?" in unknown.err
