"""Connectors against a pretended platform: test, sync, hold, approve, verify, rejected, delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration_tests.cli.conftest import Answer, Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop

CONNECTOR = "vip-braze"


@dataclass(frozen=True)
class Connected:
    """A shop whose buyers are the segment vip, and its connector."""

    segops: Segops
    shop: Shop
    sandbox: BrazeSandbox

    def connectors(self, command: str, *arguments: str) -> Answer:
        return self.segops("connectors", command, self.shop.slug, CONNECTOR, *arguments)

    def buy(self, *users: str) -> None:
        self.shop.orders(*users)
        assert self.segops("compute", self.shop.slug).exit_code == 0


@pytest.fixture
def sandbox() -> BrazeSandbox:
    return BrazeSandbox()


@pytest.fixture
def connected(
    segops: Segops, shop: Shop, sandbox: BrazeSandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connected]:
    monkeypatch.setenv("BRAZE_KEY", "sandbox-key")
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    shop.define("vip", ORDERED)
    with SandboxServer(sandbox) as server:
        made = segops(
            *("connectors", "create", shop.slug, "--segment", "vip", "--type", "braze", "--hold-users", "5"),
            *("--config", f"rest_endpoint={server.url}", "--config", "subscription_group_id=sandbox-group"),
            *("--secret", "api_key=env:BRAZE_KEY"),
        )
        assert made.exit_code == 0, made.err
        found = Connected(segops, shop, sandbox)
        found.buy(*(f"u{number}" for number in range(9)))
        yield found


def test_a_connector_that_is_right_is_told_so(connected: Connected) -> None:
    answer = connected.connectors("test")

    assert answer.exit_code == 0
    assert f"Next: segops connectors sync {connected.shop.slug} {CONNECTOR}" in answer.out


def test_a_wrong_key_is_told_in_the_platforms_words(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_KEY", "wrong-key")
    connected.connectors("update", "--secret", "api_key=env:BRAZE_KEY")

    answer = connected.connectors("test", "--json")

    assert answer.exit_code == 1
    assert not answer.json["ok"]
    assert "wrong-key" not in answer.out + answer.err


def test_a_dry_run_lists_who_would_be_sent_and_sends_nobody(connected: Connected) -> None:
    answer = connected.connectors("sync", "--dry-run")
    document = connected.connectors("sync", "--dry-run", "--json").json

    assert answer.exit_code == 0
    assert answer.out.splitlines() == [f"add\tu{number}" for number in range(9)]
    assert "9 to add and 0 to remove" in answer.err
    assert document["rows"][0] == {"action": "add", "user_id": "u0", "lacks": None}
    assert (document["adds"], document["removes"], document["outcome"]) == (9, 0, "succeeded")
    assert document["would_hold"] is False
    assert connected.sandbox.members() == set()


def test_a_dry_run_is_of_one_connector(connected: Connected) -> None:
    answer = connected.segops("connectors", "sync", connected.shop.slug, "--dry-run")

    assert (answer.exit_code, answer.out) == (2, "")


def test_sync_sends_the_difference_and_show_and_log_tell_of_it(connected: Connected) -> None:
    [first] = connected.segops("connectors", "sync", connected.shop.slug, "--json").json
    connected.buy("u9")
    answer = connected.connectors("sync")

    assert (first["outcome"], first["added"], first["pending"]) == ("succeeded", 9, 0)
    assert answer.exit_code == 0
    assert connected.sandbox.members() == {f"u{number}" for number in range(10)}
    shown = connected.connectors("show", "--json").json
    assert (shown["backlog"]["audience"], shown["backlog"]["adds"]) == (10, 0)
    assert [one["added"] for one in connected.connectors("log", "--json").json] == [1, 9]


def test_show_tells_what_is_pending_and_no_secret(connected: Connected) -> None:
    answer = connected.connectors("show")

    assert ["to", "add", "9"] in [line.split() for line in answer.out.splitlines()]
    assert "api_key=***" in answer.out
    assert "sandbox-key" not in answer.out


def test_a_platform_that_refuses_stops_its_connector_and_no_other(connected: Connected) -> None:
    connected.sandbox.misbehave("key_revoked")

    answer = connected.connectors("sync")

    assert answer.exit_code == 1
    assert "then resume" in answer.out
    assert connected.connectors("show", "--json").json["status"] == "error"
    connected.sandbox.behave()
    [again] = connected.segops("connectors", "sync", connected.shop.slug, CONNECTOR, "--json").json
    assert (again["outcome"], again["added"]) == ("error", 0)
    connected.connectors("resume")
    assert connected.connectors("sync").exit_code == 0
    assert len(connected.sandbox.members()) == 9


def test_a_pause_keeps_changes_pending(connected: Connected) -> None:
    connected.connectors("pause")

    answer = connected.connectors("sync")

    assert answer.exit_code == 0
    assert f"{CONNECTOR} is paused" in answer.out
    assert connected.sandbox.members() == set()
    assert connected.connectors("show", "--json").json["backlog"]["adds"] == 9


def test_a_change_that_is_too_large_is_held_until_it_is_approved(connected: Connected) -> None:
    connected.connectors("sync")
    connected.buy(*(f"new{number}" for number in range(6)))

    held = connected.connectors("sync")

    assert held.exit_code == 3
    assert "Held, nothing of it was sent: 6 to add and 0 to remove, of an audience of 9." in held.out
    assert f"segops connectors approve {connected.shop.slug} {CONNECTOR}" in held.out
    assert "Held, nothing of it was sent" in connected.connectors("show").out
    assert len(connected.sandbox.members()) == 9
    assert "Approved: 6 to add and 0 to remove." in connected.connectors("approve").out
    assert connected.connectors("sync").exit_code == 0
    assert len(connected.sandbox.members()) == 15


def test_verify_finds_drift_and_repairs_it(connected: Connected) -> None:
    connected.connectors("sync")
    assert connected.connectors("verify").exit_code == 0
    connected.sandbox.subscribed["sandbox-group"]["u3"] = "unsubscribed"

    drifted = connected.connectors("verify")

    assert drifted.exit_code == 1
    assert ["missing", "1", "u3"] in [line.split() for line in drifted.out.splitlines()]
    assert connected.connectors("verify", "--repair", "--json").json["drift"]["missing_users"] == ["u3"]
    assert connected.sandbox.members() == {f"u{number}" for number in range(9)}
    assert connected.connectors("verify", "--remove-strangers").exit_code == 2


def test_rejected_users_are_listed_with_the_reason_and_requeued(connected: Connected) -> None:
    assert connected.connectors("rejected").err == "Nobody is refused.\n"
    connected.sandbox.misbehave("reject_rows", users=["u2", "u4"], reason="no such user")
    connected.connectors("sync")

    lines = [line.split("\t") for line in connected.connectors("rejected").out.splitlines()]

    assert [(line[0], line[1], line[2]) for line in lines] == [("add", "u2", "1"), ("add", "u4", "1")]
    assert all("no such user" in line[4] for line in lines)
    assert [one["user_id"] for one in connected.connectors("rejected", "--json").json] == ["u2", "u4"]
    assert connected.connectors("rejected", "--requeue", "--user", "u2", "--json").json["requeued"] == 1
    connected.connectors("sync")
    assert connected.sandbox.members() == {f"u{number}" for number in range(9)} - {"u4"}
    assert connected.connectors("rejected", "--user", "u2").exit_code == 2


def test_an_archived_segment_empties_its_audience_when_that_was_chosen(connected: Connected) -> None:
    connected.connectors("sync")
    connected.segops("segments", "archive", connected.shop.slug, "vip")
    connected.connectors("sync")
    assert len(connected.sandbox.members()) == 9

    connected.connectors("update", "--when-archived", "empty")
    connected.connectors("sync")

    assert connected.sandbox.members() == set()


def test_delete_asks_what_becomes_of_the_audience(connected: Connected) -> None:
    connected.connectors("sync")
    assert connected.connectors("delete").exit_code == 2

    answer = connected.connectors("delete", "--empty")

    assert answer.exit_code == 0
    assert "is deleted; its audience was emptied (9 users removed)." in answer.out
    assert connected.sandbox.members() == set()
    assert connected.shop.catalog.connectors.every(connected.shop.slug) == []


def test_delete_can_leave_the_audience(connected: Connected) -> None:
    connected.connectors("sync")

    assert connected.connectors("delete", "--leave", "--json").json["deleted"] is True

    assert len(connected.sandbox.members()) == 9


def test_an_emptying_that_does_not_end_keeps_the_connector(connected: Connected) -> None:
    connected.connectors("sync")
    connected.sandbox.misbehave("key_revoked")

    answer = connected.connectors("delete", "--empty")

    assert answer.exit_code == 1
    assert "is not deleted yet: 9 users may still be in its audience" in answer.err
    assert connected.connectors("show", "--json").json["status"] == "deleting"
    connected.sandbox.behave()
    assert connected.connectors("delete", "--empty").exit_code == 0
    assert connected.sandbox.members() == set()


def test_an_unknown_connector_is_named_with_the_nearest_by_every_command(connected: Connected) -> None:
    for command in ("show", "test", "sync", "verify", "rejected", "log", "pause", "resume", "approve"):
        answer = connected.segops("connectors", command, connected.shop.slug, "vip-brase")
        assert answer.exit_code == 1, command
        assert "no connector 'vip-brase'" in answer.err
        assert "did you mean 'vip-braze'?" in answer.err
