"""A sync brings the platform's audience to the members of the segment."""

from __future__ import annotations

from segops_orchestration_tests.activation.roster.shop import Shop, users


def test_the_first_sync_adds_every_member(shop: Shop) -> None:
    shop.want(users(25))
    result = shop.sync()
    assert (result.outcome, result.added, result.removed, result.pending) == ("succeeded", 25, 0, 0)
    assert shop.people() == users(25)
