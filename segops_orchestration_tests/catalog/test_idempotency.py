"""Requests that carry a key: who works on one, and what answer it has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from segops_orchestration.api.idempotent import refuses
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.idempotency import Claim, StillAnswering
from segops_orchestration.errors import CatalogueError, Conflict, WarehouseError
from segops_orchestration_tests.catalog.helpers import Clock

LEASE = timedelta(seconds=10)


def claim(catalog: Catalog, key: str = "k-1", request: str = "hash", route: str = "POST /x/") -> Claim:
    return catalog.service.idempotency.claim("acme", route, key, request, LEASE)


def test_the_first_request_has_its_answer_to_give(acme: Catalog, clock: Clock) -> None:
    taken = claim(acme)
    assert (taken.first, taken.status, taken.first_seen) == (True, None, clock())


def test_a_retry_finds_the_answer(acme: Catalog) -> None:
    acme.service.idempotency.answer("acme", claim(acme), 201, '{"id": 1}')
    again = claim(acme)
    assert (again.status, again.response, again.first) == (201, '{"id": 1}', False)


def test_a_retry_while_the_first_is_answered_has_to_wait(acme: Catalog) -> None:
    claim(acme)
    with pytest.raises(StillAnswering):
        claim(acme)


def test_a_key_with_another_request_is_a_conflict_answered_or_not(acme: Catalog) -> None:
    taken = claim(acme)
    with pytest.raises(Conflict, match="another request"):
        claim(acme, request="other")
    acme.service.idempotency.answer("acme", taken, 200, "{}")
    with pytest.raises(Conflict, match="another request"):
        claim(acme, request="other")


def test_one_key_on_two_routes_is_two_requests(acme: Catalog) -> None:
    claim(acme)
    assert claim(acme, route="POST /y/").first


def test_a_claim_whose_process_died_is_taken_over_with_the_time_of_the_first(acme: Catalog, clock: Clock) -> None:
    taken = claim(acme)
    clock.move(10)
    again = claim(acme)
    assert (again.first, again.status, again.first_seen) == (False, None, taken.first_seen)


def test_a_released_claim_can_be_taken_at_once_with_the_time_of_the_first(acme: Catalog, clock: Clock) -> None:
    taken = claim(acme)
    acme.service.idempotency.release("acme", taken, nothing_done=False)
    clock.move(1)
    assert claim(acme).first_seen == taken.first_seen


def test_a_key_under_which_nothing_was_done_may_come_with_another_request(acme: Catalog) -> None:
    acme.service.idempotency.release("acme", claim(acme), nothing_done=True)
    assert claim(acme, request="other").first


def test_a_retry_that_did_nothing_does_not_forget_what_the_first_may_have_done(acme: Catalog) -> None:
    acme.service.idempotency.release("acme", claim(acme), nothing_done=False)
    acme.service.idempotency.release("acme", claim(acme), nothing_done=True)
    with pytest.raises(Conflict):
        claim(acme, request="other")


def test_keys_are_forgotten_after_a_day(acme: Catalog, clock: Clock) -> None:
    acme.service.idempotency.answer("acme", claim(acme), 200, "{}")
    clock.move(86_400)
    assert claim(acme, request="other").first
    clock.move(86_400)
    assert acme.service.idempotency.prune() == 1


def test_of_many_at_once_one_has_the_key(acme: Catalog) -> None:
    def attempt(_: int) -> bool:
        try:
            return claim(acme).first
        except StillAnswering:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(16))) == [False] * 15 + [True]


def test_very_many_are_forgotten_a_few_at_a_time(acme: Catalog, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segops_orchestration.catalog.idempotency._PRUNED_AT_ONCE", 3)
    for number in range(7):
        acme.service.idempotency.claim("acme", "POST /x", f"k-{number}", "hash", timedelta(seconds=5))
    clock.move(86_400)
    fresh = acme.service.idempotency.claim("acme", "POST /x", "k-0", "hash", timedelta(seconds=5))
    assert (fresh.first, acme.service.idempotency.prune()) == (True, 6)
    with pytest.raises(StillAnswering):
        acme.service.idempotency.claim("acme", "POST /x", "k-0", "hash", timedelta(seconds=5))


def test_a_store_that_went_away_may_have_done_it() -> None:
    assert not refuses(CatalogueError("the connection was lost"))
    assert not refuses(WarehouseError("the connection was lost"))
    assert refuses(Conflict("it is there already"))
