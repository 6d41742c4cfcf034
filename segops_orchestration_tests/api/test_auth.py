"""People log in, stay logged in, and choose passwords."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import jwt
import pytest

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.limits import Buckets, LoginThrottle, network_of
from segops_orchestration_tests.api.calling import OPERATOR, Api, Tenant
from segops_orchestration_tests.api.people import PASSWORD, account, bare_tenant, bearer, stranger

NEW_PASSWORD = "another phrase to look for"


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return bare_tenant(api)


def test_an_access_token_opens_the_persons_tenant_for_60_minutes(api: Api, tenant: Tenant) -> None:
    person = account(api, tenant)

    tokens = person.log_in()

    assert set(tokens) == {"access", "refresh"}
    me = bearer(api, tokens["access"]).get("auth/me/")
    assert me == {"email": person.email, "name": "person", "tenants": [{"tenant": tenant.slug, "role": "member"}]}
    claims = jwt.decode(tokens["access"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600


def test_the_email_is_found_in_any_case(api: Api) -> None:
    person = account(api)
    stranger(api).post("auth/token/", {"email": f" {person.email.upper()} ", "password": PASSWORD})


def test_a_wrong_password_and_an_unknown_email_are_refused_alike(api: Api) -> None:
    person = account(api)
    nobody = f"nobody-{secrets.token_hex(4)}@example.com"

    answers = [
        stranger(api).post("auth/token/", {"email": email, "password": password}, status=401)
        for email, password in [(person.email, "not the pass phrase"), (nobody, PASSWORD), ("no address", PASSWORD)]
    ]

    assert answers == [{"detail": "the email or the password is wrong"}] * 3


@pytest.mark.parametrize("password", ["\x00" * 12, "x" * 1000])
def test_a_password_of_odd_characters_is_only_wrong(api: Api, password: str) -> None:
    stranger(api).post("auth/token/", {"email": account(api).email, "password": password}, status=401)


def test_somebody_disabled_is_out_at_once(api: Api, tenant: Tenant) -> None:
    person = account(api, tenant)
    tokens = person.log_in()

    api.catalog.people.set_status(person.email, "disabled", OPERATOR)

    bearer(api, tokens["access"]).get("auth/me/", status=401)
    stranger(api).post("auth/token/refresh/", {"refresh": tokens["refresh"]}, status=401)
    stranger(api).post("auth/token/", {"email": person.email, "password": PASSWORD}, status=401)


def test_somebody_enabled_again_logs_in_and_old_tokens_stay_closed(api: Api) -> None:
    person = account(api)
    old = person.log_in()
    api.catalog.people.set_status(person.email, "disabled", OPERATOR)
    api.catalog.people.set_status(person.email, "active", OPERATOR)

    bearer(api, old["access"]).get("auth/me/", status=401)
    stranger(api).post("auth/token/refresh/", {"refresh": old["refresh"]}, status=401)
    person.caller().get("auth/me/")


# Refreshing


def test_a_refresh_gives_new_tokens_that_work(api: Api) -> None:
    first = account(api).log_in()

    second = stranger(api).post("auth/token/refresh/", {"refresh": first["refresh"]})
    third = stranger(api).post("auth/token/refresh/", {"refresh": second["refresh"]})

    assert len({first["refresh"], second["refresh"], third["refresh"]}) == 3
    bearer(api, third["access"]).get("auth/me/")


def test_a_refresh_token_that_comes_again_ends_its_family_but_no_other(api: Api) -> None:
    person = account(api)
    first, elsewhere = person.log_in(), person.log_in()
    second = stranger(api).post("auth/token/refresh/", {"refresh": first["refresh"]})

    stranger(api).post("auth/token/refresh/", {"refresh": first["refresh"]}, status=401)

    stranger(api).post("auth/token/refresh/", {"refresh": second["refresh"]}, status=401)
    stranger(api).post("auth/token/refresh/", {"refresh": elsewhere["refresh"]})
    assert [one.action for one in api.catalog.people.audit_entries(None) if one.target == person.email] == [
        "session.reuse",
        "person.create",
    ]


def test_of_several_refreshes_at_once_one_succeeds_and_the_family_ends(api: Api) -> None:
    token = account(api).log_in()["refresh"]

    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: stranger(api).send("POST", "auth/token/refresh/", {"refresh": token}), range(4))
        )

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    [winner] = [answer.json()["refresh"] for answer in answers if answer.status_code == 200]
    stranger(api).post("auth/token/refresh/", {"refresh": winner}, status=401)


@pytest.mark.parametrize("token", ["", "rt_unknown", "\x00", "x" * 1000])
def test_an_unknown_refresh_token_opens_nothing(api: Api, token: str) -> None:
    stranger(api).post("auth/token/refresh/", {"refresh": token}, status=401)


def test_neither_token_does_the_work_of_the_other(api: Api) -> None:
    tokens = account(api).log_in()
    bearer(api, tokens["refresh"]).get("auth/me/", status=401)
    stranger(api).post("auth/token/refresh/", {"refresh": tokens["access"]}, status=401)


# Passwords


def test_changing_the_password_ends_all_sessions_and_begins_one(api: Api) -> None:
    person = account(api)
    old = person.log_in()

    new = bearer(api, old["access"]).post(
        "auth/password/change/", {"current_password": PASSWORD, "password": NEW_PASSWORD}
    )

    bearer(api, old["access"]).get("auth/me/", status=401)
    stranger(api).post("auth/token/refresh/", {"refresh": old["refresh"]}, status=401)
    stranger(api).post("auth/token/", {"email": person.email, "password": PASSWORD}, status=401)
    bearer(api, new["access"]).get("auth/me/")
    person.log_in(NEW_PASSWORD)


def test_the_password_changes_only_for_who_knows_it(api: Api) -> None:
    caller = account(api).caller()
    answer = caller.post(
        "auth/password/change/", {"current_password": "not the pass phrase", "password": NEW_PASSWORD}, status=400
    )
    assert answer == {"current_password": ["is wrong"]}
    caller.get("auth/me/")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "has 5 characters; at least 12 are needed"),
        ("x" * 257, "has 257 characters; at most 256 are allowed"),
        ("abababababab", "repeats a few characters"),
        ("phrase of\x00several lines", "control characters"),
    ],
)
def test_a_password_that_is_not_allowed_says_why_and_is_not_repeated(api: Api, password: str, why: str) -> None:
    body = {"current_password": PASSWORD, "password": password}
    answer = account(api).caller().post("auth/password/change/", body, status=400)
    assert why in answer["password"][0]
    assert password not in str(answer)


def test_a_key_cannot_change_a_password(tenant: Tenant) -> None:
    body = {"current_password": PASSWORD, "password": NEW_PASSWORD}
    tenant.admin_key.post("auth/password/change/", body, status=403)


def test_an_invitation_sets_a_password_once(api: Api) -> None:
    email = f"new-{secrets.token_hex(6)}@example.com"
    api.catalog.people.create(email, "New", None, OPERATOR)
    token, _ = api.catalog.sessions.invite(email, OPERATOR)

    stranger(api).post("auth/password/", {"token": token, "password": "short"}, status=400)
    tokens = stranger(api).post("auth/password/", {"token": token, "password": NEW_PASSWORD})

    assert bearer(api, tokens["access"]).get("auth/me/")["email"] == email
    stranger(api).post("auth/password/", {"token": token, "password": "yet another phrase"}, status=401)
    stranger(api).post("auth/token/", {"email": email, "password": NEW_PASSWORD})


def test_of_two_uses_of_an_invitation_at_once_one_succeeds(api: Api) -> None:
    email = f"new-{secrets.token_hex(6)}@example.com"
    api.catalog.people.create(email, "New", None, OPERATOR)
    token, _ = api.catalog.sessions.invite(email, OPERATOR)
    passwords = [f"{NEW_PASSWORD} {number}" for number in range(3)]

    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(
                lambda one: stranger(api).send("POST", "auth/password/", {"token": token, "password": one}), passwords
            )
        )

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


# Throttling


def test_guessing_is_stopped_after_ten_attempts_and_says_for_how_long(api: Api) -> None:
    person = account(api)
    body = {"email": person.email, "password": "not the pass phrase"}

    answers = [stranger(api).send("POST", "auth/token/", body) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    # The right password does not help either: whoever guesses learns nothing.
    stranger(api).post("auth/token/", {"email": person.email, "password": PASSWORD}, status=429)
    account(api).log_in()
    api.services.logins.succeeded(person.email, "127.0.0.1")


def test_those_who_log_in_are_not_throttled(api: Api) -> None:
    person = account(api)
    for _ in range(12):
        person.log_in()


def test_a_flood_of_logins_is_refused_before_it_takes_all_threads(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    person = account(api)
    throttle = LoginThrottle()
    monkeypatch.setattr(api.services, "logins", throttle)

    with ExitStack() as busy:
        for _ in range(10):
            busy.enter_context(throttle.slot())
        for _ in range(11):
            response = stranger(api).send("POST", "auth/token/", {"email": person.email, "password": PASSWORD})
            assert (response.status_code, response.headers["Retry-After"]) == (429, "1")

    # What was refused is not counted as an attempt.
    person.log_in()


class Now:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_an_address_is_throttled_over_all_emails() -> None:
    throttle = LoginThrottle(Now())
    for number in range(50):
        throttle.attempt(f"{number}@example.com", "192.0.2.1")

    with pytest.raises(ApiError) as refused:
        throttle.attempt("50@example.com", "192.0.2.1")

    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "5")
    throttle.attempt("50@example.com", "192.0.2.2")


def test_a_bucket_gives_its_burst_then_at_its_rate() -> None:
    now = Now()
    bucket = Buckets(2.0, 3, now)

    assert [bucket.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take("b") == 0.0
    now.seconds += 0.5
    assert [bucket.take("a"), bucket.take("a")] == [0.0, 0.5]


def test_a_bucket_remembers_a_bounded_number_of_names() -> None:
    bucket = Buckets(0.001, 1, Now())
    for number in range(60_000):
        bucket.take(str(number))
    assert len(bucket._full_at) == 50_000
    assert bucket.take("59999") > 0
    assert bucket.take("0") == 0.0


@pytest.mark.parametrize(
    ("host", "network"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::/64"), (None, "unknown"), ("testclient", "testclient")],
)
def test_an_ipv6_caller_is_known_by_its_network(host: str | None, network: str) -> None:
    assert network_of(host) == network


def test_attempts_that_an_address_is_refused_lock_nobody_out() -> None:
    throttle = LoginThrottle(Now())
    for number in range(50):
        throttle.attempt(f"{number}@example.com", "192.0.2.1")
    for _ in range(20):
        with pytest.raises(ApiError):
            throttle.attempt("ada@example.com", "192.0.2.1")
    throttle.attempt("ada@example.com", "192.0.2.2")
