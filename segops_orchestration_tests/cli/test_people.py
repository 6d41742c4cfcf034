"""``segops users``, ``team``, ``keys`` and ``audit``."""

from __future__ import annotations

import io
import sys

import click
import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration_tests.cli.conftest import Answer, Segops

PASSWORD = "a pass phrase to look for"
ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture(autouse=True)
def _acme(catalog: Catalog) -> None:
    catalog.create_tenant("acme")


@pytest.fixture
def ada(segops: Segops, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """The owner of acme."""
    pipe(monkeypatch, PASSWORD + "\n")
    answer = segops("users", "create", ADA, "--tenant", "acme", "--role", "owner", "--json")
    assert answer.exit_code == 0
    return answer


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What comes by standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


# People


def test_the_first_person_is_created_with_a_password_of_standard_input(
    segops: Segops, catalog: Catalog, ada: Answer
) -> None:
    assert (ada.json["email"], ada.json["has_password"], ada.json["created"]) == (ADA, True, True)
    assert catalog.sessions.log_in(ADA, PASSWORD) is not None
    [person] = segops("users", "list", "--json").json
    assert person["tenants"] == {"acme": "owner"}


def test_a_password_can_come_from_the_environment(
    segops: Segops, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGOPS_PASSWORD", PASSWORD)
    assert segops("users", "create", ADA).exit_code == 0
    assert catalog.sessions.log_in(ADA, PASSWORD) is not None


def test_in_a_terminal_the_password_is_asked_for_unseen(
    segops: Segops, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[bool] = []

    def prompt(text: str, *, hide_input: bool, confirmation_prompt: bool, err: bool) -> str:
        asked.append(hide_input and confirmation_prompt and err)
        return PASSWORD

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(click, "prompt", prompt)
    segops("users", "create", ADA)
    assert asked == [True]
    assert catalog.sessions.log_in(ADA, PASSWORD) is not None


def test_a_password_is_no_argument(segops: Segops) -> None:
    assert segops("users", "create", ADA, PASSWORD).exit_code == 2
    assert segops("users", "create", ADA, "--password", PASSWORD).exit_code == 2


@pytest.mark.parametrize(
    ("typed", "message"), [("", "missing; type it, pipe one line"), ("short\n", "at least 12 are needed")]
)
def test_without_a_good_password_nobody_is_created(
    segops: Segops, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, typed: str, message: str
) -> None:
    pipe(monkeypatch, typed)
    answer = segops("users", "create", ADA, "--tenant", "acme")
    assert answer.exit_code == 1
    assert message in answer.err
    assert catalog.people.every() == []


def test_who_is_invited_chooses_a_password_with_the_token_that_is_shown(segops: Segops, catalog: Catalog) -> None:
    token = segops("users", "create", BOB, "--invite", "--json").json["invitation"]
    assert catalog.sessions.choose_password(token, PASSWORD) is not None


def test_a_new_invitation_voids_the_earlier(segops: Segops, catalog: Catalog) -> None:
    first = segops("users", "create", BOB, "--invite", "--json").json["invitation"]
    second = segops("users", "invite", BOB, "--json").json["invitation"]
    assert catalog.sessions.choose_password(first, PASSWORD) is None
    assert catalog.sessions.choose_password(second, PASSWORD) is not None


def test_creating_somebody_again_is_an_error_unless_asked_for(segops: Segops, ada: Answer) -> None:
    again = segops("users", "create", ADA, "--tenant", "acme", "--role", "owner")
    assert (again.exit_code, again.err) == (1, f"Error: there is a person with the email '{ADA}' already\n")

    content = segops("users", "create", ADA, "--tenant", "acme", "--role", "owner", "--if-not-exists", "--json")
    assert (content.exit_code, content.json["created"]) == (0, False)

    other_role = segops("users", "create", ADA, "--tenant", "acme", "--role", "viewer", "--if-not-exists")
    assert other_role.exit_code == 1
    assert "owner of tenant 'acme'" in other_role.err


def test_a_tenant_that_is_misspelled_creates_nobody(segops: Segops, catalog: Catalog) -> None:
    answer = segops("users", "create", ADA, "--invite", "--tenant", "acne")
    assert (answer.exit_code, answer.err) == (1, "Error: no tenant 'acne'; did you mean 'acme'?\n")
    assert catalog.people.every() == []


def test_a_new_password_ends_sessions(
    segops: Segops, catalog: Catalog, ada: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = catalog.sessions.log_in(ADA, PASSWORD)
    assert session is not None
    pipe(monkeypatch, "another phrase to look for\n")

    answer = segops("users", "password", ADA)

    assert answer.exit_code == 0
    assert "another phrase" not in answer.out + answer.err
    assert catalog.sessions.refresh(session.refresh_token) is None
    assert catalog.sessions.log_in(ADA, "another phrase to look for") is not None


def test_disable_and_enable_lock_out_and_let_in_and_may_be_said_twice(
    segops: Segops, catalog: Catalog, ada: Answer
) -> None:
    for _ in range(2):
        assert segops("users", "disable", ADA, "--json").json["status"] == "disabled"
    assert catalog.sessions.log_in(ADA, PASSWORD) is None
    for _ in range(2):
        assert segops("users", "enable", ADA, "--json").json["status"] == "active"
    assert catalog.sessions.log_in(ADA, PASSWORD) is not None


def test_an_empty_list_of_people_says_what_to_do(segops: Segops) -> None:
    assert "segops users create EMAIL" in segops("users", "list").out


# Team


def test_the_team_is_added_to_changed_and_handed_over(segops: Segops, catalog: Catalog, ada: Answer) -> None:
    added = segops("team", "add", "acme", BOB, "--role", "viewer", "--json").json
    assert (added["added"], added["status"]) == (True, "invited")
    catalog.sessions.choose_password(added["invitation"], PASSWORD)
    assert segops("team", "role", "acme", BOB, "admin").out == f"{BOB} is admin of tenant acme.\n"
    assert segops("team", "transfer", "acme", BOB, "--json").json["role"] == "owner"
    assert segops("team", "remove", "acme", ADA).exit_code == 0

    [member] = segops("team", "list", "acme", "--json").json
    assert (member["email"], member["role"], member["status"]) == (BOB, "owner", "active")


def test_adding_somebody_again_is_an_error_unless_asked_for(segops: Segops, ada: Answer) -> None:
    assert segops("team", "add", "acme", ADA, "--role", "owner").exit_code == 1
    content = segops("team", "add", "acme", ADA, "--role", "owner", "--if-not-exists", "--json")
    assert (content.exit_code, content.json["added"]) == (0, False)
    assert segops("team", "add", "acme", ADA, "--role", "viewer", "--if-not-exists").exit_code == 1


def test_the_owner_stays_until_ownership_is_transferred(segops: Segops, ada: Answer) -> None:
    for arguments in (["remove", "acme", ADA], ["role", "acme", ADA, "viewer"]):
        answer = segops("team", *arguments)
        assert answer.exit_code == 1
        assert "transfer ownership first" in answer.err


def test_who_is_not_in_the_team_is_named(segops: Segops) -> None:
    answer = segops("team", "remove", "acme", BOB)
    assert (answer.exit_code, answer.err) == (1, f"Error: no team member {BOB} in tenant 'acme'\n")


# Keys


def test_a_key_is_shown_once_and_works_until_it_is_revoked(segops: Segops, catalog: Catalog) -> None:
    made = segops("keys", "create", "acme", "importer", "--role", "admin", "--json").json
    assert catalog.people.key(made["key"]) is not None
    assert made["key"] not in segops("keys", "list", "acme", "--all", "--json").out

    for _ in range(2):
        assert segops("keys", "revoke", "acme", str(made["id"]), "--json").json["revoked_at"]

    assert catalog.people.key(made["key"]) is None
    assert segops("keys", "list", "acme", "--json").json == []


def test_a_public_key_comes_with_its_secret_and_origins(segops: Segops, catalog: Catalog) -> None:
    made = segops("keys", "create", "acme", "web", "--public", "--origin", "https://shop.example", "--json").json
    found = catalog.people.session_key(made["key"])
    assert found is not None
    assert (found[0].allowed_origins, found[1]) == (("https://shop.example",), made["hmac_secret"])


def test_a_public_key_without_origins_says_that_no_page_may_use_it(segops: Segops) -> None:
    assert "No web page may use it" in segops("keys", "create", "acme", "web", "--public").err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--origin", "https://shop.example"], 1, "only public keys have them"),
        (["--public", "--origin", "shop.example"], 1, "is not an origin"),
        (["--public", "--role", "admin"], 2, "--role is for secret keys"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    segops: Segops, catalog: Catalog, options: list[str], code: int, message: str
) -> None:
    answer = segops("keys", "create", "acme", "web", *options)
    assert answer.exit_code == code
    assert message in answer.err
    assert catalog.people.keys("acme") == []


def test_a_key_of_another_tenant_is_not_revoked(segops: Segops, catalog: Catalog) -> None:
    catalog.create_tenant("beta")
    made = segops("keys", "create", "beta", "importer", "--json").json
    assert segops("keys", "revoke", "acme", str(made["id"])).exit_code == 1
    assert catalog.people.key(made["key"]) is not None


# Audit


def test_the_audit_log_says_who_did_what(segops: Segops, ada: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "olga")
    segops("keys", "create", "acme", "importer")

    entries = segops("audit", "acme", "--json").json

    assert [one["action"] for one in entries] == ["key.create", "team.add"]
    assert entries[0]["actor"] == {"kind": "operator", "name": "olga"}
    assert [one["action"] for one in segops("audit", "--json").json] == ["person.create"]
    assert len(segops("audit", "acme", "--limit", "1", "--json").json) == 1
    assert [one["id"] for one in segops("audit", "acme", "--before", str(entries[0]["id"]), "--json").json] == [
        entries[1]["id"]
    ]
    assert "key.create" in segops("audit", "acme").out
