from __future__ import annotations

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Shop


def test_the_exit_code_says_whether_the_user_is_in(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann")
    at = segops("compute", shop.slug, "--json").json["at"]

    inside, outside = segops("check", shop.slug, "ann", "buyers"), segops("check", shop.slug, "bob", "buyers")

    assert (inside.exit_code, inside.out, inside.err) == (0, f"in, since {at}\n", "")
    assert (outside.exit_code, outside.out, outside.err) == (1, "not in\n", "")
    answer = segops("check", shop.slug, "bob", "buyers", "--json")
    assert answer.exit_code == 1
    assert answer.json == {
        "tenant": shop.slug,
        "user_id": "bob",
        "segment": "buyers",
        "in": False,
        "computed_at": None,
    }


def test_without_a_segment_all_segments_of_the_user_are_listed(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.define("big", BIG)
    shop.orders("ann", total=600)
    shop.orders("bob")
    at = segops("compute", shop.slug, "--json").json["at"]
    shop.define("new", ORDERED)

    answer = segops("check", shop.slug, "ann")

    assert answer.exit_code == 0
    assert [line.split() for line in answer.out.splitlines()] == [
        ["segment", "computed_at"],
        ["big", at],
        ["buyers", at],
    ]
    assert answer.err == f"Never computed, so nobody knows: new. Next: segops compute {shop.slug}\n"
    assert segops("check", shop.slug, "bob", "--json").json == {
        "tenant": shop.slug,
        "user_id": "bob",
        "segments": [{"segment": "buyers", "computed_at": at}],
        "never_computed": ["new"],
    }
    nobody = segops("check", shop.slug, "nobody")
    assert (nobody.exit_code, nobody.out) == (0, "")
    assert nobody.err.startswith(f"User 'nobody' is in no segment of {shop.slug}.\n")


def test_no_answer_is_exit_code_2(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)

    never = segops("check", shop.slug, "ann", "buyers")
    assert (never.exit_code, never.out) == (2, "")
    assert "segment buyers of" in never.err
    assert "was never computed" in never.err
    unknown = segops("check", shop.slug, "ann", "buyer")
    assert (unknown.exit_code, unknown.out) == (2, "")
    assert "did you mean 'buyers'?" in unknown.err
