"""A sync brings the platform's audience to the members of the segment, and writes down what it did."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from segops_orchestration.activation.platform import Answer, User
from segops_orchestration.errors import ConnectorBusy
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import Shop, patient, users


def test_the_first_sync_adds_every_member(shop: Shop) -> None:
    shop.want(users(25))
    result = shop.sync()
    assert (result.outcome, result.added, result.removed, result.pending) == ("succeeded", 25, 0, 0)
    assert shop.people() == users(25)


def test_the_next_sync_sends_the_difference_alone(shop: Shop) -> None:
    shop.deliver(users(25))
    before = len(shop.told())
    shop.deliver(users(25, start=3))
    changes = shop.told()[before:]
    assert changes == [("remove", user) for user in sorted(users(3))] + [
        ("add", user) for user in sorted(users(3, start=25))
    ]


def test_a_sync_with_nothing_to_send_asks_the_platform_nothing(shop: Shop) -> None:
    shop.deliver(users(5))
    result = shop.sync()
    assert (result.outcome, result.requests, result.added, result.removed) == ("succeeded", 0, 0, 0)


def test_batches_have_the_size_of_the_platform_and_names_of_their_own(shop: Shop) -> None:
    shop.deliver(users(25))
    assert [len(members) for _, _, members in shop.sandbox.batches] == [10, 10, 5]
    assert len({name for _, name, _ in shop.sandbox.batches}) == 3


def test_several_batches_under_way_at_once_deliver_each_user_once(new_shop: NewShop) -> None:
    shop = new_shop()
    shop.open(batch=3, lanes=4)
    shop.deliver(users(100))
    assert sorted(shop.told()) == [("add", user) for user in sorted(users(100))]


def test_people_whom_we_did_not_add_stay(shop: Shop) -> None:
    shop.sandbox.people.add("a guest")
    shop.want(users(5))
    shop.sync()
    shop.want([])
    shop.sync()
    assert shop.people() == {"a guest"}


def test_the_platform_is_told_its_own_name_of_a_user_who_is_removed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.deliver(users(1))
    asked: list[str] = []
    real = Roster.remove

    def remove(self: Roster, those: Sequence[User], batch_id: str) -> Answer:
        asked.extend(user.platform_id for user in those)
        return real(self, those, batch_id)

    monkeypatch.setattr(Roster, "remove", remove)
    shop.deliver([])
    assert asked == ["id of user 000000"]


def test_the_sync_log_says_what_was_done(shop: Shop) -> None:
    shop.want(users(12))
    shop.sandbox.misbehave("reject", users=["user 000003"], times=None)
    result = shop.sync(run_id="r1")
    (line,) = shop.catalog.connectors.list_syncs(shop.tenant, shop.slug)
    assert (line.id, line.run_id, line.kind, line.status) == (result.sync_id, "r1", "sync", "succeeded")
    counts = line.counts
    assert (counts.added, counts.removed, counts.rejected, counts.pending) == (11, 0, 1, 0)
    assert (counts.requests, counts.retries, counts.audience) == (2, 0, 11)


def test_runs_are_kept_in_clickhouse_for_analysis(shop: Shop) -> None:
    shop.deliver(users(3))
    rows = shop.rows(
        "SELECT connector, type, kind, status, added, audience FROM activation_runs WHERE connector_id = {id:UInt64}"
    )
    assert rows == [(shop.slug, "roster", "sync", "succeeded", 3, 3)]


def test_the_changelog_tells_who_flaps(shop: Shop) -> None:
    for wanted in (users(2), users(1), users(2)):
        shop.deliver(wanted)
    rows = shop.rows(
        "SELECT user_id, groupArray(toString(change)) FROM (SELECT * FROM activation_changes ORDER BY at)"
        " WHERE connector_id = {id:UInt64} GROUP BY user_id ORDER BY user_id"
    )
    assert rows == [("user 000000", ["added"]), ("user 000001", ["added", "removed", "added"])]


def test_the_plan_of_a_sync_is_dropped(shop: Shop) -> None:
    shop.deliver(users(3))
    assert shop.rows("SELECT count() FROM activation_plan WHERE connector_id = {id:UInt64}") == [(0,)]


def test_one_sync_of_a_connector_runs_at_a_time(shop: Shop) -> None:
    shop.catalog.connectors.acquire_lease(shop.tenant, shop.slug, "somebody")
    with pytest.raises(ConnectorBusy, match="somebody"):
        shop.sync(patience=patient(wait=0.0))


def test_what_a_dead_process_left_running_is_closed_by_the_next(shop: Shop) -> None:
    shop.catalog.connectors.begin_sync(shop.tenant, shop.slug, "sync")
    shop.deliver(users(1))
    statuses = [line.status for line in shop.catalog.connectors.list_syncs(shop.tenant, shop.slug)]
    assert statuses == ["succeeded", "abandoned"]
