from __future__ import annotations

import pytest

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Shop, member_of

LATELY = {**ORDERED, "window_days": 30}


def test_the_answer_comes_first_and_then_the_tree(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", LATELY, {"type": "not", "condition": BIG})
    shop.orders("ann", total=20)
    segops("compute", shop.slug)

    answer = segops("explain", shop.slug, "buyers", "ann")

    assert answer.exit_code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("ann is in buyers (version 1) at ")
    assert lines[1].startswith("By time alone: leaves at ")
    assert lines[2].startswith("Stored: a member, entered at ")
    assert lines[2].endswith("; that agrees.")
    assert lines[4] == "✓ all of"
    assert lines[5] == "  ✓ at least 1 order_placed in the last 30 days"
    assert lines[6].startswith("      found 1; false from ")
    assert lines[7].startswith("      by order_placed of ")
    assert lines[8:11] == [
        "  ✓ not",
        "    ✗ sum of total over order_placed is at least 500",
        "        found 20 of 1 amount",
    ]


def test_a_user_who_is_not_in_is_no_error(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", LATELY)

    answer = segops("explain", shop.slug, "buyers", "nobody")

    assert answer.exit_code == 0
    assert "The user has no event at or before that instant, so is in no segment.\n" in answer.out
    assert "Stored: nothing, the segment was never computed.\n" in answer.out


def test_at_asks_about_another_instant(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann", days_ago=1)

    found = segops("explain", shop.slug, "buyers", "ann", "--at", "2020-01-31", "--json").json

    assert (found["at"], found["events"], found["is_member"]) == ("2020-01-31T00:00:00.000Z", 0, False)
    assert found["flips_at"] is not None


def test_json_holds_the_whole_tree(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", LATELY)
    shop.define("vips", member_of("buyers"), BIG)
    shop.orders("ann", total=20)

    found = segops("explain", shop.slug, "vips", "ann", "--json").json

    member, big = found["definition"]["conditions"]
    assert (member["slug"], member["holds"], member["actual"]) == ("buyers", True, {"is_member": True})
    (lately,) = member["conditions"]
    assert lately["path"] == "segment buyers: conditions[0]"
    assert lately["document"] == LATELY
    assert (lately["actual"], lately["threshold"]) == ({"count": 1}, {"operator": "gte", "value": 1, "window_days": 30})
    assert lately["flips_at"] == member["flips_at"] is not None
    assert (big["holds"], big["actual"], big["flips_at"]) == (False, {"sum": 20, "amounts": 1}, None)
    assert [event["event_type"] for event in big["decided_by"]] == ["order_placed"]
    assert (found["is_member"], found["flips_at"], found["stored"]) == (False, None, None)


def test_an_output_that_has_no_tick_marks_says_yes_and_no(
    segops: Segops, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.define("buyers", LATELY, BIG)
    shop.orders("ann", total=20)
    monkeypatch.setattr("segops_orchestration.cli.explain._prints", lambda characters: False)

    said = segops("explain", shop.slug, "buyers", "ann").out

    assert "\nno  all of\n  yes at least 1 order_placed in the last 30 days\n" in said


def test_an_id_with_control_characters_is_shown_escaped(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("a\x1b[2Jb\n")

    assert segops("explain", shop.slug, "buyers", "a\x1b[2Jb\n").out.startswith("a\\x1b[2Jb\\n is in buyers ")


def test_a_mistyped_segment_is_refused(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)

    answer = segops("explain", shop.slug, "buyer", "ann")

    assert (answer.exit_code, answer.out) == (1, "")
    assert "did you mean 'buyers'?" in answer.err
