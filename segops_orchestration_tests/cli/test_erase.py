"""The commands ``segops erase`` and ``segops identity``."""

from __future__ import annotations

import io
import sys

import pytest

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop


def test_a_person_is_erased_under_every_id_and_a_certificate_printed(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann")
    shop.orders("anon")
    assert segops("identity", "alias", shop.slug, "anon", "ann", "--json").json["status"] == "joined"
    segops("compute", shop.slug)
    shown = segops("identity", "show", shop.slug, "anon", "--json").json
    assert (shown["user_id"], [one["user_id"] for one in shown["joined"]]) == ("ann", ["anon"])

    certificate = segops("erase", shop.slug, "anon", "--yes", "--json")

    assert certificate.exit_code == 0
    assert (certificate.json["finished"], certificate.json["ids"], certificate.json["rows"]["events"]) == (True, 2, 2)
    assert segops("check", shop.slug, "ann", "buyers").exit_code == 1
    assert [one["id"] for one in segops("erase", shop.slug, "--json").json] == [certificate.json["id"]]
    assert segops("erase", shop.slug, "--finish", "--json").json == []


def test_a_joined_id_is_checked_and_explained_as_the_person(segops: Segops, shop: Shop) -> None:
    shop.define("buyers", ORDERED)
    shop.orders("ann")
    shop.orders("anon")
    segops("identity", "alias", shop.slug, "anon", "ann")
    segops("compute", shop.slug)
    assert segops("check", shop.slug, "anon", "buyers").exit_code == 0
    assert segops("check", shop.slug, "anon", "--json").json["user_id"] == "ann"
    assert segops("explain", shop.slug, "buyers", "anon", "--json").json["user_id"] == "ann"


def test_without_confirmation_and_of_a_misspelt_user_nothing_is_erased(
    segops: Segops, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.orders("annabel")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert segops("erase", shop.slug, "annabel").exit_code == 1
    refused = segops("erase", shop.slug, "anabel", "--yes")
    assert (refused.exit_code, "did you mean 'annabel'" in refused.err) == (1, True)
    assert segops("erase", shop.slug, "--json").json == []
    assert segops("erase", shop.slug, "anabel", "--yes", "--force").exit_code == 0


def test_an_alias_that_is_refused_says_whose_the_id_is(segops: Segops, shop: Shop) -> None:
    segops("identity", "alias", shop.slug, "anon", "ann")
    refused = segops("identity", "alias", shop.slug, "anon", "ben")
    assert (refused.exit_code, "anon belongs to ann" in refused.out) == (1, True)
    assert "anon was ann and is ben" in segops("identity", "merge", shop.slug, "anon", "ben").out
