"""People, teams, sessions and the audit log in the catalogue, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from sqlalchemy import text

from segops_orchestration.catalog import passwords
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.people_records import Actor, Role
from segops_orchestration.catalog.session_catalog import LoggedIn
from segops_orchestration.catalog.sessions import INVITATION_LIFETIME, REFRESH_LIFETIME
from segops_orchestration.errors import Conflict, Forbidden, InvalidDocument, NotFound, SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import Clock

OPERATOR = Actor("operator", "tests")
PASSWORD = "a pass phrase to look for"
ADA, BOB = "ada@example.com", "bob@example.com"

T = TypeVar("T")


@pytest.fixture
def ada(acme: Catalog) -> LoggedIn:
    """The owner of acme, logged in."""
    acme.people.create(ADA, "Ada", PASSWORD, OPERATOR, tenant="acme", role="owner")
    return logged_in(acme.sessions.log_in(ADA, PASSWORD))


def logged_in(answer: LoggedIn | None) -> LoggedIn:
    assert answer is not None
    return answer


def roles(catalog: Catalog, tenant: str = "acme") -> dict[str, Role]:
    return {member.person.email: member.role for member in catalog.people.team(tenant)}


def stored_hash(catalog: Catalog) -> str:
    with catalog._transactions.read() as session:
        return str(session.scalar(text("SELECT password_hash FROM people WHERE email = 'ada@example.com'")))


def at_once(settings: Settings, actions: Sequence[Callable[[Catalog], T]]) -> list[T | SegOpsError]:
    """What each action says, or its error; each has connections of its own, and all begin at one moment."""
    barrier = threading.Barrier(len(actions))

    def act(action: Callable[[Catalog], T]) -> T | SegOpsError:
        with Catalog.open(settings) as catalog:
            catalog.list_tenants()
            barrier.wait(30)
            try:
                return action(catalog)
            except SegOpsError as error:
                return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


# Passwords


def test_a_password_is_stored_as_argon2id(acme: Catalog, ada: LoggedIn) -> None:
    assert stored_hash(acme).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_stored_with_other_parameters_is_stored_anew_at_login(
    acme: Catalog, ada: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored_hash(acme)
    monkeypatch.setattr(passwords, "_hasher", lambda: PasswordHasher(time_cost=3, memory_cost=19_456, parallelism=1))

    assert acme.sessions.log_in(ADA, "not the pass phrase") is None
    assert stored_hash(acme) == before
    assert acme.sessions.log_in(ADA, PASSWORD) is not None

    assert stored_hash(acme).startswith("$argon2id$v=19$m=19456,t=3,p=1$")
    assert acme.sessions.log_in(ADA, PASSWORD) is not None


def test_an_unknown_email_costs_a_comparison_like_a_known_one(
    acme: Catalog, ada: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str | None] = []
    is_right = passwords.is_right

    def counted(stored: str | None, password: str) -> bool:
        compared.append(stored)
        return is_right(stored, password)

    monkeypatch.setattr(passwords, "is_right", counted)
    for email in (ADA, "nobody@example.com", "no address"):
        assert acme.sessions.log_in(email, "not the pass phrase") is None
    assert [one is None for one in compared] == [False, True, True]
    assert not is_right(None, PASSWORD)


def test_the_same_password_typed_in_two_ways_is_one(acme: Catalog) -> None:
    acme.people.create(BOB, "", "caf\u00e9 with a view", OPERATOR)
    assert acme.sessions.log_in(BOB, "cafe\u0301 with a view") is not None


@pytest.mark.parametrize("password", ["ada has a phrase", "half of a \ud800 character"])
def test_a_password_that_is_easily_guessed_or_none_is_refused(acme: Catalog, password: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        acme.people.create(ADA, "", password, OPERATOR)
    assert password not in str(refused.value)
    assert acme.people.every() == []


def test_a_login_that_overlaps_a_change_of_password_does_not_outlive_it(
    acme: Catalog, ada: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_right = passwords.is_right

    def changed_meanwhile(stored: str | None, password: str) -> bool:
        right = is_right(stored, password)
        monkeypatch.undo()
        acme.sessions.set_password(ADA, "another phrase to look for", OPERATOR)
        return right

    monkeypatch.setattr(passwords, "is_right", changed_meanwhile)
    assert acme.sessions.log_in(ADA, PASSWORD) is None


# People and teams


def test_a_person_and_their_place_are_made_together_or_not_at_all(acme: Catalog, ada: LoggedIn) -> None:
    with pytest.raises(Conflict, match="has an owner already"):
        acme.people.create(BOB, "Bob", PASSWORD, OPERATOR, tenant="acme", role="owner")
    assert [person.email for person in acme.people.every()] == [ADA]


def test_of_several_first_owners_at_once_there_is_one(acme: Catalog, catalog_settings: Settings) -> None:
    def become(email: str) -> Callable[[Catalog], str]:
        return lambda catalog: catalog.people.create(email, "", None, OPERATOR, tenant="acme", role="owner").email

    answers = at_once(catalog_settings, [become(f"{number}@example.com") for number in range(4)])

    assert sum(isinstance(answer, Conflict) for answer in answers) == 3
    assert list(roles(acme).values()) == ["owner"]
    assert len(acme.people.every()) == 1


def test_of_two_who_add_one_new_person_at_once_none_makes_a_second(acme: Catalog, catalog_settings: Settings) -> None:
    answers = at_once(
        catalog_settings,
        [lambda catalog: catalog.people.add_member("acme", BOB, "", "member", OPERATOR).created for _ in range(3)],
    )
    assert sum(answer is True for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 2
    assert roles(acme) == {BOB: "member"}


def test_two_owners_are_refused_by_the_database_itself(acme: Catalog, ada: LoggedIn) -> None:
    from sqlalchemy.exc import IntegrityError

    person = acme.people.create(BOB, "", PASSWORD, OPERATOR)
    insert = text(
        "INSERT INTO team_members (tenant_id, person_id, role, created_at)"
        " SELECT id, :p, 'owner', created_at FROM tenants"
    )
    with pytest.raises(IntegrityError), acme._transactions.write() as (session, _):
        session.execute(insert, {"p": person.id})


def test_who_was_lowered_meanwhile_raises_nobody(acme: Catalog, ada: LoggedIn) -> None:
    for email in (BOB, "carl@example.com"):
        acme.people.create(email, "", PASSWORD, OPERATOR, tenant="acme", role="admin")
    bob = acme.people.get(BOB)
    acme.people.change_role("acme", BOB, "viewer", OPERATOR)
    actor = Actor("person", BOB)

    with pytest.raises(Forbidden):
        acme.people.change_role("acme", "carl@example.com", "member", actor, by=bob.id)
    with pytest.raises(Forbidden):
        acme.people.add_member("acme", "new@example.com", "", "viewer", actor, by=bob.id)
    with pytest.raises(Forbidden):
        acme.people.remove_member("acme", "carl@example.com", actor, by=bob.id)

    assert "new@example.com" not in [person.email for person in acme.people.every()]


def test_a_change_that_is_refused_is_not_in_the_audit_log(acme: Catalog, ada: LoggedIn) -> None:
    before = acme.people.audit_entries("acme")
    with pytest.raises(Conflict):
        acme.people.remove_member("acme", ADA, OPERATOR)
    with pytest.raises(NotFound):
        acme.people.change_role("acme", BOB, "admin", OPERATOR)
    assert acme.people.audit_entries("acme") == before


def test_a_transfer_is_in_the_audit_log_with_the_owner_so_far(acme: Catalog, ada: LoggedIn) -> None:
    acme.people.create(BOB, "", PASSWORD, OPERATOR, tenant="acme")

    acme.people.transfer_ownership("acme", BOB, Actor("person", ADA), by=ada.person.id)

    assert roles(acme) == {ADA: "admin", BOB: "owner"}
    newest = acme.people.audit_entries("acme")[0]
    assert (newest.action, newest.target, newest.details) == ("team.transfer", BOB, {"from": ADA})


# Sessions


def test_a_refresh_token_is_good_for_thirty_days(acme: Catalog, ada: LoggedIn, clock: Clock) -> None:
    clock.move((REFRESH_LIFETIME - timedelta(seconds=1)).total_seconds())
    later = logged_in(acme.sessions.refresh(ada.refresh_token))
    clock.move(REFRESH_LIFETIME.total_seconds())
    assert acme.sessions.refresh(later.refresh_token) is None


def test_expired_tokens_are_forgotten_at_the_next_login(acme: Catalog, ada: LoggedIn, clock: Clock) -> None:
    clock.move(REFRESH_LIFETIME.total_seconds())
    acme.sessions.log_in(ADA, PASSWORD)
    with acme._transactions.read() as session:
        assert session.scalar(text("SELECT count(*) FROM refresh_tokens")) == 1


@pytest.fixture
def live(ada: LoggedIn, catalog_settings: Settings) -> Iterator[Catalog]:
    """The catalogue with ada in it, by the time of day, as the others have it that act at once."""
    with Catalog.open(catalog_settings) as opened:
        yield opened


def test_of_several_refreshes_with_one_token_at_once_one_succeeds_and_then_nothing_does(
    live: Catalog, catalog_settings: Settings
) -> None:
    token = logged_in(live.sessions.log_in(ADA, PASSWORD)).refresh_token

    answers = at_once(catalog_settings, [lambda catalog: catalog.sessions.refresh(token)] * 4)

    [winner] = [answer for answer in answers if isinstance(answer, LoggedIn)]
    assert answers.count(None) == 3
    assert live.sessions.refresh(winner.refresh_token) is None


def test_a_reuse_while_the_next_token_is_refreshed_leaves_nothing_that_works(
    live: Catalog, catalog_settings: Settings
) -> None:
    def refresh(token: str) -> Callable[[Catalog], LoggedIn | None]:
        return lambda catalog: catalog.sessions.refresh(token)

    for _ in range(5):
        first = logged_in(live.sessions.log_in(ADA, PASSWORD))
        second = logged_in(live.sessions.refresh(first.refresh_token))

        answers = at_once(catalog_settings, [refresh(second.refresh_token), refresh(first.refresh_token)])

        assert answers[1] is None
        for answer in answers:
            assert not isinstance(answer, LoggedIn) or live.sessions.refresh(answer.refresh_token) is None


def test_an_access_token_of_before_a_new_password_opens_nothing(acme: Catalog, ada: LoggedIn) -> None:
    assert acme.sessions.access(ada.person.id, ada.token_version) is not None
    acme.sessions.set_password(ADA, "another phrase to look for", OPERATOR)
    assert acme.sessions.access(ada.person.id, ada.token_version) is None


def test_an_invitation_is_good_for_seven_days(acme: Catalog, clock: Clock) -> None:
    acme.people.create(BOB, "", None, OPERATOR)
    token, expires = acme.sessions.invite(BOB, OPERATOR)
    assert expires == clock.now + INVITATION_LIFETIME
    clock.move(INVITATION_LIFETIME.total_seconds())
    assert acme.sessions.choose_password(token, PASSWORD) is None


def test_an_operators_password_voids_the_invitation(acme: Catalog) -> None:
    acme.people.create(BOB, "", None, OPERATOR)
    token, _ = acme.sessions.invite(BOB, OPERATOR)
    acme.sessions.set_password(BOB, PASSWORD, OPERATOR)
    assert acme.sessions.choose_password(token, "another phrase to look for") is None


# Keys


def test_the_use_of_a_key_is_written_once_a_minute(acme: Catalog, clock: Clock) -> None:
    key = acme.people.create_key("acme", "importer", "secret", "member", [], OPERATOR)
    seen = []
    for seconds in (0, 59, 1, 30):
        clock.move(seconds)
        acme.people.note_key_use(key.record.id)
        [found] = acme.people.keys("acme")
        assert found.last_used_at is not None
        seen.append((clock.now - found.last_used_at).total_seconds())
    assert seen == [0, 59, 0, 30]


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example/",
        "shop.example",
        "https://Shop.example",
        "https://a.example,https://b.example",
        "null",
        "",
    ],
)
def test_what_no_browser_sends_as_origin_is_refused(acme: Catalog, origin: str) -> None:
    with pytest.raises(InvalidDocument, match=r"allowed_origins\[0\]"):
        acme.people.create_key("acme", "web", "public", "member", [origin], OPERATOR)


@pytest.mark.parametrize("origin", ["https://shop.example", "http://localhost:3000", "http://[::1]:80", "app://x", "*"])
def test_origins_as_browsers_send_them_are_taken(acme: Catalog, origin: str) -> None:
    made = acme.people.create_key("acme", "web", "public", "member", [origin], OPERATOR)
    assert made.record.allowed_origins == (origin,)
    assert acme.people.public_origins() == {origin}
    acme.people.revoke_key("acme", made.record.id, OPERATOR)
    assert acme.people.public_origins() == frozenset()


def test_secret_keys_have_no_origins(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument, match="only public keys"):
        acme.people.create_key("acme", "importer", "secret", "member", ["*"], OPERATOR)


def test_the_secret_of_a_public_key_follows_the_rotation_of_the_installations_key(
    acme: Catalog, catalog_settings: Settings
) -> None:
    made = acme.people.create_key("acme", "web", "public", "member", [], OPERATOR)
    old = catalog_settings.secret_key_file.read_text().strip()
    new = Fernet.generate_key().decode()

    with Catalog.open(replace(catalog_settings, secret_key=f"{new},{old}")) as both:
        assert both.connectors.rotate_secrets() == 1

    with Catalog.open(replace(catalog_settings, secret_key=new)) as rotated:
        found = rotated.people.session_key(made.key)
        assert found is not None
        assert found[1] == made.hmac_secret
