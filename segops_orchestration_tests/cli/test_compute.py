from __future__ import annotations

import pytest

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Shop, member_of


def test_compute_prints_what_happened_to_each_segment(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.define("vip", BIG)
    shop.orders("ann", total=600)
    shop.orders("bob")

    answer = segops("compute", shop.slug)

    assert answer.exit_code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["segment", "mode", "members", "entered", "exited", "candidates", "ms", "reason"]
    assert lines[1][:5] == ["buyers", "full", "2", "2", "0"]
    assert lines[1][-2:] == ["never", "computed"]
    assert lines[2][:5] == ["vip", "full", "1", "1", "0"]
    assert answer.out.splitlines()[3].startswith(f"Tenant {shop.slug} is computed as of 20")


def test_progress_is_told_segment_by_segment_beside_the_result(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.define("vip", BIG)
    shop.orders("ann", total=600)

    answer = segops("compute", shop.slug)

    assert sorted(answer.err.splitlines()) == [
        "buyers: 1 members, 1 entered, 0 exited",
        "vip: 1 members, 1 entered, 0 exited",
    ]
    assert segops("compute", shop.slug, "--json").err == ""


def test_the_default_is_a_delta_and_json_says_whom_it_looked_at(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann", "bob")
    segops("compute", shop.slug)
    shop.orders("carol")

    document = segops("compute", shop.slug, "--json").json

    assert (document["tenant"], document["mode"]) == (shop.slug, "delta")
    [segment] = document["segments"]
    assert {key: segment[key] for key in ("slug", "mode", "members", "entered", "exited", "candidates", "reason")} == {
        "slug": "buyers",
        "mode": "delta",
        "members": 3,
        "entered": 1,
        "exited": 0,
        "candidates": 1,
        "reason": "",
    }


def test_full_evaluates_everyone(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    segops("compute", shop.slug)

    [segment] = segops("compute", shop.slug, "--mode", "full", "--json").json["segments"]

    assert (segment["mode"], segment["candidates"], segment["reason"]) == ("full", None, "requested")


def test_named_segments_are_computed_with_what_they_refer_to(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.define("gold", member_of("buyers"))
    shop.define("vip", BIG)

    document = segops("compute", shop.slug, "gold", "--json").json

    assert [segment["slug"] for segment in document["segments"]] == ["buyers", "gold"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31 10:00:00.123+02:00", "2026-01-31T08:00:00.123Z"),
    ],
)
def test_at_is_the_instant_of_the_computation(segops: Segops, shop: Shop, text: str, instant: str) -> None:
    shop.define("buyers", ORDERED)

    assert segops("compute", shop.slug, "--at", text, "--json").json["at"] == instant


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "1769817600", "31.01.2026", "2026-01-31T25:00:00Z", ""])
def test_at_takes_nothing_but_an_iso_instant(segops: Segops, text: str) -> None:
    answer = segops("compute", "acme", "--at", text)

    assert (answer.exit_code, answer.out) == (2, "")
    assert f"Invalid value for '--at': {text!r} is no instant; write 2026-01-31 (midnight UTC) or " in answer.err


def test_a_busy_tenant_names_who_computes_it(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.catalog.acquire_lease(shop.slug, "run 1234")

    answer = segops("compute", shop.slug)

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err == (
        f"Error: tenant '{shop.slug}' is being computed by run 1234; try again when it has finished\n"
    )


def test_wait_waits_until_a_lease_that_nobody_renews_has_expired(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.catalog.acquire_lease(shop.slug, "run 1234", ttl_seconds=1)

    assert segops("compute", shop.slug, "--wait", "60").exit_code == 0


def test_without_segments_there_is_nothing_to_do_but_a_next_step(segops: Segops, shop: Shop) -> None:
    answer = segops("compute", shop.slug)

    assert answer.exit_code == 0
    assert f"Next: segops segments apply {shop.slug} DIR_OR_FILE" in answer.out
    assert segops("compute", shop.slug, "--json").json["segments"] == []


def test_wrong_names_are_refused_before_anything_is_computed(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)

    tenant = segops("compute", f"{shop.slug}x")
    segment = segops("compute", shop.slug, "buyer")

    assert tenant.err == f"Error: no tenant '{shop.slug}x'; did you mean '{shop.slug}'?\n"
    assert segment.err == f"Error: no segment 'buyer' in tenant '{shop.slug}'; did you mean 'buyers'?\n"
    assert {tenant.exit_code, segment.exit_code} == {1}
    assert shop.catalog.list_computations(shop.slug) == []


def test_an_archived_tenant_is_refused(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.catalog.archive_tenant(shop.slug)

    answer = segops("compute", shop.slug)

    assert (answer.exit_code, answer.out) == (1, "")
    assert "is archived" in answer.err


@pytest.mark.parametrize("name", ["compute", "members", "status", "export"])
def test_every_command_teaches_with_an_example(segops: Segops, name: str) -> None:
    answer = segops(name, "--help")

    assert answer.exit_code == 0
    assert f"segops {name} acme" in answer.out.partition("Example:")[2]


@pytest.mark.parametrize("instant", ["1600-01-01", "9999-01-01"])
def test_an_instant_beyond_the_years_of_events_is_refused(segops: Segops, slug: str, instant: str) -> None:
    answer = segops("compute", slug, "--at", instant)

    assert answer.exit_code == 2
    assert "the years are 1970 to 2200" in answer.err
