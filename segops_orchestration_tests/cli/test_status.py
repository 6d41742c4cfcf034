from __future__ import annotations

from datetime import UTC, datetime, timedelta

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Shop


def test_each_segment_has_its_state(segops: Segops, shop: Shop) -> None:
    for slug in ("edited", "gone", "good"):
        shop.define(slug, ORDERED)
    shop.orders("ann", total=600)
    at = segops("compute", shop.slug, "--json").json["at"]
    shop.define("edited", BIG)
    shop.define("new", BIG)
    shop.catalog.archive_segment(shop.slug, "gone")

    document = segops("status", shop.slug, "--json").json

    assert [(one["slug"], one["state"], one["version"]) for one in document["segments"]] == [
        ("edited", "definition edited", 2),
        ("gone", "archived", 1),
        ("good", "ok", 1),
        ("new", "never computed", 1),
    ]
    assert [(one["members"], one["computed_at"], one["mode"]) for one in document["segments"]] == [
        (1, at, "full"),
        (1, at, "full"),
        (1, at, "full"),
        (None, None, None),
    ]
    assert (document["computing"], document["last_computation"]["status"]) == (None, "succeeded")
    assert f"Next: segops compute {shop.slug}" in segops("status", shop.slug).out


def test_events_that_were_not_computed_with_are_waiting(segops: Segops, shop: Shop) -> None:
    shop.define("early", ORDERED)
    shop.define("late", BIG)
    shop.orders("ann")
    segops("compute", shop.slug)
    before = datetime.now(UTC)
    shop.orders("bob")
    segops("compute", shop.slug, "late")

    early, late = segops("status", shop.slug, "--json").json["segments"]

    assert late["waiting_since"] is None
    assert abs(datetime.fromisoformat(early["waiting_since"]) - before) < timedelta(seconds=30)
    assert early["waiting_since"] in segops("status", shop.slug).out


def test_when_all_is_done_nothing_is_proposed(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann")
    segops("compute", shop.slug)

    answer = segops("status", shop.slug)

    assert len(answer.out.splitlines()) == 2
    assert answer.out.splitlines()[1].split()[-1] == "ok"


def test_who_computes_now_is_named(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    lease = shop.catalog.acquire_lease(shop.slug, "run 1234", run_id="1234")

    answer = segops("status", shop.slug)
    computing = segops("status", shop.slug, "--json").json["computing"]

    assert "Being computed by run 1234 since 20" in answer.out
    assert (computing["owner"], computing["run_id"]) == ("run 1234", "1234")
    assert datetime.fromisoformat(computing["until"]) == lease.expires_at


def test_without_segments_the_next_step_is_told(segops: Segops, shop: Shop) -> None:
    answer = segops("status", shop.slug)

    assert answer.exit_code == 0
    assert f"Next: segops segments apply {shop.slug} DIR_OR_FILE" in answer.out
    assert segops("status", shop.slug, "--json").json["segments"] == []


def test_an_unknown_tenant_is_refused(segops: Segops, shop: Shop) -> None:
    answer = segops("status", f"{shop.slug}x")

    assert (answer.exit_code, answer.out) == (1, "")
    assert f"did you mean '{shop.slug}'?" in answer.err
