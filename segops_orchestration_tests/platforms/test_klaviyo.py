"""Klaviyo, called over HTTP: what is sent, how answers are read, what each misbehaviour leads to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from segops_orchestration.activation.platform import (
    Answer,
    BatchRefused,
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    User,
)
from segops_orchestration.activation.platforms import klaviyo
from segops_orchestration.activation.sandbox.klaviyo import KlaviyoSandbox
from segops_orchestration_tests.platforms.connecting import SPEED, hasten, numbered, serving, users


@pytest.fixture
def sandbox() -> KlaviyoSandbox:
    return KlaviyoSandbox(speed=SPEED, job_seconds=0.02, seed=1)


@pytest.fixture
def platform(sandbox: KlaviyoSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    hasten(monkeypatch, patience=2.0)
    with serving(sandbox) as (_, made):
        yield made
    assert sandbox.violations == []


def add(platform: Platform, everyone: Sequence[User]) -> Answer:
    """Import and follow to the end, within some seconds."""
    answer = platform.add(everyone, "b1")
    assert answer.job is not None
    end = time.monotonic() + 10
    while time.monotonic() < end:
        followed = platform.follow(answer.job, everyone)
        if followed is not None:
            return followed
        time.sleep(0.01)
    raise AssertionError("the import did not end")


class TestEntering:
    def test_an_import_makes_profiles_and_puts_them_in_the_list(
        self, platform: Platform, sandbox: KlaviyoSandbox
    ) -> None:
        answer = add(platform, users("ann", "ben"))
        assert sandbox.members() == {"ann", "ben"}
        assert not answer.rejected
        assert not answer.unknown

    def test_nobody_is_taken_while_the_job_runs(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("job_late", seconds=0.3)
        answer = platform.add(users("ann"), "b1")
        assert answer.job is not None
        assert platform.follow(answer.job, users("ann")) is None
        assert sandbox.members() == set()

    def test_profile_ids_are_read_for_a_later_removal(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        answer = add(platform, users("ann", "ben"))
        assert set(answer.platform_ids) == {"ann", "ben"}
        assert set(answer.platform_ids.values()) == set(sandbox.account.profiles)

    def test_profile_ids_of_a_large_import_are_left_for_the_removal(
        self, platform: Platform, sandbox: KlaviyoSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(klaviyo, "MOST_IDS_READ", 2)
        assert add(platform, users("ann", "ben", "cleo")).platform_ids == {}
        assert sandbox.calls["job profiles"] == 0

    def test_email_and_phone_go_along(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, users("ann", email=" ann@example.com", phone_number="+49 170-1234567", city="Bonn"))
        (profile,) = sandbox.account.profiles.values()
        assert profile == {"external_id": "ann", "email": "ann@example.com", "phone_number": "+491701234567"}

    def test_contact_details_stay_here_when_told_so(self, sandbox: KlaviyoSandbox) -> None:
        with serving(sandbox, contact_details=False) as (_, platform):
            add(platform, users("ann", "ben", email="family@example.com"))
        assert sandbox.members() == {"ann", "ben"}

    @pytest.mark.parametrize("phone", ["0170 1234567", "+0123456789", "call me", "", 1701234567])
    def test_a_phone_that_is_not_e164_is_left_out(
        self, platform: Platform, sandbox: KlaviyoSandbox, phone: object
    ) -> None:
        assert not add(platform, users("ann", phone_number=phone)).rejected
        assert list(sandbox.account.profiles.values()) == [{"external_id": "ann"}]

    @pytest.mark.parametrize("email", ["ann", "ann@", "ann@localhost", "a b@example.com", "a@b@example.com", None])
    def test_an_email_that_is_none_is_left_out(
        self, platform: Platform, sandbox: KlaviyoSandbox, email: object
    ) -> None:
        assert not add(platform, users("ann", email=email)).rejected
        assert list(sandbox.account.profiles.values()) == [{"external_id": "ann"}]

    def test_the_same_import_twice_changes_nothing(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, numbered(10))
        add(platform, numbered(10))
        assert len(sandbox.account.profiles) == 10

    def test_identifiers_of_two_profiles_are_a_rejected_row(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.account.upsert({"external_id": "ann"})
        sandbox.account.upsert({"email": "ann@example.com"})
        answer = add(platform, [User("ann", {"email": "ann@example.com"}), User("ben")])
        assert answer.rejected == {"ann": "the identifiers belong to different profiles (duplicate_profile)"}
        assert sandbox.members() == {"ben"}

    def test_rejected_rows_are_read_from_every_page(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("reject_rows", share=1.0, reason="no")
        answer = add(platform, numbered(250))
        assert answer.rejected == dict.fromkeys((user.user_id for user in numbered(250)), "no (invalid)")

    def test_failed_rows_without_a_name_are_unknown(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("reject_rows", users=["u000003", "u000004"])
        sandbox.misbehave("job_unnamed", times=None)
        answer = add(platform, numbered(150))
        assert not answer.rejected
        assert set(answer.unknown) == {"u000003", "u000004"}

    def test_of_a_cancelled_job_everybody_is_unknown(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("job_partly", share=0.5)
        answer = add(platform, numbered(10))
        assert set(answer.unknown) == {user.user_id for user in numbered(10)}

    def test_of_a_forgotten_job_everybody_is_unknown(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        answer = platform.follow("job-of-last-month", users("ann"))
        assert answer is not None
        assert set(answer.unknown) == {"ann"}

    def test_a_job_that_never_ends_stays_open(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("job_never")
        job = platform.add(users("ann"), "b1").job
        assert job is not None
        time.sleep(0.1)
        assert platform.follow(job, users("ann")) is None

    def test_more_bytes_than_a_request_holds_go_as_two_jobs(
        self, platform: Platform, sandbox: KlaviyoSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(klaviyo, "MOST_IMPORT_BYTES", 4_000)
        answer = add(platform, numbered(60))
        assert sandbox.calls["bulk import"] == 2
        assert len(answer.platform_ids) == 60
        assert len(sandbox.members()) == 60

    def test_a_refused_part_does_not_refuse_what_is_under_way(
        self, platform: Platform, sandbox: KlaviyoSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(klaviyo, "MOST_IMPORT_BYTES", 4_000)
        sandbox.misbehave("refuse_rows", users=["u000059"], times=None)
        answer = platform.add(numbered(60), "b1")
        assert answer.job is not None
        time.sleep(2 * sandbox.job_seconds)
        assert sandbox.members() == {user.user_id for user in numbered(60)} - answer.rejected.keys()
        assert answer.rejected["u000059"] == "Not a valid profile. (invalid)"
        assert "Not a valid profile" in answer.rejected["u000058"]

    @pytest.mark.parametrize(("kind", "options"), [("429", {"wait": 3_600}), ("key_revoked", {})])
    def test_a_batch_of_which_a_part_is_under_way_may_have_been_carried_out(
        self,
        platform: Platform,
        sandbox: KlaviyoSandbox,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        options: dict[str, Any],
    ) -> None:
        monkeypatch.setattr(klaviyo, "MOST_IMPORT_BYTES", 4_000)
        sandbox.misbehave(kind, skip=1, **options)
        with pytest.raises(PlatformUnavailable) as unavailable:
            platform.add(numbered(60), "b1")
        assert unavailable.value.may_have_applied
        assert sandbox.calls["bulk import"] == 2

    def test_a_user_id_too_long_for_a_profile_is_lacking(self, platform: Platform) -> None:
        assert platform.lacks(User("x" * 100_001)) == "its profile has 100,051 bytes; Klaviyo takes 100,000"
        assert platform.lacks(User("x")) is None

    def test_a_pointer_names_the_users_to_blame(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("refuse_rows", users=["u000002", "u000005"])
        with pytest.raises(BatchRefused) as refused:
            platform.add(numbered(8), "b1")
        assert refused.value.users == dict.fromkeys(["u000002", "u000005"], "Not a valid profile. (invalid)")
        assert sandbox.members() == set()

    def test_a_400_without_a_pointer_blames_nobody(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("refuse_batch")
        with pytest.raises(BatchRefused, match="The payload provided is invalid") as refused:
            platform.add(numbered(8), "b1")
        assert refused.value.users == {}


class TestLeaving:
    def test_known_profiles_are_removed_without_a_lookup(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        ids = add(platform, users("ann", "ben")).platform_ids
        platform.remove([User("ann", platform_id=ids["ann"])], "b2")
        assert sandbox.members() == {"ben"}
        assert sandbox.calls["profiles"] == 0

    def test_unknown_profiles_are_looked_up_a_hundred_at_a_time(
        self, platform: Platform, sandbox: KlaviyoSandbox
    ) -> None:
        add(platform, numbered(250))
        platform.remove([User(user.user_id) for user in numbered(249)], "b2")
        assert sandbox.members() == {"u000249"}
        assert sandbox.calls["profiles"] == 3
        assert sandbox.calls["remove from list"] == 1

    def test_whoever_has_no_profile_counts_as_taken_out(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        answer = platform.remove(users("nobody"), "b2")
        assert answer.rejected == {}
        assert not answer.unknown
        assert sandbox.calls["remove from list"] == 0

    def test_the_profile_stays_in_the_account(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, users("ann"))
        platform.remove(users("ann"), "b2")
        assert len(sandbox.account.profiles) == 1

    def test_ids_of_profiles_that_are_gone_are_looked_up_again(
        self, platform: Platform, sandbox: KlaviyoSandbox
    ) -> None:
        add(platform, users("ann", "ben"))
        sandbox.misbehave("stale_profiles", profiles=["merged"], times=None)
        platform.remove([User("ann", platform_id="merged"), User("ben")], "b2")
        assert sandbox.members() == set()

    @pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "a,b", "a b", "ä€😀", "x)y", "a&b=c#d%20"])
    def test_any_user_id_is_found(self, platform: Platform, sandbox: KlaviyoSandbox, name: str) -> None:
        add(platform, users(name, "other"))
        platform.remove(users(name), "b2")
        assert sandbox.members() == {"other"}

    def test_long_ids_are_looked_up_in_short_addresses(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        names = [f"{n}-" + "ä" * 300 for n in range(20)]
        add(platform, users(*names))
        platform.remove(users(*names), "b2")
        assert sandbox.members() == set()
        assert sandbox.calls["profiles"] > 1


class TestReadingBack:
    def test_every_page_is_read(self, platform: Platform) -> None:
        add(platform, numbered(230))
        assert set(platform.read_back(iter(()))) == {user.user_id for user in numbered(230)}

    def test_a_profile_without_external_id_is_nobody_of_ours(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, users("ann"))
        sandbox.account.lists[sandbox.list_id].add(sandbox.account.upsert({"email": "by-hand@example.com"}))
        assert list(platform.read_back(iter(()))) == ["ann"]


class TestMisbehaviour:
    @pytest.mark.parametrize(
        "told",
        [
            {"kind": "429", "wait": 1},
            {"kind": "429", "wait": None},
            {"kind": "500"},
            {"kind": "500", "applied": True},
            {"kind": "500", "status": 503, "times": 3},
            {"kind": "drop"},
            {"kind": "drop", "applied": True},
            {"kind": "slow", "seconds": 0.2},
        ],
    )
    @pytest.mark.parametrize("call", ["POST /api/profile-bulk", "GET /api/profile-bulk", "DELETE /api/lists"])
    def test_what_passes_is_tried_again(
        self, platform: Platform, sandbox: KlaviyoSandbox, told: dict[str, Any], call: str
    ) -> None:
        sandbox.misbehave(**told, calls=call)
        add(platform, numbered(20))
        platform.remove(numbered(5), "b2")
        assert sandbox.members() == {user.user_id for user in numbered(15, start=5)}

    def test_a_hanging_server_is_given_up(self, sandbox: KlaviyoSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("segops_orchestration.activation.http.READ_SECONDS", 0.2)
        hasten(monkeypatch, patience=0.5)
        sandbox.misbehave("hang", times=None)
        with serving(sandbox) as (_, platform), pytest.raises(PlatformUnavailable, match="timed out") as error:
            platform.add(users("ann"), "b1")
        assert error.value.may_have_applied

    def test_a_wait_beyond_the_patience_is_handed_on(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("429", wait=40)
        with pytest.raises(PlatformUnavailable, match=r"The rate limit was reached.*left alone for 40 s") as error:
            platform.add(users("ann"), "b1")
        assert not error.value.may_have_applied

    def test_a_revoked_key_is_refused_in_klaviyos_words(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("key_revoked")
        with pytest.raises(PlatformRefused, match="401: the key has been revoked") as error:
            platform.add(users("ann"), "b1")
        assert error.value.status == 401

    def test_a_missing_scope_is_refused(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("scope_missing", scope="lists:write", times=None)
        with pytest.raises(PlatformRefused, match="403: The key lacks the scope lists:write"):
            platform.add(users("ann"), "b1")

    def test_a_deleted_list_is_refused(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, users("ann"))
        sandbox.misbehave("list_deleted", times=None)
        with pytest.raises(PlatformRefused, match="404: A list with id SANDBX does not exist"):
            platform.add(users("ben"), "b1")
        with pytest.raises(PlatformRefused, match="404"):
            platform.remove(users("ann"), "b2")

    def test_a_400_whatever_is_sent_is_not_about_the_batch(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("revision_retired", times=None)
        with pytest.raises(PlatformRefused, match="400: This API revision is no longer served"):
            platform.add(numbered(5), "b1")


class TestConnectionTest:
    def test_all_is_well(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        findings = platform.test()
        assert [finding.name for finding in findings if finding.ok] == [
            "list", "scope profiles:read", "scope profiles:write", "scope lists:write",
        ]  # fmt: skip
        assert len(findings) == 4

    def test_it_changes_nothing(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        add(platform, users("ann"))
        platform.test()
        assert sandbox.members() == {"ann"}
        assert len(sandbox.account.jobs) == 1

    def test_a_revoked_key(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("key_revoked")
        (finding,) = platform.test()
        assert (finding.name, finding.ok) == ("key", False)
        assert "does not know the API key" in finding.detail

    @pytest.mark.parametrize(
        ("scope", "name"),
        [
            ("lists:read", "list"),
            ("profiles:read", "scope profiles:read"),
            ("profiles:write", "scope profiles:write"),
            ("lists:write", "scope lists:write"),
        ],
    )
    def test_a_missing_scope(self, platform: Platform, sandbox: KlaviyoSandbox, scope: str, name: str) -> None:
        sandbox.misbehave("scope_missing", scope=scope, times=None)
        wrong = {finding.name: finding.detail for finding in platform.test() if not finding.ok}
        assert f"lacks the scope {scope}" in wrong[name]

    def test_a_list_that_is_gone(self, platform: Platform, sandbox: KlaviyoSandbox) -> None:
        sandbox.misbehave("list_deleted", times=None)
        wrong = [finding for finding in platform.test() if not finding.ok]
        assert [finding.name for finding in wrong] == ["list"]
        assert "there is no list SANDBX" in wrong[0].detail
